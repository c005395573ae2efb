package home

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/everythingstays/es/internal/filelock"
	"github.com/everythingstays/es/internal/regularfile"
)

func (h *Home) lockPath() string { return filepath.Join(h.dir, "node.lock") }

// LockDaemon makes this process the daemon of the home. The lock ends with the
// process; the file stays, empty, since removing it would let two processes lock
// two files.
func (h *Home) LockDaemon() (unlock func(), err error) {
	f, err := filelock.Open(h.lockPath())
	if err != nil {
		return nil, fmt.Errorf("lock home: %w", err)
	}
	ok, err := filelock.Try(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock home: %w", err)
	}
	if !ok {
		f.Close()
		return nil, &LockedError{Home: h.dir, PID: h.DaemonPID()}
	}
	unlock = func() {
		_ = f.Truncate(0)
		f.Close()
	}
	if err := f.Truncate(0); err != nil {
		unlock()
		return nil, fmt.Errorf("lock home: %w", err)
	}
	if _, err := f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0); err != nil {
		unlock()
		return nil, fmt.Errorf("lock home: %w", err)
	}
	return unlock, nil
}

// DaemonPID returns the process id that the lock file holds, or 0.
func (h *Home) DaemonPID() int {
	b, err := regularfile.Read(h.lockPath(), maxSmall)
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return pid
}

// A LockedError says that another process is the daemon of the home.
type LockedError struct {
	Home string
	PID  int // 0 when unknown
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("another es node is running for %s", e.Home)
	}
	return fmt.Sprintf("another es node (process %d) is running for %s", e.PID, e.Home)
}
