-- What a listing looks for in a request, beside its record: it is read whole when the folder is opened.
-- Those of records that cannot be read are what can be seen of them.
ALTER TABLE requests ADD COLUMN batch INTEGER;
ALTER TABLE requests ADD COLUMN state TEXT;
ALTER TABLE requests ADD COLUMN kind TEXT;
ALTER TABLE requests ADD COLUMN user TEXT;
ALTER TABLE requests ADD COLUMN from_index TEXT;
ALTER TABLE requests ADD COLUMN index_image TEXT;
UPDATE requests SET
    batch = json_extract(record, '$.batch'),
    state = json_extract(record, '$.history[#-1].state'),
    -- "kind" and "outputs" are names of format 1.
    kind = coalesce(
        json_extract(record, '$.request.request_type'),
        json_extract(record, '$.kind.request_type')
    ),
    user = json_extract(record, '$.user'),
    from_index = coalesce(
        json_extract(record, '$.request.from_index'),
        json_extract(record, '$.kind.from_index')
    ),
    index_image = coalesce(
        json_extract(record, '$.facts.index_image'),
        json_extract(record, '$.outputs.index_image')
    )
WHERE json_valid(record);

-- Every image that a request has used, in whatever role.
CREATE TABLE images (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO images (name)
SELECT leaf.atom FROM requests, json_tree(requests.record) AS leaf
WHERE json_valid(requests.record) AND leaf.type = 'text'
    AND (leaf.fullkey GLOB '$.request.*' OR leaf.fullkey GLOB '$.kind.*'
        OR leaf.fullkey GLOB '$.facts.*' OR leaf.fullkey GLOB '$.outputs.*')
    AND (leaf.atom GLOB '*[:@]*' OR leaf.atom = 'scratch');

-- Which operator a bundle is of, for all requests.
CREATE TABLE operators (
    bundle   TEXT PRIMARY KEY,
    operator TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT OR REPLACE INTO operators (bundle, operator)
SELECT bundle.value, operator.key
FROM requests,
    json_each(requests.record, '$.facts.bundle_mapping') AS operator,
    json_each(operator.value) AS bundle
WHERE json_valid(requests.record) AND operator.type = 'array' AND bundle.type = 'text';
