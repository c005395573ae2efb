-- Version 1 of the schema of index.db, with which homes were made.
PRAGMA journal_mode=WAL;
CREATE TABLE keys (
	fingerprint BLOB PRIMARY KEY,
	block       BLOB NOT NULL,
	first_seen  INTEGER NOT NULL -- Unix milliseconds
) WITHOUT ROWID;

CREATE TABLE records (
	num        INTEGER PRIMARY KEY AUTOINCREMENT, -- counts arrivals, never goes back
	id         BLOB NOT NULL UNIQUE,
	author     BLOB NOT NULL REFERENCES keys(fingerprint),
	kind       TEXT NOT NULL,
	seq        INTEGER NOT NULL,
	time       INTEGER NOT NULL, -- Unix seconds
	signed     INTEGER NOT NULL, -- Unix seconds
	first_seen INTEGER NOT NULL, -- Unix milliseconds
	own        INTEGER NOT NULL,
	named      INTEGER NOT NULL, -- a record of the same author that is not void has it in prev
	peer       TEXT NOT NULL,
	void       TEXT NOT NULL,
	sealed     BLOB NOT NULL, -- the CID of the envelope
	envelope   BLOB NOT NULL
);
CREATE INDEX records_by_envelope ON records(sealed);
CREATE INDEX records_by_author ON records(author, kind);
CREATE INDEX heads ON records(author, seq) WHERE named = 0;

CREATE TABLE prev (
	id     BLOB NOT NULL, -- the earlier record, which may be missing
	record INTEGER NOT NULL REFERENCES records(num) ON DELETE CASCADE,
	PRIMARY KEY (id, record)
) WITHOUT ROWID;

CREATE TABLE releases (
	record  INTEGER PRIMARY KEY REFERENCES records(num) ON DELETE CASCADE,
	name    TEXT NOT NULL,
	version TEXT NOT NULL,
	author  BLOB NOT NULL,
	module  BLOB NOT NULL
);
CREATE INDEX releases_by_name ON releases(name, version, author);

CREATE TABLE tags (
	record  INTEGER PRIMARY KEY REFERENCES records(num) ON DELETE CASCADE,
	name    TEXT NOT NULL,
	tag     TEXT NOT NULL,
	version TEXT NOT NULL,
	author  BLOB NOT NULL
);
CREATE INDEX tags_by_name ON tags(name, tag);

-- Notices and endorsements.
CREATE TABLE remarks (
	record INTEGER PRIMARY KEY REFERENCES records(num) ON DELETE CASCADE,
	name   TEXT NOT NULL,
	kind   TEXT NOT NULL
);
CREATE INDEX remarks_by_name ON remarks(name, kind);

CREATE TABLE equivocations (
	author  BLOB NOT NULL,
	name    TEXT NOT NULL,
	version TEXT NOT NULL,
	PRIMARY KEY (author, name, version)
) WITHOUT ROWID;

CREATE TABLE outbox (
	record INTEGER PRIMARY KEY REFERENCES records(num) ON DELETE CASCADE
);

CREATE TABLE names (
	name TEXT PRIMARY KEY,
	base TEXT NOT NULL -- without the scope
) WITHOUT ROWID;
CREATE INDEX names_by_base ON names(base);

-- What search reads: of each name, each author's newest release.
CREATE TABLE texts (
	num     INTEGER PRIMARY KEY,
	name    TEXT NOT NULL,
	author  BLOB NOT NULL,
	version TEXT NOT NULL,
	UNIQUE (name, author)
);
CREATE VIRTUAL TABLE words USING fts5(
	name, description, keywords,
	content='', contentless_delete=1, prefix='3', tokenize='unicode61 remove_diacritics 2'
);
PRAGMA application_id=1702054232; PRAGMA user_version=1;
