-- Requests that overwrite the same index. One of them has the turn.
CREATE TABLE lines (
    index_tag TEXT NOT NULL,
    request   INTEGER NOT NULL,
    has_turn  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (index_tag, request)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX turn_of_line ON lines (index_tag) WHERE has_turn = 1;
