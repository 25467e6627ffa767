-- What is still to be told of requests. `request` is the one that changed, or the first of a batch that
-- came; `version` is that of the former; `count` is how many there are of the latter. `record` is the request as it was then. `told` are
-- those who know of it, as JSON.
CREATE TABLE outbox (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    batch INTEGER NOT NULL,
    written_at INTEGER NOT NULL,
    request INTEGER NOT NULL,
    version INTEGER,
    count INTEGER,
    record TEXT,
    told TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE INDEX outbox_by_batch ON outbox (batch, place);
