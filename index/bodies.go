package index

import (
	"context"
	"fmt"

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
	if err := b.texts.Room(ctx); err != nil {
		return err
	}
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
		return b.texts.Insert(ctx, num, r.Author, body)
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
