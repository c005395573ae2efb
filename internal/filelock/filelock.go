// Package filelock takes exclusive locks on files. A lock ends with the process that
// has it, however it ends; its file stays, for removing it would let two processes
// lock two files.
package filelock

import (
	"context"
	"fmt"
	"time"
)

const pollInterval = 10 * time.Millisecond

// Wait takes the lock on the file at path, which it makes if there is none. It waits
// for other processes until ctx ends, and for at most timeout unless that is 0.
func Wait(ctx context.Context, path string, timeout time.Duration) (unlock func(), err error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	var expired <-chan time.Time
	if timeout > 0 {
		expired = time.After(timeout)
	}
	for {
		ok, err := Try(f)
		if err != nil {
			f.Close()
			return nil, err
		}
		if ok {
			return func() { f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-expired:
			f.Close()
			return nil, fmt.Errorf("%s: another process has held it for %v", path, timeout)
		case <-time.After(pollInterval):
		}
	}
}
