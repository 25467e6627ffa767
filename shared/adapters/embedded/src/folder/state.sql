CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counters (name, value) VALUES ('request', 0), ('batch', 0), ('message', 0);

-- The record itself is one JSON document; the columns beside it are what queries need.
CREATE TABLE requests (
    id      INTEGER PRIMARY KEY,
    version INTEGER NOT NULL,
    done    INTEGER NOT NULL,
    record  TEXT NOT NULL
) STRICT;
CREATE INDEX live_requests ON requests (id) WHERE done = 0;

-- Times are microseconds since the epoch. A receipt is there while somebody works on the message.
CREATE TABLE messages (
    number            INTEGER PRIMARY KEY,
    stage             TEXT NOT NULL,
    body              TEXT NOT NULL,
    sent_at           INTEGER NOT NULL,
    visible_at        INTEGER NOT NULL,
    receive_count     INTEGER NOT NULL DEFAULT 0,
    first_received_at INTEGER,
    receipt           TEXT
) STRICT;
CREATE INDEX messages_by_visibility ON messages (stage, visible_at, number);
CREATE UNIQUE INDEX messages_by_receipt ON messages (receipt) WHERE receipt IS NOT NULL;

CREATE TABLE dead_letters (
    number        INTEGER PRIMARY KEY,
    stage         TEXT NOT NULL,
    body          TEXT NOT NULL,
    sent_at       INTEGER NOT NULL,
    receive_count INTEGER NOT NULL,
    died_at       INTEGER NOT NULL
) STRICT;
