//go:build !windows

package extract

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// removeLock removes a lock file while the lock is held.
func removeLock(parent *os.Root, name string, lock *os.File) error {
	return errors.Join(parent.RemoveAll(name), lock.Close())
}

func isOccupied(err error) bool {
	return errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOTDIR)
}
