package filelock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func mustLock(t *testing.T, path string) *os.File {
	t.Helper()
	f, locked, err := TryNamed(path)
	if err != nil || !locked {
		t.Fatal(locked, err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestOneHoldsALock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	f := mustLock(t, path)
	if _, locked, err := TryNamed(path); locked || err != nil {
		t.Errorf("the second has %v, %v", locked, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	mustLock(t, path)
}

func TestWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	f := mustLock(t, path)
	_, err := Wait(t.Context(), path, 30*time.Millisecond)
	if err == nil || !strings.HasSuffix(err.Error(), "lock: another process has held it for 30ms") {
		t.Errorf("after the timeout: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := Wait(ctx, path, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the context: %v", err)
	}
	time.AfterFunc(30*time.Millisecond, func() { f.Close() })
	unlock, err := Wait(t.Context(), path, 0)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	mustLock(t, path)
}

func TestARemovedFileIsNotNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if named, err := isNamed(f, path); !named || err != nil {
		t.Errorf("a file that is there: %v, %v", named, err)
	}
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	if named, err := isNamed(f, path); named || err != nil {
		t.Errorf("a file that is gone: %v, %v", named, err)
	}
	mustLock(t, path)
	if named, err := isNamed(f, path); named || err != nil {
		t.Errorf("another file of the name: %v, %v", named, err)
	}
}
