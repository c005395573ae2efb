//go:build !linux

package modules

import (
	"errors"
	"os"
)

// exchange is not available; Swap keeps a journal instead.
func exchange(*os.Root, string, string) error { return errors.ErrUnsupported }
