package index

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/index/rangeset"
)

const (
	applicationID = 0x65734958 // "esIX"
	schemaVersion = 5
)

// The tables keys, records, strangers, outbox and logs hold what cannot be had again
// from elsewhere; all others can be rebuilt from them.
const schema = `
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
	name     TEXT PRIMARY KEY,
	base     TEXT NOT NULL, -- without the scope
	skeleton TEXT NOT NULL DEFAULT '' -- what names that look alike share
) WITHOUT ROWID;
CREATE INDEX names_by_base ON names(base);
CREATE INDEX names_by_skeleton ON names(skeleton);

-- What search reads: of each name, each author's newest release.
CREATE TABLE texts (
	num     INTEGER PRIMARY KEY,
	name    TEXT NOT NULL,
	author  BLOB NOT NULL,
	version TEXT NOT NULL,
	UNIQUE (name, author)
);
` + WordsSchema

// logsSchema is of the own keys whose records are all here: the key was made here, or
// peers were asked. It stands here since it ends with the records that it is about.
const logsSchema = `
CREATE TABLE IF NOT EXISTS logs (author BLOB PRIMARY KEY) WITHOUT ROWID;
`

// WordsSchema makes the table of the words that search finds.
const WordsSchema = `
CREATE VIRTUAL TABLE words USING fts5(
	name, description, keywords,
	content='', contentless_delete=1, prefix='3', tokenize='unicode61 remove_diacritics 2'
);
`

// prepare brings the file to the current schema. Several processes may do it at
// once: whoever gets the write lock first makes the tables.
func (x *Index) prepare(ctx context.Context) error {
	// inspect asks several questions, and another process may be making the
	// index between them: a bad answer counts only when nobody else can write.
	version, doubt := x.inspect(ctx, x.file.Writer)
	if doubt == nil && version == schemaVersion {
		return nil
	}
	if doubt == nil && version == 0 {
		if err := x.file.UseWAL(ctx); err != nil {
			return err
		}
	}
	tx, err := x.file.Writer.BeginTx(ctx, nil)
	if err != nil {
		return cmp.Or(doubt, err)
	}
	defer tx.Rollback()
	version, err = x.inspect(ctx, tx)
	if err != nil || version == schemaVersion {
		return err
	}
	if doubt != nil {
		return doubt
	}
	if err := newBatch(x, db.NewTx(tx)).migrate(ctx, version); err != nil {
		return err
	}
	stamp := fmt.Sprintf("PRAGMA application_id=%d; PRAGMA user_version=%d", applicationID, schemaVersion)
	if _, err := tx.ExecContext(ctx, stamp); err != nil {
		return err
	}
	return tx.Commit()
}

// migration1 changes the tables of version 1 that version 2 changed, migration2
// those of version 2. Version 4 changed no table, but what a sum is; version 5 has logs.
const (
	migration1 = `
ALTER TABLE keys ADD COLUMN charged INTEGER NOT NULL DEFAULT 0;
CREATE INDEX prev_by_record ON prev(record);
DROP INDEX releases_by_name;
CREATE INDEX releases_by_name ON releases(name, author, version);
`
	migration2 = `
ALTER TABLE names ADD COLUMN skeleton TEXT NOT NULL DEFAULT '';
CREATE INDEX names_by_skeleton ON names(skeleton);
`
)

// migrate makes the tables, or those that came after the version.
func (b *batch) migrate(ctx context.Context, version int64) error {
	tables := map[int64]string{
		0: schema + rangeset.Schema + strangersSchema,
		1: migration1 + rangeset.Schema + strangersSchema + migration2,
		2: migration2,
	}[version] + logsSchema
	if err := b.Script(ctx, tables); err != nil {
		return err
	}
	if version == 4 {
		return nil
	}
	fill := func(ctx context.Context) error { return rangeset.Rebuild(ctx, b) }
	if version < 2 {
		fill = b.fillSet
	}
	if err := fill(ctx); err != nil || version >= 3 {
		return err
	}
	return b.fillSkeletons(ctx)
}

type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// inspect returns the version of the schema, or 0 for an empty file, and fails on
// what this es cannot use.
func (x *Index) inspect(ctx context.Context, q queryer) (version int64, err error) {
	var app, tables int64
	for query, to := range map[string]*int64{
		"PRAGMA application_id":              &app,
		"PRAGMA user_version":                &version,
		"SELECT count(*) FROM sqlite_schema": &tables,
	} {
		if err := q.QueryRowContext(ctx, query).Scan(to); err != nil {
			return 0, err
		}
	}
	switch {
	case app == 0 && version == 0 && tables == 0:
		return 0, nil
	case app != applicationID:
		return 0, fmt.Errorf("%s is a database of another program; move it away", x.file.Path)
	case version > schemaVersion:
		return 0, fmt.Errorf("%s was written by a newer es (format %d, this es knows %d); update es", x.file.Path, version, schemaVersion)
	case version < 1:
		return 0, fmt.Errorf("%s has the unknown format %d; move it away", x.file.Path, version)
	}
	return version, nil
}
