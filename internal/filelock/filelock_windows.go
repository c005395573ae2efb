package filelock

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// Open opens the lock file at path, and makes it if there is none.
func Open(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) }

// Try takes the lock on f, which lasts until f is closed. It reports false when
// another open file has it.
func Try(f *os.File) (bool, error) {
	// Windows refuses reads of a locked range, and others read what the start of the
	// file says.
	at := &windows.Overlapped{Offset: 1 << 20}
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}
