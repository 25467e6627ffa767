-- Finds the message that says the same and that nobody has received yet, see SqliteQueue.
CREATE INDEX waiting_messages ON messages (stage, body) WHERE receipt IS NULL;
