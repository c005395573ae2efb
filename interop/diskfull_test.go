package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestThreat48DiskFull has a home and a project on a disk of their own, with room for
// ever less: publishing and adding end well or with an error that says so, nothing
// half-done shows, and once there is room everything works. It needs root, for the
// disk.
func TestThreat48DiskFull(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=16m"); err != nil {
		t.Fatalf("mount a disk of 16 MiB: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	u := newUser(t)
	u.home = filepath.Join(disk, "user", "es")
	u.es(disk, "key", "new", "--name", "ada", "--no-passphrase")
	source := t.TempDir()
	write(t, filepath.Join(source, "data.bin"), strings.Repeat("0123456789abcdef", 1<<14))
	filler := filepath.Join(disk, "filler")
	failed := 0
	points := 16
	if os.Getenv("ES_FULL") != "" {
		points = 50
	}
	for i := range points {
		version := fmt.Sprintf("1.0.%d", i)
		write(t, filepath.Join(source, "package.json"), `{"name":"big","version":"`+version+`"}`)
		write(t, filepath.Join(source, "which.txt"), version)
		project := filepath.Join(disk, "project")
		if err := os.MkdirAll(project, 0o755); err != nil {
			t.Fatal(err)
		}
		fill(t, disk, filler, int64(i)*32<<10)
		publish := u.try(source, "publish")
		add := u.try(project, "add", "big", "--yes")
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		for _, r := range []result{publish, add} {
			if r.code != 0 {
				failed++
			}
			if r.code != 0 && (r.stderr == "" || strings.Contains(r.stderr, "goroutine ")) || r.code < 0 {
				t.Errorf("with %d KiB free: %v", i*32, r)
			}
		}
		// With room again, what was acknowledged is there and what failed can be done.
		if publish.code != 0 {
			u.es(source, "publish")
		}
		u.es(project, "add", "big@"+version, "--yes")
		u.es(project, "verify")
		if b, err := os.ReadFile(filepath.Join(project, "node_modules/big/which.txt")); err != nil || string(b) != version {
			t.Errorf("with %d KiB free, and then with room: installed %q, %v", i*32, b, err)
		}
		if err := os.RemoveAll(project); err != nil {
			t.Fatal(err)
		}
	}
	if failed == 0 {
		t.Error("the disk was never full")
	}
	t.Logf("%d of %d commands failed for want of room", failed, 2*points)
}

// fill leaves so many bytes of the disk free.
func fill(t *testing.T, disk, file string, free int64) {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(disk, &st); err != nil {
		t.Fatal(err)
	}
	n := int64(st.Bavail)*st.Bsize - free
	if n < 0 {
		n = 0
	}
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunk := make([]byte, 64<<10)
	for n > 0 {
		w, err := f.Write(chunk[:min(n, int64(len(chunk)))])
		n -= int64(w)
		if err != nil {
			return // full
		}
	}
}
