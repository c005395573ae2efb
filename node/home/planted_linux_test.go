package home

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestThreat66PlantedPipe: what was planted in place of the daemon's lock file keeps nobody
// waiting who asks for the daemon's process.
func TestThreat66PlantedPipe(t *testing.T) {
	h := &Home{Storage: Storage{dir: t.TempDir()}}
	pipe := filepath.Join(h.dir, "node.lock")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	answered := make(chan int, 1)
	go func() { answered <- h.DaemonPID() }()
	for {
		select {
		case pid := <-answered:
			if pid != 0 {
				t.Errorf("the daemon is process %d", pid)
			}
			return
		default:
		}
		// A writer can open a pipe at once only while a reader waits.
		if w, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
			t.Error("the pipe is read")
			w.Close()
			<-answered
			return
		}
	}
}
