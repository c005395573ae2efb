package node

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// openLock opens the lock file at path, and makes it if there is none.
func openLock(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) }

// tryLock takes an exclusive lock on f that ends with the process, however it
// ends. It reports false when another process has it.
func tryLock(f *os.File) (bool, error) {
	// Windows refuses reads of a locked range, and others read the pid at the
	// start of the file.
	at := &windows.Overlapped{Offset: 1 << 20}
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}

// syncDir does nothing: Windows has no such call.
func syncDir(string) error { return nil }

// ownedByUser reports true: a temporary directory is the user's own on Windows.
func ownedByUser(os.FileInfo) bool { return true }

// isAdministrator reports false: whom a directory belongs to locks nobody out on Windows.
func isAdministrator() bool { return false }

// writable says nothing: what cannot be written fails when it is.
func writable(string) error { return nil }
