-- Requests that ended and whose temporary data is still there. Those of older folders have none
-- that would expire by itself.
ALTER TABLE requests ADD COLUMN ended_at INTEGER;
CREATE INDEX ended_requests ON requests (ended_at, id) WHERE ended_at IS NOT NULL;
UPDATE requests SET ended_at = 0 WHERE done = 1;

-- What asked for a request, where it may ask twice.
CREATE TABLE once (
    key     TEXT PRIMARY KEY,
    request INTEGER NOT NULL,
    used_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX once_by_age ON once (used_at);

-- Secrets of requests; the folder is its owner's alone.
CREATE TABLE secrets (
    reference  TEXT PRIMARY KEY,
    secret     TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
