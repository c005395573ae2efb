package index

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/records"
)

// A Filter selects records about a name: those that have what each set field says.
type Filter struct {
	Name    records.Name
	Version records.Version
	Module  cid.Cid
	Tag     string
	Authors []records.Fingerprint // nil for everybody, empty for nobody
	Valid   bool                  // only those whose signatures count
	Imports bool                  // only releases that may have an origin
	Order   Order
	Limit   int // 0 for none
}

// An Order is how selected records are sorted.
type Order string

const (
	ByArrival       Order = "num"
	ByAuthor        Order = "records.author, id"
	ValidByArrival  Order = "invalid <> '', num" // those that count before others
	defaultOrder          = ByArrival
	nobodyCondition       = " AND 0"
)

// where is the filter as the end of a query, with its arguments; table has the columns
// of the body.
func (f Filter) where(table string) (string, []any) {
	query, args := " WHERE "+table+".name = ?", []any{string(f.Name)}
	add := func(condition string, arg any) {
		query, args = query+" AND "+condition, append(args, arg)
	}
	if f.Version != "" {
		add(table+".version = ?", string(f.Version))
	}
	if f.Module.Defined() {
		add("module = ?", f.Module.Bytes())
	}
	if f.Tag != "" {
		add("tag = ?", f.Tag)
	}
	if f.Valid {
		query += " AND invalid = ''"
	}
	if f.Imports {
		query += " AND " + mayBeImport
	}
	switch {
	case f.Authors == nil:
	case len(f.Authors) == 0:
		query += nobodyCondition
	default:
		query += " AND " + authorColumn(table) + " IN (?" + strings.Repeat(", ?", len(f.Authors)-1) + ")"
		for _, a := range f.Authors {
			args = append(args, a.Bytes())
		}
	}
	return query, args
}

// authorColumn is the column of the author by which the records that a table lists are
// found fastest.
func authorColumn(table string) string {
	if table == "annotations" {
		return "records.author"
	}
	return table + ".author"
}

func (f Filter) end(args []any) (string, []any) {
	order := f.Order
	if order == "" {
		order = defaultOrder
	}
	if f.Limit > 0 {
		return " ORDER BY " + string(order) + " LIMIT ?", append(args, f.Limit)
	}
	return " ORDER BY " + string(order), args
}

// A ReleaseRow is what the tables say of a release without its record.
type ReleaseRow struct {
	Order     int64
	ID        cid.Cid
	Author    records.Fingerprint
	Version   records.Version
	Module    cid.Cid
	Invalid   string // why the signature does not count; "" when it does
	Time      time.Time
	FirstSeen time.Time
	// Import is what the record says where it has an origin; else nil.
	Import *records.Release
}

// mayBeImport holds for the records that have a field called origin: every such one has
// the CBOR of that name, and few others do.
const mayBeImport = "instr(envelope, x'666f726967696e') > 0"

// importOf returns the release in an envelope, or nil when it has no origin.
func importOf(envelope []byte) (*records.Release, error) {
	if envelope == nil {
		return nil, nil
	}
	e, err := records.DecodeEnvelope(envelope)
	if err != nil {
		return nil, err
	}
	if r, ok := e.Record.Body.(*records.Release); ok && r.Origin != nil {
		return r, nil
	}
	return nil, nil
}

// ReleaseRows returns the releases that the filter selects.
func (x *Index) ReleaseRows(ctx context.Context, f Filter) ([]ReleaseRow, error) {
	where, args := f.where("releases")
	end, args := f.end(args)
	return list(ctx, x, "find releases", `SELECT num, id, releases.author, version, module, time, first_seen,
		CASE WHEN `+mayBeImport+` THEN envelope END, `+InvalidColumns+`
		FROM releases JOIN records ON num = record`+where+end, args, func(rows *sql.Rows) (r ReleaseRow, err error) {
		var author db.Fingerprint
		var module, id db.CID
		var at, seen int64
		var invalid InvalidScanner
		var envelope []byte
		if err = rows.Scan(append([]any{&r.Order, &id, &author, &r.Version, &module, &at, &seen, &envelope}, invalid.To()...)...); err != nil {
			return r, err
		}
		r.Import, err = importOf(envelope)
		r.Invalid = invalid.Invalid().String()
		r.ID, r.Author, r.Module, r.Time, r.FirstSeen = id.Cid, author.Fingerprint, module.Cid, unix(at), unixMilli(seen)
		return r, err
	})
}

// ListReleases returns Order, Author and Version of all releases of a name, invalid ones
// too, by author and version: one index of the table has them, and no record is read.
func (x *Index) ListReleases(ctx context.Context, name records.Name) ([]ReleaseRow, error) {
	return list(ctx, x, "find who released", "SELECT record, author, version FROM releases WHERE name = ? ORDER BY author, version, record",
		[]any{string(name)}, func(rows *sql.Rows) (r ReleaseRow, err error) {
			var author db.Fingerprint
			err = rows.Scan(&r.Order, &author, &r.Version)
			r.Author = author.Fingerprint
			return r, err
		})
}

// ReleasersOf returns at most limit authors of releases of the module as name@version,
// invalid ones too.
func (x *Index) ReleasersOf(ctx context.Context, name records.Name, version records.Version, module cid.Cid, limit int) ([]records.Fingerprint, error) {
	return list(ctx, x, "find who released", "SELECT author FROM releases WHERE name = ? AND version = ? AND module = ? LIMIT ?",
		[]any{string(name), string(version), module.Bytes(), limit}, scanFingerprint)
}

// HasRelease reports whether the filter selects any release.
func (x *Index) HasRelease(ctx context.Context, f Filter) (has bool, err error) {
	where, args := f.where("releases")
	from := "releases"
	if f.Valid {
		from += " JOIN records ON num = record"
	}
	if err := x.file.Readers.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+from+where+")", args...).Scan(&has); err != nil {
		return false, x.explain("find releases", err)
	}
	return has, nil
}

// CountReleases returns how many releases of name@version there are, invalid ones too, and
// by how many keys.
func (x *Index) CountReleases(ctx context.Context, name records.Name, version records.Version) (releases, keys int, err error) {
	err = x.file.Readers.QueryRowContext(ctx, "SELECT count(*), count(DISTINCT author) FROM releases WHERE name = ? AND version = ?", string(name), string(version)).
		Scan(&releases, &keys)
	if err != nil {
		return 0, 0, x.explain("count releases", err)
	}
	return releases, keys, nil
}

// ReleasedNames returns the names of which the author has a release, invalid ones too.
func (x *Index) ReleasedNames(ctx context.Context, author records.Fingerprint) ([]records.Name, error) {
	return list(ctx, x, "find releases", `SELECT DISTINCT name FROM records JOIN releases ON record = num
		WHERE records.author = ? AND records.kind = 'release'`, []any{author.Bytes()}, func(rows *sql.Rows) (n records.Name, err error) {
		return n, rows.Scan(&n)
	})
}

// ImportedNames returns the names of which somebody has a release with an origin, and
// perhaps a few others.
func (x *Index) ImportedNames(ctx context.Context) ([]records.Name, error) {
	return list(ctx, x, "find imports", "SELECT DISTINCT name FROM releases JOIN records ON num = record WHERE "+mayBeImport, nil,
		func(rows *sql.Rows) (n records.Name, err error) { return n, rows.Scan(&n) })
}

// HasMoreThan reports whether more than n records of one kind are about the name.
func (x *Index) HasMoreThan(ctx context.Context, name records.Name, n int) (more bool, err error) {
	err = x.file.Readers.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM releases WHERE name = ?1 LIMIT 1 OFFSET ?2)
		OR EXISTS (SELECT 1 FROM annotations WHERE name = ?1 LIMIT 1 OFFSET ?2)
		OR EXISTS (SELECT 1 FROM tags WHERE name = ?1 LIMIT 1 OFFSET ?2)`, string(name), n).Scan(&more)
	if err != nil {
		return false, x.explain("find releases", err)
	}
	return more, nil
}

// A TagRow is what the tables say of a tag record without reading it.
type TagRow struct {
	Meta
	Tag     string
	Version records.Version // "" where it takes the tag away
}

// TagRows returns the tag records that the filter selects.
func (x *Index) TagRows(ctx context.Context, f Filter) ([]TagRow, error) {
	where, args := f.where("tags")
	end, args := f.end(args)
	return list(ctx, x, "find tags", `SELECT tag, version, id, tags.author, seq, time, first_seen
		FROM tags JOIN records ON num = record`+where+end, args, func(rows *sql.Rows) (t TagRow, err error) {
		var id db.CID
		var author db.Fingerprint
		var at, seen int64
		err = rows.Scan(&t.Tag, &t.Version, &id, &author, &t.Seq, &at, &seen)
		t.ID, t.Author, t.Time, t.FirstSeen = id.Cid, author.Fingerprint, unix(at), unixMilli(seen)
		return t, err
	})
}

// kindTable is the table that lists the tag, notice and endorse records of a name.
func kindTable(kind string) string {
	if kind == "tag" {
		return "tags"
	}
	return "annotations"
}

// StatementsAbout returns the records of a kind, "tag", "notice" or "endorse", that the
// filter selects.
func (x *Index) StatementsAbout(ctx context.Context, kind string, f Filter) ([]Statement, error) {
	table := kindTable(kind)
	where, args := f.where(table)
	from := table + " JOIN records ON num = record"
	kindColumn := table + ".kind"
	if len(f.Authors) > 0 || table == "tags" {
		kindColumn = "records.kind"
	}
	if len(f.Authors) > 0 {
		from = "records CROSS JOIN " + table + " ON num = record" // by author: others' records are not even looked at
	}
	end, args := f.end(append(args, kind))
	return x.statements(ctx, "list "+kind+" records", "SELECT "+statementColumns+" FROM "+from+where+" AND "+kindColumn+" = ?"+end, args...)
}

// CountAbout returns how many records of a kind, as for StatementsAbout, are about the
// name, invalid ones too.
func (x *Index) CountAbout(ctx context.Context, kind string, name records.Name) (n int, err error) {
	query, args := "SELECT count(*) FROM tags WHERE name = ?", []any{string(name)}
	if kindTable(kind) == "annotations" {
		query, args = "SELECT count(*) FROM annotations WHERE name = ? AND kind = ?", append(args, kind)
	}
	if err := x.file.Readers.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
		return 0, x.explain("count "+kind+" records", err)
	}
	return n, nil
}

// list runs a query and scans its rows.
func list[T any](ctx context.Context, x *Index, op, query string, args []any, scan func(*sql.Rows) (T, error)) ([]T, error) {
	rows, err := x.file.Readers.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, x.explain(op, err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, x.explain(op, err)
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		return nil, x.explain(op, err)
	}
	return all, nil
}

func scanFingerprint(rows *sql.Rows) (records.Fingerprint, error) {
	var f db.Fingerprint
	err := rows.Scan(&f)
	return f.Fingerprint, err
}

func unix(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

func unixMilli(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// Released reports whether the author has a release of each name that counts.
func (x *Index) Released(ctx context.Context, author records.Fingerprint, names ...records.Name) (bool, error) {
	for _, name := range names {
		has, err := x.HasRelease(ctx, Filter{Name: name, Authors: []records.Fingerprint{author}, Valid: true})
		if err != nil || !has {
			return false, err
		}
	}
	return true, nil
}
