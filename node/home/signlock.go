package home

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/everythingstays/es/internal/filelock"
)

// LockSigning makes this process the only one that adds to the logs of the home's own
// keys, and waits until it is: of two that look what was signed and then sign, the
// second sees what the first has done. The lock ends with the process.
func (h *Home) LockSigning(ctx context.Context) (unlock func(), err error) {
	if unlock, err = filelock.Wait(ctx, filepath.Join(h.dir, "sign.lock"), 0); err != nil {
		return nil, fmt.Errorf("lock for signing: %w", err)
	}
	return unlock, nil
}
