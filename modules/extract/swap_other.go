//go:build !linux

package extract

import (
	"errors"
	"os"
)

// exchange is not available; Swap keeps a journal instead.
func exchange(*os.Root, string, string) error { return errors.ErrUnsupported }
