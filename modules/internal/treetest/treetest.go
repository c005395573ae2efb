// Package treetest is for tests: blocks in memory, and trees that no Builder makes.
package treetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/everythingstays/es/modules/internal/dagpb"
	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// A Store keeps blocks in memory. It is a unixfs.Store and a unixfs.Blocks.
type Store struct {
	mu     sync.Mutex
	Blocks map[cid.Cid][]byte
	Gets   int
	Given  int64 // given out
}

// New returns an empty Store.
func New() *Store { return &Store{Blocks: make(map[cid.Cid][]byte)} }

// Put keeps a block.
func (m *Store) Put(_ context.Context, c cid.Cid, b []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Blocks[c] = b
	return nil
}

// Get returns a block and counts it.
func (m *Store) Get(_ context.Context, c cid.Cid) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.Blocks[c]
	if !ok {
		return nil, fmt.Errorf("block %s is not here", c)
	}
	m.Gets++
	m.Given += int64(len(b))
	return b, nil
}

// Sized is a Store that is a unixfs.Sizer too.
type Sized struct{ *Store }

// Size returns the bytes of a block.
func (s Sized) Size(ctx context.Context, c cid.Cid) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.Blocks[c]
	if !ok {
		return 0, fmt.Errorf("block %s is not here", c)
	}
	return len(b), nil
}

// Raw stores a raw block.
func (m *Store) Raw(b []byte) dagpb.Link {
	c := dagpb.CID(cid.Raw, b)
	m.Blocks[c] = b
	return dagpb.Link{CID: c, Tsize: uint64(len(b))}
}

// Node stores a DAG-PB block.
func (m *Store) Node(f *dagpb.FSNode, links ...dagpb.Link) dagpb.Link {
	n := dagpb.Node{Links: links, Data: f.Encode()}
	b := n.Encode()
	c := dagpb.CID(cid.DagProtobuf, b)
	m.Blocks[c] = b
	return dagpb.Link{CID: c, Tsize: uint64(len(b)) + dagpb.LinkedSize(links)}
}

// Dir stores a directory.
func (m *Store) Dir(links ...dagpb.Link) dagpb.Link {
	return m.Node(&dagpb.FSNode{Type: dagpb.TypeDirectory}, links...)
}

// Named returns l with a name.
func Named(name string, l dagpb.Link) dagpb.Link {
	l.Name = name
	return l
}

// File makes a file of links with the sizes stated.
func (m *Store) File(sizes []uint64, links ...dagpb.Link) dagpb.Link {
	f := &dagpb.FSNode{Type: dagpb.TypeFile, HasFileSize: true, BlockSizes: sizes}
	for _, s := range sizes {
		f.FileSize += s
	}
	return m.Node(f, links...)
}

// Text is a file with these contents.
func Text(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s), Mode: 0o644} }

// OpenRoot opens a directory until the test ends.
func OpenRoot(t testing.TB, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// Snapshot describes everything under dir: modes, link targets and contents.
func Snapshot(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(p)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%v %q %q\n", info.Mode(), rel, data)
		case info.Mode()&os.ModeSymlink != 0:
			target, _ := os.Readlink(p)
			fmt.Fprintf(&b, "%q -> %q\n", rel, target)
		default:
			fmt.Fprintf(&b, "%v %q\n", info.Mode(), rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Block stores any bytes as a block of the codec.
func (m *Store) Block(codec uint64, b []byte) dagpb.Link {
	c := dagpb.CID(codec, b)
	m.Blocks[c] = b
	return dagpb.Link{CID: c, Tsize: uint64(len(b))}
}

// RuleOf returns the tag of the rule that err says is broken, or "".
func RuleOf(err error) string {
	var r *unixfs.RuleError
	if errors.As(err, &r) {
		return r.Rule
	}
	return ""
}

// BlockLines lists blocks by CID, each with its bytes in hexadecimal. Of more than 64
// KiB that are all zero their number is written: "0*2097152".
func BlockLines(m *Store) string {
	var lines []string
	for c, b := range m.Blocks {
		data := fmt.Sprintf("%x", b)
		if len(b) > 64<<10 && len(bytes.Trim(b, "\x00")) == 0 {
			data = fmt.Sprintf("0*%d", len(b))
		}
		lines = append(lines, fmt.Sprintf("%s %s\n", c, data))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// Everything is a module with all that a tree can hold.
func Everything(seed uint64) fstest.MapFS {
	r := rand.New(rand.NewPCG(seed, 7))
	big := make([]byte, 2<<20+17)
	for i := range big {
		big[i] = byte(r.Uint32())
	}
	exact := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	return fstest.MapFS{
		npmjson.FileName:              Text(`{"name":"@s/every","version":"1.2.3-rc.1","bin":{"tool":"bin/tool.js"}}`),
		"empty":                       Text(""),
		"bin/tool.js":                 Text("#!/usr/bin/env node\nconsole.log(1)\n"),
		"bin/empty":                   {Mode: 0o755},
		"bin/big":                     {Data: big, Mode: 0o711},
		".dot/.file":                  Text("dot"),
		"big":                         {Data: big, Mode: 0o600},
		"exact":                       {Data: exact, Mode: 0o444},
		"lib/grüße/日本.js":             Text("x"),
		"lib/e\u0301.js":              Text("decomposed"),
		"a b/-c (d)/#e":               Text("odd"),
		"node_modules/x/package.json": Text("{}"),
	}
}

// CheckExtracted compares a directory with the files of a module.
func CheckExtracted(t *testing.T, dir string, want fstest.MapFS) {
	t.Helper()
	found := 0
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if e.IsDir() {
			if info.Mode().Perm() != 0o755 {
				t.Errorf("directory %q has mode %v", p, info.Mode())
			}
			return nil
		}
		found++
		rel, _ := filepath.Rel(dir, p)
		file := want[filepath.ToSlash(rel)]
		if file == nil {
			t.Errorf("file %q was never packed", rel)
			return nil
		}
		data, err := os.ReadFile(p)
		if err != nil || !bytes.Equal(data, file.Data) {
			t.Errorf("file %q differs: %v", rel, err)
		}
		mode := fs.FileMode(0o644)
		if file.Mode&0o100 != 0 || rel == "bin/tool.js" {
			mode = 0o755
		}
		if info.Mode() != mode {
			t.Errorf("file %q has mode %v, want %v", rel, info.Mode(), mode)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found != len(want) {
		t.Errorf("extracted %d files of %d", found, len(want))
	}
}

// MinimalPackage is the smallest package.json.
const MinimalPackage = `{"name":"p","version":"1.0.0"}`

// Pack stores the files of fsys, and a package.json if there is none.
func Pack(t testing.TB, fsys fstest.MapFS) (records.Target, *Store) {
	t.Helper()
	if fsys["package.json"] == nil {
		fsys["package.json"] = Text(MinimalPackage)
	}
	pkg, err := npmjson.Parse(fsys["package.json"].Data)
	if err != nil {
		t.Fatal(err)
	}
	programs := map[string]bool{}
	for _, command := range pkg.Object("bin").Keys() {
		programs[pkg.Object("bin").Text(command)] = true
	}
	paths := slices.SortedFunc(maps.Keys(fsys), unixfs.ComparePaths)
	store := New()
	b := unixfs.NewBuilder(store)
	var files []unixfs.Root
	for _, p := range paths {
		f, err := b.File(t.Context(), bytes.NewReader(fsys[p].Data), int64(len(fsys[p].Data)), fsys[p].Mode&0o100 != 0 || programs[p])
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	root, size, err := b.Tree(t.Context(), paths, files)
	if err != nil {
		t.Fatal(err)
	}
	return records.Target{CID: root, Size: size, Files: int64(len(paths))}, store
}

// SomeAuthor returns a fingerprint.
func SomeAuthor(t testing.TB) records.Fingerprint {
	t.Helper()
	f, err := records.FingerprintFromBytes(make([]byte, 20))
	if err != nil {
		t.Fatal(err)
	}
	return f
}
