//go:build unix

package owner

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// IsUser reports whether the file is this user's.
func IsUser(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Getuid()
}

// IsAdministrator reports whether this user can write where others own.
func IsAdministrator() bool { return os.Geteuid() == 0 }

// CanWrite says why this user cannot write to path.
func CanWrite(path string) error {
	if err := unix.Access(path, unix.W_OK); err != nil {
		return &os.PathError{Op: "write to", Path: path, Err: err}
	}
	return nil
}
