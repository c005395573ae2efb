-- The own keys whose records are all here: the key was made here, or peers were asked. It
-- stands in the index since it ends with the records that it is about.
CREATE TABLE IF NOT EXISTS logs (author BLOB PRIMARY KEY) WITHOUT ROWID;
