//go:build !windows

package modules

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock locks f until it is closed, by this process or by its death. It
// reports false when another open file of the same name holds the lock.
func tryLock(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// removeLock removes a lock file while the lock is held.
func removeLock(parent *os.Root, name string, lock *os.File) error {
	return errors.Join(parent.RemoveAll(name), lock.Close())
}

func isOccupied(err error) bool {
	return errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOTDIR)
}

func syncDir(dir *os.File) error { return dir.Sync() }
