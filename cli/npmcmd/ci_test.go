package npmcmd

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/internal/filelock"
)

// Who waits for another installation is told so, and can stop waiting.
func TestWaitForAnotherInstallation(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ci.lock")
	unlock, err := filelock.Wait(t.Context(), file, 0)
	if err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	a := cli.App{Streams: &ui.Streams{Err: &told}}
	ctx, cancel := context.WithTimeout(t.Context(), quietWait+time.Second/2)
	defer cancel()
	if _, err := lockInstalls(ctx, a, file); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if want := "es: another es ci is at work with this home: waiting for it\n"; told.String() != want {
		t.Errorf("told %q", told.String())
	}
	unlock()
	told.Reset()
	unlock, err = lockInstalls(t.Context(), a, file)
	if err != nil || told.Len() > 0 {
		t.Fatalf("%v, told %q", err, told.String())
	}
	unlock()
}
