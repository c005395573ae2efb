// Package authorlog is what an index knows of the logs of authors (SPEC.md section 4): where
// the next record goes, what is missing, which records may be backdated or were
// retracted, and what authors say about keys.
//
// It reads; what it knows of the tables are the links between records.
package authorlog

import (
	"context"
	"database/sql"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/internal/db"
)

// Logs are those of all authors whose records an index holds. They may be used by several
// goroutines.
type Logs struct{ index *index.Index }

// New returns the logs in the index.
func New(x *index.Index) *Logs { return &Logs{x} }

// list runs a query and scans its rows.
func list[T any](ctx context.Context, l *Logs, op, query string, args []any, scan func(*sql.Rows) (T, error)) (all []T, err error) {
	err = l.index.View(ctx, op, func(q *db.Tx) error {
		return q.Each(ctx, query, args, func(rows *sql.Rows) error {
			v, err := scan(rows)
			all = append(all, v)
			return err
		})
	})
	return all, err
}

// An Index is an index with the logs in it: what package author asks for.
type Index struct {
	*index.Index
	*Logs
}

// WithIndex returns the index with its logs.
func WithIndex(x *index.Index) Index { return Index{x, New(x)} }
