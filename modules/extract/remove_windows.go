package extract

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

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
