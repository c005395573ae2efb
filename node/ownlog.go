package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// signingEvery is how often a process looks whether it may sign.
const signingEvery = 20 * time.Millisecond

// LockSigning makes this process the only one that adds to the logs of the home's own
// keys, and waits until it is: of two that look what was signed and then sign, the
// second sees what the first has done. The lock ends with the process.
func (h *Home) LockSigning(ctx context.Context) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(h.dir, "sign.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock for signing: %w", err)
	}
	for {
		ok, err := tryLock(f)
		switch {
		case err != nil:
			f.Close()
			return nil, fmt.Errorf("lock for signing: %w", err)
		case ok:
			return func() { f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(signingEvery):
		}
	}
}
