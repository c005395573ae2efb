package regularfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// readers are the three ways to read name in dir.
func readers(t *testing.T, dir, name string, limit int64) map[string]func() ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return map[string]func() ([]byte, error){
		"Read":   func() ([]byte, error) { return Read(filepath.Join(dir, name), limit) },
		"ReadIn": func() ([]byte, error) { return ReadIn(root, name, limit) },
		"ReadFS": func() ([]byte, error) { return ReadFS(os.DirFS(dir), name, limit) },
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "link"} {
		for how, read := range readers(t, dir, name, 5) {
			if b, err := read(); err != nil || string(b) != "12345" {
				t.Errorf("%s %s: %q, %v", how, name, b, err)
			}
		}
		for how, read := range readers(t, dir, name, 4) {
			var size *SizeError
			if _, err := read(); !errors.As(err, &size) || size.Limit != 4 {
				t.Errorf("%s %s with too small a limit: %v", how, name, err)
			}
		}
	}
	for how, read := range readers(t, dir, "nothing", 4) {
		if _, err := read(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s of no file: %v", how, err)
		}
	}
}

// TestThreat62EndlessFiles reads what has no end, and what never begins (SPEC I130).
func TestThreat62EndlessFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("Windows has no such files")
		return
	}
	dir := t.TempDir()
	makeFIFO(t, filepath.Join(dir, "fifo"))
	if err := os.Mkdir(filepath.Join(dir, "directory"), 0o700); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"zero": "/dev/zero", "to-fifo": "fifo", "to-directory": "directory"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"fifo", "directory", "zero", "to-fifo", "to-directory"} {
		for how, read := range readers(t, dir, name, 1<<20) {
			_, err := read()
			if leaves := how == "ReadIn" && name == "zero"; leaves && err != nil {
				continue // os.Root does not follow it out
			}
			if !errors.Is(err, ErrNotRegular) {
				t.Errorf("%s %s: %v", how, name, err)
			}
		}
	}
	// A regular file that grows while it is read, or claims no size, has the limit too.
	if b, err := Read("/proc/self/maps", 10); runtime.GOOS == "linux" && !errors.As(err, new(*SizeError)) {
		t.Errorf("a file of unknown size: %d bytes, %v", len(b), err)
	}
}
