//go:build unix

package filelock

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile(at("file"), []byte("kept"), 0o600),
		os.Symlink("file", at("link")),
		syscall.Mkfifo(at("pipe"), 0o600),
		os.Link(at("file"), at("second")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name, want string
		single     bool
	}{
		{"link", "link is a link, and must be a file: remove it", false},
		{"pipe", "pipe is not a file of its own: remove it", false},
		{"second", "second is not a file of its own: remove it", true},
		{"second", "", false},
	} {
		f, err := open(at(test.name), test.single)
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
			} else {
				f.Close()
			}
		} else if err == nil || !strings.HasSuffix(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if b, err := os.ReadFile(at("file")); err != nil || string(b) != "kept" {
		t.Errorf("the file holds %q: %v", b, err)
	}
}
