//go:build unix

package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

func syncDir(open func() (*os.File, error)) error {
	d, err := open()
	if errors.Is(err, fs.ErrPermission) {
		return nil // a directory may be written to by who may not read it
	}
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil // CIFS and some FUSE file systems
	}
	return errors.Join(err, d.Close())
}
