// Package filelock takes exclusive locks on files. A lock ends with the process that
// has it, however it ends; its file stays, for removing it would let two processes
// lock two files.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// pollInterval is how often Wait tries.
const pollInterval = 10 * time.Millisecond

// Wait takes the lock on the file at path, which it makes if there is none. It waits
// for other processes until ctx ends, and for at most timeout unless that is 0.
func Wait(ctx context.Context, path string, timeout time.Duration) (unlock func(), err error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	var expired <-chan time.Time
	if timeout > 0 {
		expired = time.After(timeout)
	}
	for {
		ok, err := Try(f)
		if err != nil {
			f.Close()
			return nil, err
		}
		if ok {
			return func() { f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-expired:
			f.Close()
			return nil, fmt.Errorf("%s: another process has held it for %v", path, timeout)
		case <-time.After(pollInterval):
		}
	}
}

// Open opens the lock file at path, and makes it if there is none, for who writes to it:
// a link is refused, and so is a file with a second name.
func Open(path string) (*os.File, error) { return open(path, true) }

// TryNamed takes the lock on the file at path, which others may remove with the directory
// that it is in, and which may have a second name. It reports false when another open
// file has the lock, or path no longer names the file when it is locked.
func TryNamed(path string) (f *os.File, locked bool, err error) {
	if f, err = open(path, false); err != nil {
		return nil, false, err
	}
	if locked, err = Try(f); err == nil && locked {
		locked, err = isNamed(f, path)
	}
	if err != nil || !locked {
		return nil, false, errors.Join(err, f.Close())
	}
	return f, true, nil
}

// isNamed reports whether path still names f: who removed it took the lock away with it.
func isNamed(f *os.File, path string) (bool, error) {
	there, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	here, err := f.Stat()
	return err == nil && os.SameFile(there, here), err
}
