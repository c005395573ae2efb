//go:build !linux

package blocks

import "errors"

// syncFileSystem has no equal elsewhere.
func syncFileSystem(string) error { return errors.ErrUnsupported }
