package ci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/everythingstays/es/modules/unixfs"
)

// A counter counts what several workers do.
type counter struct{ n atomic.Int64 }

func (c *counter) add()       { c.n.Add(1) }
func (c *counter) count() int { return int(c.n.Load()) }

// fill puts files into a directory that is new: links to those of the store, or copies
// where the file system has no links between the two or no more to one file.
func (i *installer) fill(ctx context.Context, dir string, files []unixfs.Entry) error {
	d, err := openDir(dir)
	if err != nil {
		return err
	}
	defer d.close()
	for _, e := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		stored, err := i.files.File(ctx, e)
		if err != nil {
			return err
		}
		err = d.link(stored, e.Path)
		if mustCopy(err) {
			i.copies.add()
			err = copyFile(stored, dir+string(os.PathSeparator)+e.Path, e.Exec)
		}
		if err != nil {
			return fmt.Errorf("write %q: %w", e.Path, err)
		}
	}
	return nil
}

// mustCopy reports whether a file cannot be linked there, and can be copied.
func mustCopy(err error) bool {
	for _, no := range []error{syscall.EXDEV, syscall.EMLINK, syscall.EPERM, syscall.EACCES, syscall.ENOTSUP, syscall.ENOSYS} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

func copyFile(from, to string, exec bool) error {
	mode := os.FileMode(0o644)
	if exec {
		mode = 0o755
	}
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Chmod(mode), w.Close())
}
