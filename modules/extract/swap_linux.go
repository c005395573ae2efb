package extract

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// exchange swaps two names in parent in one step, following no link. It is
// errors.ErrUnsupported on file systems that cannot.
func exchange(parent *os.Root, a, b string) error {
	dir, err := parent.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	fd := int(dir.Fd())
	err = unix.Renameat2(fd, a, fd, b, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return errors.ErrUnsupported
	}
	return err
}
