-- Which request has moved the tag of an index last.
CREATE TABLE moved (
    index_tag TEXT NOT NULL PRIMARY KEY,
    request   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
