package modules

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// tryLock locks a byte far behind the journal, so that the journal can still be
// read, until f is closed by this process or by its death.
func tryLock(f *os.File) (bool, error) {
	at := &windows.Overlapped{OffsetHigh: 1}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}

// removeLock closes the lock file first, because Windows removes no open file.
// Another process that locks it in between finds nothing to recover.
func removeLock(parent *os.Root, name string, lock *os.File) error {
	if err := lock.Close(); err != nil {
		return err
	}
	err := parent.Remove(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
		return nil
	}
	return err
}

func isOccupied(err error) bool {
	return errors.Is(err, fs.ErrExist) || errors.Is(err, windows.ERROR_ACCESS_DENIED) || errors.Is(err, windows.ERROR_DIR_NOT_EMPTY)
}

// syncDir does nothing: Windows does not sync directories.
func syncDir(*os.File) error { return nil }
