package interop

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// A tree is what a module holds: path with slashes to file.
type tree map[string]file

type file struct {
	mode fs.FileMode // permission bits
	size int64
	hash [sha256.Size]byte
}

func newFile(mode fs.FileMode, data []byte) file {
	return file{mode: mode, size: int64(len(data)), hash: sha256.Sum256(data)}
}

// readTree reads a directory; anything but files and directories fails.
func readTree(t testing.TB, dir string) tree {
	t.Helper()
	files := tree{}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no regular file: %v", name, info.Mode())
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(relative)] = newFile(info.Mode().Perm(), data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// without returns the tree less the named files and those under the named
// directories, which end in a slash.
func (files tree) without(names ...string) tree {
	rest := tree{}
	for name, f := range files {
		drop := false
		for _, n := range names {
			drop = drop || name == n || strings.HasSuffix(n, "/") && strings.HasPrefix(name, n)
		}
		if !drop {
			rest[name] = f
		}
	}
	return rest
}

// differences says in at most ten lines how got differs from want; it is empty
// when they are the same.
func differences(got, want tree) string {
	var lines []string
	for name, w := range want {
		if g, ok := got[name]; !ok {
			lines = append(lines, fmt.Sprintf("%q is missing", name))
		} else if g != w {
			lines = append(lines, fmt.Sprintf("%q is %v %d bytes %x, want %v %d bytes %x",
				name, g.mode, g.size, g.hash[:4], w.mode, w.size, w.hash[:4]))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			lines = append(lines, fmt.Sprintf("%q should not be there", name))
		}
	}
	sort.Strings(lines)
	if len(lines) > 10 {
		lines = append(lines[:10], fmt.Sprintf("and %d more", len(lines)-10))
	}
	return strings.Join(lines, "\n")
}

// unpack writes an npm tarball's files into dir as npm does, without the
// directory that all of them are in.
func unpack(t testing.TB, tarball, dir string) {
	t.Helper()
	f, err := os.Open(tarball)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for archive := tar.NewReader(unzipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		_, name, ok := strings.Cut(header.Name, "/")
		if !ok {
			t.Fatalf("%s: %q is in no directory", tarball, header.Name)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := root.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := root.Chmod(name, header.FileInfo().Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
}

// normalised returns the tree with the modes that a published module has: 0755
// for bins and for files that somebody may execute, 0644 for all others.
func (files tree) normalised(bins map[string]string) tree {
	executable := map[string]bool{}
	for _, name := range bins {
		executable[path.Clean(name)] = true
	}
	normal := tree{}
	for name, f := range files {
		if f.mode&0o111 != 0 || executable[name] {
			f.mode = 0o755
		} else {
			f.mode = 0o644
		}
		normal[name] = f
	}
	return normal
}

// manifest is what the tests read of a package.json.
type manifest struct {
	Name         string
	Version      string
	Bin          any
	Dependencies map[string]string
}

func readManifest(t testing.TB, dir string) manifest {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	return m
}

// bins returns the commands that the package has, and their files.
func (m manifest) bins() map[string]string {
	all := map[string]string{}
	switch bin := m.Bin.(type) {
	case string:
		all[path.Base(m.Name)] = bin
	case map[string]any:
		for command, file := range bin {
			all[command], _ = file.(string)
		}
	}
	return all
}
