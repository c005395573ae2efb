//go:build !linux

package ci

import (
	"errors"
	"os"
	"path/filepath"
)

// A dir is a directory.
type dir struct{ path string }

func openDir(path string) (dir, error) { return dir{path}, nil }

func (d dir) link(from, name string) error { return os.Link(from, filepath.Join(d.path, name)) }

func (d dir) close() {}

// exchange swaps two directories in one step, where the system can.
func exchange(a, b string) error { return errors.ErrUnsupported }
