package index

import (
	"context"
	"database/sql"
	"errors"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// queries runs statements in a transaction, and prepares each of them once.
type queries struct {
	tx    *sql.Tx
	stmts map[string]*sql.Stmt
}

func newQueries(tx *sql.Tx) queries { return queries{tx, map[string]*sql.Stmt{}} }

// stmt prepares a query once for the transaction, at whose end it is closed.
func (q queries) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s := q.stmts[query]; s != nil {
		return s, nil
	}
	s, err := q.tx.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	q.stmts[query] = s
	return s, nil
}

func (q queries) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := q.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// get scans the first row into the targets, and reports whether there was one.
func (q queries) get(ctx context.Context, query string, args []any, to ...any) (bool, error) {
	s, err := q.stmt(ctx, query)
	if err != nil {
		return false, err
	}
	err = s.QueryRowContext(ctx, args...).Scan(to...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// errEnough ends each.
var errEnough = errors.New("enough rows")

// each calls row for every row of the answer until it fails. What is scanned as
// sql.RawBytes holds until row returns.
func (q queries) each(ctx context.Context, query string, args []any, row func(*sql.Rows) error) error {
	s, err := q.stmt(ctx, query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return rows.Err()
}

// A batch is a write transaction.
type batch struct {
	queries
	x        *Index
	keys     map[records.Fingerprint]*sign.Key // as stored by now
	charged  map[records.Fingerprint]int64     // of those, the bytes counted as a stranger's
	changed  map[records.Fingerprint]bool      // keys that were known differently before
	foreseen map[records.Fingerprint]*foreseen // may be nil
	set      map[records.Element]bool          // elements to put in (true) or take out at the end
	merged   []records.Element                 // key blocks that say nothing beyond what is stored
	records  int64                             // by how many the strangers' records change
	bytes    int64                             // and their bytes
	used     int64                             // the last use of a stranger's record, once it is asked for
}

func newBatch(x *Index, tx *sql.Tx) *batch {
	return &batch{
		queries: newQueries(tx),
		x:       x,
		keys:    map[records.Fingerprint]*sign.Key{},
		charged: map[records.Fingerprint]int64{},
		changed: map[records.Fingerprint]bool{},
		set:     map[records.Element]bool{},
	}
}
