-- Whose turn a message takes, see SqliteQueue::receive.
ALTER TABLE messages ADD COLUMN turn TEXT NOT NULL DEFAULT '';
CREATE INDEX messages_by_turn ON messages (stage, turn, visible_at, number);

-- When each of them had its last turn, counted.
CREATE TABLE turns (
    stage  TEXT NOT NULL,
    turn   TEXT NOT NULL,
    served INTEGER NOT NULL,
    PRIMARY KEY (stage, turn)
) STRICT, WITHOUT ROWID;
INSERT INTO counters (name, value) VALUES ('turn', 0);
