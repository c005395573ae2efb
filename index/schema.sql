-- The tables keys, records, strangers, outbox and logs hold what cannot be had again from
-- elsewhere; all others can be rebuilt from them. The set of elements is rangeset's, what
-- search reads is in search.sql and words.sql.
CREATE TABLE keys (
	fingerprint BLOB PRIMARY KEY,
	block       BLOB NOT NULL,
	first_seen  INTEGER NOT NULL, -- Unix milliseconds
	charged     INTEGER NOT NULL DEFAULT 0 -- bytes counted as a stranger's, or 0
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
	referenced INTEGER NOT NULL, -- a record of the same author whose signature counts has it in prev
	peer       TEXT NOT NULL,
	invalid    TEXT NOT NULL, -- the sign.Problem by which the signature does not count; empty when it does
	envelope_id BLOB NOT NULL,
	envelope   BLOB NOT NULL,
	invalid_key BLOB NOT NULL DEFAULT x'', -- the key that is the cause
	invalid_since INTEGER NOT NULL DEFAULT 0 -- Unix seconds
);
CREATE INDEX records_by_envelope ON records(envelope_id);
CREATE INDEX records_by_author ON records(author, kind);
CREATE INDEX heads ON records(author, seq) WHERE referenced = 0;

CREATE TABLE prev (
	id     BLOB NOT NULL, -- the earlier record, which may be missing
	record INTEGER NOT NULL REFERENCES records(num) ON DELETE CASCADE,
	PRIMARY KEY (id, record)
) WITHOUT ROWID;
CREATE INDEX prev_by_record ON prev(record);

CREATE TABLE releases (
	record  INTEGER PRIMARY KEY REFERENCES records(num) ON DELETE CASCADE,
	name    TEXT NOT NULL,
	version TEXT NOT NULL,
	author  BLOB NOT NULL,
	module  BLOB NOT NULL
);
CREATE INDEX releases_by_name ON releases(name, author, version);

CREATE TABLE tags (
	record  INTEGER PRIMARY KEY REFERENCES records(num) ON DELETE CASCADE,
	name    TEXT NOT NULL,
	tag     TEXT NOT NULL,
	version TEXT NOT NULL,
	author  BLOB NOT NULL
);
CREATE INDEX tags_by_name ON tags(name, tag);

-- Notices and endorsements.
CREATE TABLE annotations (
	record INTEGER PRIMARY KEY REFERENCES records(num) ON DELETE CASCADE,
	name   TEXT NOT NULL,
	kind   TEXT NOT NULL
);
CREATE INDEX annotations_by_name ON annotations(name, kind);

CREATE TABLE equivocations (
	author  BLOB NOT NULL,
	name    TEXT NOT NULL,
	version TEXT NOT NULL,
	PRIMARY KEY (author, name, version)
) WITHOUT ROWID;

CREATE TABLE outbox (
	record INTEGER PRIMARY KEY REFERENCES records(num) ON DELETE CASCADE
);
