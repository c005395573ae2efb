package ci

import (
	"errors"

	"golang.org/x/sys/unix"
)

// A dir is an open directory: names in it are looked up from there.
type dir struct{ fd int }

func openDir(path string) (dir, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	return dir{fd}, err
}

func (d dir) link(from, name string) error {
	return unix.Linkat(unix.AT_FDCWD, from, d.fd, name, 0)
}

func (d dir) close() { unix.Close(d.fd) }

// exchange swaps two directories in one step.
func exchange(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return errors.ErrUnsupported
	}
	return err
}
