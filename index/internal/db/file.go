// Package db is the SQLite file of an index: how it is opened, read and written in
// transactions, and what an error of it means to a user. It knows no table and no
// record.
package db

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
	"syscall"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// BusyWait is how long a call waits for other processes.
const BusyWait = 5 * time.Second

// readers is how many queries run at once.
const readers = 4

// ErrReadOnly is returned by what would change a file that is open for reading.
var ErrReadOnly = errors.New("the index is open for reading only")

// ErrFull is what errors wrap when the disk has no room for what was to be stored.
var ErrFull error = fullError{}

// fullError is syscall.ENOSPC to those who ask, however SQLite came to it.
type fullError struct{}

func (fullError) Error() string        { return "there is no space left on the disk" }
func (fullError) Is(target error) bool { return target == syscall.ENOSPC }

// A File is an open database. It may be used by several goroutines, and several
// processes may have the same file open.
type File struct {
	Path    string
	Readers *sql.DB // any number of queries at once; cannot write
	Writer  *sql.DB // one connection, whose transactions are immediate; nil when open for reading

	reading string // how connections that write nothing open the file

	writeMu sync.Mutex
	full    bool // the write connection's synchronous setting, under writeMu
}

// Open opens the file at path and makes it if there is none, readable by its owner
// alone. The directory must exist. prepare is called when the file can be written and
// nothing reads it yet; it makes the tables.
func Open(ctx context.Context, path string, prepare func(*File) error) (*File, error) {
	f := &File{Path: path}
	err := f.open(ctx, prepare)
	return f.orClose(err)
}

// OpenReadOnly opens the file at path for reading, also where nothing can be written.
func OpenReadOnly(path string) (*File, error) {
	f := &File{Path: path, reading: "&mode=ro"}
	if _, err := os.Lstat(path + "-wal"); errors.Is(err, fs.ErrNotExist) {
		// Without this, SQLite makes the files of a log. Without a log, nobody who has
		// the index open writes to this file itself.
		f.reading += "&immutable=1"
	}
	return f.orClose(f.openReaders(f.reading))
}

func (f *File) orClose(err error) (*File, error) {
	if err != nil {
		err = f.Explain("open index", err)
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *File) open(ctx context.Context, prepare func(*File) error) (err error) {
	if err := makePrivate(f.Path); err != nil {
		return err
	}
	if f.Writer, err = sql.Open("sqlite", dsn(f.Path, "&_txlock=immediate")); err != nil {
		return err
	}
	f.Writer.SetMaxOpenConns(1)
	if err := prepare(f); err != nil {
		return err
	}
	if err := f.openReaders(""); err != nil {
		return err
	}
	return f.Readers.PingContext(ctx)
}

func (f *File) openReaders(options string) (err error) {
	if f.Readers, err = sql.Open("sqlite", dsn(f.Path, options+"&_query_only=1")); err != nil {
		return err
	}
	f.Readers.SetMaxOpenConns(readers)
	f.Readers.SetMaxIdleConns(readers)
	return nil
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
		u.String(), BusyWait.Milliseconds(), options)
}

// UseWAL sets the journal mode, which stays with the file. SQLite does not wait
// for other processes here, however long its timeout is.
func (f *File) UseWAL(ctx context.Context) error {
	for deadline := time.Now().Add(BusyWait); ; {
		var mode string
		err := f.Writer.QueryRowContext(ctx, "PRAGMA journal_mode=WAL").Scan(&mode)
		if err == nil && mode != "wal" {
			return fmt.Errorf("%s: the file system does not support what several processes at once need (journal mode %q)", f.Path, mode)
		}
		var se *sqlite.Error
		if err == nil || !errors.As(err, &se) || se.Code()&0xff != sqlite3.SQLITE_BUSY || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Close waits for running writes and closes the file.
func (f *File) Close() error {
	f.writeMu.Lock()
	defer f.writeMu.Unlock()
	var errs []error
	for _, db := range []*sql.DB{f.Readers, f.Writer} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return f.Explain("close index", err)
	}
	return nil
}

// IsCorrupt reports whether an error of the database says that the file is damaged.
func IsCorrupt(err error) (corrupt, ofDatabase bool) {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return false, false
	}
	return se.Code()&0xff == sqlite3.SQLITE_CORRUPT, true
}

// Explain adds to an error of the database what a user can do about it.
func (f *File) Explain(op string, err error) error {
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
		text = fmt.Sprintf("another process has kept it busy for more than %v; try again", BusyWait)
	case sqlite3.SQLITE_IOERR:
		text = "cannot be read or written; is the disk full or failing?"
	default:
		return fmt.Errorf("%s: %s: %w", op, f.Path, err)
	}
	return fmt.Errorf("%s: %s: %s (%w)", op, f.Path, text, err)
}
