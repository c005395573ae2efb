package index

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/records"
)

// A BodyTable is a table that has a row for each record with one kind of body or
// another: its column record is the record's number, the others are Columns.
type BodyTable struct {
	Name    string
	Columns []string
}

// BodyTables are all of them.
var BodyTables = []BodyTable{
	{"releases", []string{"name", "version", "author", "module"}},
	{"tags", []string{"name", "tag", "version", "author"}},
	{"annotations", []string{"name", "kind"}}, // notices and endorsements
}

// BodyRow returns the table that has a row for the record, "" where it is found by its
// author and kind alone, and the values of that row. A body that it does not know is an
// error: a new one needs a line here.
func BodyRow(r *records.Record) (table string, values []any, err error) {
	switch body := r.Body.(type) {
	case *records.Release:
		return "releases", []any{string(body.Name), string(body.Version), r.Author.Bytes(), body.Module.Bytes()}, nil
	case *records.Tag:
		return "tags", []any{string(body.Name), body.Tag, string(body.Version), r.Author.Bytes()}, nil
	case *records.Notice:
		return "annotations", []any{string(body.Name), body.Kind()}, nil
	case *records.Endorse:
		return "annotations", []any{string(body.Name), body.Kind()}, nil
	case *records.Delegate, *records.Successor, *records.Heartbeat:
		return "", nil, nil
	}
	return "", nil, fmt.Errorf("the index has no place for a record of the kind %q", r.Body.Kind())
}

func (b *batch) insertBody(ctx context.Context, num int64, r *records.Record) error {
	table, values, err := BodyRow(r)
	if err != nil || table == "" {
		return err
	}
	for _, t := range BodyTables {
		if t.Name != table {
			continue
		}
		if _, err := b.Exec(ctx, t.insert(), append([]any{num}, values...)...); err != nil {
			return err
		}
	}
	if body, ok := r.Body.(*records.Release); ok {
		return b.insertText(ctx, r.Author, body)
	}
	return nil
}

// insert is the statement that adds a row to the table.
func (t BodyTable) insert() string {
	columns, places := "record", "?"
	for _, c := range t.Columns {
		columns, places = columns+", "+c, places+", ?"
	}
	return "INSERT INTO " + t.Name + " (" + columns + ") VALUES (" + places + ")"
}

// insertText gives search the words of the release if it is its author's newest
// under the name.
func (b *batch) insertText(ctx context.Context, author records.Fingerprint, r *records.Release) error {
	name, version := string(r.Name), string(r.Version)
	var num int64
	var old string
	known, err := b.Get(ctx, "SELECT num, version FROM texts WHERE name = ? AND author = ?", []any{name, author.Bytes()}, &num, &old)
	if err != nil {
		return err
	}
	switch {
	case !known:
		if _, err := b.Exec(ctx, "INSERT OR IGNORE INTO names (name, base, skeleton) VALUES (?, ?, ?)", name, r.Name.Base(), r.Name.Skeleton()); err != nil {
			return err
		}
		res, err := b.Exec(ctx, "INSERT INTO texts (name, author, version) VALUES (?, ?, ?)", name, author.Bytes(), version)
		if err != nil {
			return err
		}
		if num, err = res.LastInsertId(); err != nil {
			return err
		}
	case r.Version.CompareStable(records.Version(old)) < 0:
		return nil
	default:
		if _, err := b.Exec(ctx, "UPDATE texts SET version = ? WHERE num = ?", version, num); err != nil {
			return err
		}
		if _, err := b.Exec(ctx, "DELETE FROM words WHERE rowid = ?", num); err != nil {
			return err
		}
	}
	return InsertWords(ctx, b.Tx, num, r)
}

// InsertWords gives the table words what search reads of a release.
func InsertWords(ctx context.Context, q *db.Tx, num int64, r *records.Release) error {
	_, err := q.Exec(ctx, "INSERT INTO words (rowid, name, description, keywords) VALUES (?, ?, ?, ?)",
		num, string(r.Name), r.Manifest.Description, joinKeywords(r.Manifest.Keywords))
	return err
}

func joinKeywords(words []string) string {
	var b bytes.Buffer
	for _, w := range words {
		b.WriteString(w)
		b.WriteByte('\n')
	}
	return b.String()
}

// fillSkeletons gives their skeleton to names that were stored without.
func (b *batch) fillSkeletons(ctx context.Context) error {
	var names []string
	err := b.Each(ctx, "SELECT name FROM names WHERE skeleton = ''", nil, func(rows *sql.Rows) error {
		var n string
		err := rows.Scan(&n)
		names = append(names, n)
		return err
	})
	if err != nil {
		return err
	}
	for _, n := range names {
		if _, err := b.Exec(ctx, "UPDATE names SET skeleton = ? WHERE name = ?", records.Name(n).Skeleton(), n); err != nil {
			return err
		}
	}
	return nil
}
