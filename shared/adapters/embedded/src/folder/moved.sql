-- Which request has moved the tag of an index last, and when (milliseconds since the epoch).
CREATE TABLE moved (
    index_tag TEXT NOT NULL PRIMARY KEY,
    request   INTEGER NOT NULL,
    moved_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
