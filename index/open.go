package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// busyWait is how long a call waits for other processes.
const busyWait = 5 * time.Second

// readers is how many queries run at once.
const readers = 4

// An Index is an open store. It may be used by several goroutines, and several
// processes may have the same store open.
type Index struct {
	path    string
	reading string  // how connections that write nothing open the file
	r       *sql.DB // any number of readers; cannot write
	w       *sql.DB // one connection, whose transactions are immediate; nil when opened for reading

	writeMu sync.Mutex
	full    bool           // the write connection's synchronous setting, under writeMu
	limit   StrangersLimit // under writeMu

	crowd int // see the constant; tests make it smaller

	keyMu  sync.Mutex
	keys   map[records.Fingerprint]*sign.Key // parsed blocks, under keyMu
	merged map[records.Element]bool          // key blocks that would bring nothing, under keyMu

	nodes *lru.Cache[nodeKey, any] // of the set: what SetView has read
}

// Open opens the index at path and makes it if there is none, readable by its owner
// alone. The directory must exist.
func Open(ctx context.Context, path string) (*Index, error) {
	return opened(path, func(x *Index) error { return x.open(ctx) })
}

// OpenReadOnly opens the index at path for reading, also where nothing can be written
// (SPEC.md [N101]). What changes the index fails with ErrReadOnly.
func OpenReadOnly(ctx context.Context, path string) (*Index, error) {
	return opened(path, func(x *Index) error { return x.openReadOnly(ctx) })
}

// ErrReadOnly is returned by what would change an index that is open for reading.
var ErrReadOnly = errors.New("the index is open for reading only")

func opened(path string, open func(*Index) error) (*Index, error) {
	nodes, err := lru.New[nodeKey, any](cachedNodes)
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	x := &Index{path: path, crowd: crowd, keys: map[records.Fingerprint]*sign.Key{}, merged: map[records.Element]bool{}, nodes: nodes}
	if err := open(x); err != nil {
		x.Close()
		return nil, x.explain("open index", err)
	}
	return x, nil
}

func (x *Index) openReadOnly(ctx context.Context) (err error) {
	x.reading = "&mode=ro"
	if _, err := os.Lstat(x.path + "-wal"); errors.Is(err, fs.ErrNotExist) {
		// Without this, SQLite makes the files of a log. Without a log, nobody who has
		// the index open writes to this file itself.
		x.reading += "&immutable=1"
	}
	if x.r, err = sql.Open("sqlite", dsn(x.path, x.reading+"&_query_only=1")); err != nil {
		return err
	}
	x.r.SetMaxOpenConns(readers)
	x.r.SetMaxIdleConns(readers)
	version, err := x.inspect(ctx, x.r)
	if err == nil && version != schemaVersion {
		err = fmt.Errorf("%s has format %d and cannot be brought to %d where it cannot be written", x.path, version, schemaVersion)
	}
	return err
}

// makePrivate makes the file at path if there is none, and sees to it that its owner
// alone can read it and what SQLite puts beside it, which gets the same mode.
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, fs.ErrExist) {
		return nil // SQLite says what is wrong
	}
	// An index that is there is not opened: closing it would drop the locks that this
	// process has on it.
	for _, file := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Lstat(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s cannot be opened: it is a link, or no file; move it away", file)
		case info.Mode().Perm()&0o077 != 0:
			if err := os.Chmod(file, info.Mode().Perm()&0o700); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

func (x *Index) open(ctx context.Context) (err error) {
	if err := makePrivate(x.path); err != nil {
		return err
	}
	if x.w, err = sql.Open("sqlite", dsn(x.path, "&_txlock=immediate")); err != nil {
		return err
	}
	x.w.SetMaxOpenConns(1)
	if err := x.prepare(ctx); err != nil {
		return err
	}
	if x.r, err = sql.Open("sqlite", dsn(x.path, "&_query_only=1")); err != nil {
		return err
	}
	x.r.SetMaxOpenConns(readers)
	x.r.SetMaxIdleConns(readers)
	return x.r.PingContext(ctx)
}

// dsn spells path as a URI, since SQLite would take a '?' or '%' in it for more.
func dsn(path, options string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	path = filepath.ToSlash(path)
	if path[0] != '/' { // C:/...
		path = "/" + path
	}
	u := url.URL{Scheme: "file", Path: path}
	return fmt.Sprintf("%s?_busy_timeout=%d&_foreign_keys=1&_synchronous=NORMAL&_dqs=0&_defensive=1&_error_rc=1%s",
		u.String(), busyWait.Milliseconds(), options)
}

// Close waits for running calls and closes the store.
func (x *Index) Close() error {
	x.writeMu.Lock()
	defer x.writeMu.Unlock()
	var errs []error
	for _, db := range []*sql.DB{x.r, x.w} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return x.explain("close index", err)
	}
	return nil
}

// Check reads the whole store and reports damage.
func (x *Index) Check(ctx context.Context) error {
	var verdict string
	if err := x.r.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
		return x.explain("check index", err)
	}
	if verdict != "ok" {
		return fmt.Errorf("check index: %s is damaged: %s", x.path, clip(verdict))
	}
	if err := x.snapshot(ctx, func(q queries) error { return q.checkSet(ctx) }); err != nil {
		return x.explain("check index", err)
	}
	return nil
}

// write runs fn in a transaction. With full set, what it wrote is on the disk
// before write returns; otherwise a power cut may take it, whole, but nothing else.
func (x *Index) write(ctx context.Context, full bool, fn func(*batch) error) error {
	if x.w == nil {
		return ErrReadOnly
	}
	x.writeMu.Lock()
	defer x.writeMu.Unlock()
	if full != x.full {
		level := "NORMAL"
		if full {
			level = "FULL"
		}
		if _, err := x.w.ExecContext(ctx, "PRAGMA synchronous="+level); err != nil {
			return err
		}
		x.full = full
	}
	tx, err := x.w.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	b := newBatch(x, tx)
	err = fn(b)
	if err == nil {
		err = b.settleStrangers(ctx)
	}
	if err == nil {
		err = b.flushSet(ctx)
	}
	if err != nil {
		tx.Rollback()
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	x.rememberMerged(b.merged)
	return nil
}

// snapshot runs fn, all of whose queries see the store at one moment.
func (x *Index) snapshot(ctx context.Context, fn func(queries) error) error {
	tx, err := x.r.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return fn(newQueries(tx))
}

// explain adds to an error of the database what a user can do about it.
func (x *Index) explain(op string, err error) error {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return fmt.Errorf("%s: %w", op, err)
	}
	text := ""
	if se.Code() == sqlite3.SQLITE_IOERR_SHMSIZE { // no room for the file that processes share
		return fmt.Errorf("%s: %w; nothing was changed", op, ErrFull)
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_NOTADB:
		text = "is not an index of es; move it away"
	case sqlite3.SQLITE_CORRUPT:
		text = "is damaged; move it away, and es will fetch the records of others again"
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%s: %w; nothing was changed", op, ErrFull)
	case sqlite3.SQLITE_READONLY:
		text = "cannot be written; is the file or its file system read-only?"
	case sqlite3.SQLITE_CANTOPEN:
		text = "cannot be opened; does the directory exist, and may you write there?"
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		text = fmt.Sprintf("another process has kept it busy for more than %v; try again", busyWait)
	case sqlite3.SQLITE_IOERR:
		text = "cannot be read or written; is the disk full or failing?"
	default:
		return fmt.Errorf("%s: %s: %w", op, x.path, err)
	}
	return fmt.Errorf("%s: %s: %s (%w)", op, x.path, text, err)
}
