package index

import (
	"cmp"
	"context"
	"database/sql"
	_ "embed" // the tables
	"fmt"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/index/internal/texts"
	"github.com/everythingstays/es/index/rangeset"
	"github.com/everythingstays/es/records"
)

const (
	applicationID = 0x65734958 // "esIX"
	schemaVersion = 7
)

//go:embed schema.sql
var schema string

//go:embed strangers.sql
var strangersSchema string

//go:embed logs.sql
var logsSchema string

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

// migration1 changes the tables of version 1 that version 2 changed, and so on. Version
// 4 changed no table, but what a sum is; version 5 has logs; version 6 says by codes why
// a signature does not count, and no more by the text of an error; version 7 ranks what
// search finds.
const (
	migration1 = `
ALTER TABLE keys ADD COLUMN charged INTEGER NOT NULL DEFAULT 0;
CREATE INDEX prev_by_record ON prev(record);
DROP INDEX releases_by_name;
CREATE INDEX releases_by_name ON releases(name, author, version);
`
	migration5 = `
ALTER TABLE records RENAME COLUMN named TO referenced;
ALTER TABLE records RENAME COLUMN void TO invalid;
ALTER TABLE records RENAME COLUMN sealed TO envelope_id;
ALTER TABLE records ADD COLUMN invalid_key BLOB NOT NULL DEFAULT x'';
ALTER TABLE records ADD COLUMN invalid_since INTEGER NOT NULL DEFAULT 0;
DROP INDEX remarks_by_name;
ALTER TABLE remarks RENAME TO annotations;
CREATE INDEX annotations_by_name ON annotations(name, kind);
`
	migration6 = `
DROP TABLE words;
DROP TABLE names;
DROP TABLE texts;
`
)

// migrate makes the tables, or those that came after the version.
func (b *batch) migrate(ctx context.Context, version int64) error {
	search := texts.Schema + texts.WordsSchema
	var tables string
	switch version {
	case 0:
		tables = schema + search + rangeset.Schema + strangersSchema + logsSchema
	case 1:
		tables = migration1 + rangeset.Schema + strangersSchema + logsSchema + migration5 + migration6 + search
	case 6:
		tables = migration6 + search
	default:
		tables = logsSchema + migration5 + migration6 + search
	}
	if err := b.Script(ctx, tables); err != nil {
		return err
	}
	if version < 2 {
		if err := b.fillSet(ctx); err != nil {
			return err
		}
	} else if version < 4 {
		if err := rangeset.Rebuild(ctx, b); err != nil {
			return err
		}
	}
	if version > 0 && version < 6 {
		if err := b.codeInvalid(ctx); err != nil {
			return err
		}
	}
	if version > 0 {
		return b.texts.Fill(ctx)
	}
	return nil
}

// codeInvalid validates all records anew of whose authors one does not count: version 5
// kept the text of the error.
func (b *batch) codeInvalid(ctx context.Context) error {
	var authors []records.Fingerprint
	err := b.Each(ctx, "SELECT DISTINCT author FROM records WHERE invalid <> ''", nil, func(rows *sql.Rows) error {
		var f db.Fingerprint
		err := rows.Scan(&f)
		authors = append(authors, f.Fingerprint)
		return err
	})
	if err != nil {
		return err
	}
	for _, f := range authors {
		if _, err := b.mergeKey(ctx, f, nil, Source{}); err != nil {
			return err
		}
		if err := b.revalidate(ctx, f); err != nil {
			return err
		}
	}
	return rangeset.Update(ctx, b, b.set)
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
