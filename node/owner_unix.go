//go:build unix

package node

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownedByUser reports whether the file is this user's.
func ownedByUser(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Getuid()
}

// isAdministrator reports whether this user can write where others own.
func isAdministrator() bool { return os.Geteuid() == 0 }

// writable says why this user cannot write to path.
func writable(path string) error {
	if err := unix.Access(path, unix.W_OK); err != nil {
		return &os.PathError{Op: "write to", Path: path, Err: err}
	}
	return nil
}
