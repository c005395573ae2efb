//go:build unix

package blocks

import (
	"errors"
	"io"
	"syscall"
)

// Package os asks the kernel three times more often than small files need: it
// offers each file to the poller, and looks at the target of each rename.

// readFile reads a file of at most most bytes, or the first of a longer one. A pipe has
// nobody wait for who writes to it, and a device has no bytes.
func readFile(path string, most int) ([]byte, error) {
	fd, err := retry(func() (int, error) {
		return syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	var info syscall.Stat_t
	if err := syscall.Fstat(fd, &info); err != nil {
		return nil, err
	}
	b := make([]byte, min(int(info.Size), most))
	for read := 0; read < len(b); {
		n, err := retry(func() (int, error) { return syscall.Read(fd, b[read:]) })
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return b[:read], nil
		}
		read += n
	}
	return b, nil
}

// createFile writes a file that is not there yet.
func createFile(path string, b []byte) error {
	fd, err := retry(func() (int, error) {
		return syscall.Open(path, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL|syscall.O_CLOEXEC, 0o600)
	})
	if err != nil {
		return err
	}
	for len(b) > 0 && err == nil {
		var n int
		if n, err = retry(func() (int, error) { return syscall.Write(fd, b) }); n == 0 && err == nil {
			err = io.ErrShortWrite
		}
		b = b[max(n, 0):]
	}
	return errors.Join(err, syscall.Close(fd))
}

func renameFile(from, to string) error { return syscall.Rename(from, to) }

// retry calls f until no signal comes between.
func retry(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}
