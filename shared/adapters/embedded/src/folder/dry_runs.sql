-- Requests of which it is only to be seen what they would do; no listing has them among others.
ALTER TABLE requests ADD COLUMN is_dry_run INTEGER NOT NULL DEFAULT 0;
