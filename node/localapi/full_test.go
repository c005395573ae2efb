package localapi

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/node/api"
)

// TestThreat60FullDisk tells a full disk from what peers do. SPEC N162.
func TestThreat60FullDisk(t *testing.T) {
	for _, err := range []error{
		fmt.Errorf("pull from P: %w", index.ErrFull),
		fmt.Errorf("store block: %w", &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}),
	} {
		got := api.DiskFull(err)
		if !errors.Is(got, api.ErrDiskFull) || !bytes.HasPrefix([]byte(got.Error()), []byte("the disk is full")) {
			t.Errorf("%v is %v", err, got)
		}
		if over := newWireError(got).err(); !errors.Is(over, api.ErrDiskFull) || over.Error() != got.Error() {
			t.Errorf("over the local API it is %v", over)
		}
	}
	if err := api.DiskFull(errors.New("peer is busy")); errors.Is(err, api.ErrDiskFull) {
		t.Error("a busy peer is a full disk")
	}
	if api.DiskFull(nil) != nil {
		t.Error("no error is one")
	}
}
