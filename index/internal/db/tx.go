package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
)

// A Tx runs statements in a transaction, and prepares each of them once.
type Tx struct {
	tx    *sql.Tx
	stmts map[string]*sql.Stmt
}

// NewTx returns a Tx over tx, which the caller ends.
func NewTx(tx *sql.Tx) *Tx { return &Tx{tx, map[string]*sql.Stmt{}} }

// View runs fn, all of whose queries see the file at one moment.
func (f *File) View(ctx context.Context, fn func(*Tx) error) error {
	tx, err := f.Readers.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return fn(NewTx(tx))
}

// ViewApart is View over a connection of its own, which setup prepares: it may make
// temporary tables. Readers do not wait for it, however long it takes.
func (f *File) ViewApart(ctx context.Context, setup string, fn func(*Tx) error) error {
	db, err := sql.Open("sqlite", dsn(f.Path, f.reading))
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, setup); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return fn(NewTx(tx))
}

// Write runs fn in a transaction, and none but it writes meanwhile. With durable set,
// what it wrote is on the disk before Write returns; otherwise a power cut may take it,
// whole, but nothing else.
func (f *File) Write(ctx context.Context, durable bool, fn func(*Tx) error) error {
	if f.Writer == nil {
		return ErrReadOnly
	}
	f.writeMu.Lock()
	defer f.writeMu.Unlock()
	if durable != f.full {
		level := "NORMAL"
		if durable {
			level = "FULL"
		}
		if _, err := f.Writer.ExecContext(ctx, "PRAGMA synchronous="+level); err != nil {
			return err
		}
		f.full = durable
	}
	tx, err := f.Writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(NewTx(tx)); err != nil {
		tx.Rollback()
		return err
	}
	return tx.Commit()
}

// stmt prepares a query once for the transaction, at whose end it is closed.
func (t *Tx) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s := t.stmts[query]; s != nil {
		return s, nil
	}
	s, err := t.tx.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	t.stmts[query] = s
	return s, nil
}

// Exec runs a statement.
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := t.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// Script runs several statements that take no arguments.
func (t *Tx) Script(ctx context.Context, statements string) error {
	_, err := t.tx.ExecContext(ctx, statements)
	return err
}

// Get scans the first row into the targets, and reports whether there was one.
func (t *Tx) Get(ctx context.Context, query string, args []any, to ...any) (bool, error) {
	s, err := t.stmt(ctx, query)
	if err != nil {
		return false, err
	}
	err = s.QueryRowContext(ctx, args...).Scan(to...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// ErrStop ends Each without an error.
var ErrStop = errors.New("enough rows")

// Each calls row for every row of the answer until it fails. What is scanned as
// sql.RawBytes holds until row returns.
func (t *Tx) Each(ctx context.Context, query string, args []any, row func(*sql.Rows) error) error {
	s, err := t.stmt(ctx, query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); errors.Is(err, ErrStop) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return rows.Err()
}

// A Fingerprint scans a blob.
type Fingerprint struct{ records.Fingerprint }

// Scan implements sql.Scanner.
func (f *Fingerprint) Scan(v any) (err error) {
	b, ok := v.([]byte)
	if !ok {
		return fmt.Errorf("fingerprint is a %T", v)
	}
	f.Fingerprint, err = records.FingerprintFromBytes(b)
	return err
}

// A CID scans a blob.
type CID struct{ cid.Cid }

// Scan implements sql.Scanner.
func (c *CID) Scan(v any) (err error) {
	b, ok := v.([]byte)
	if !ok {
		return fmt.Errorf("link is a %T", v)
	}
	c.Cid, err = cid.Cast(b)
	return err
}
