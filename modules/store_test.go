package modules

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/ipfs/go-cid"
)

// memory is a Store, a Blocks and a Sizer.
type memory struct {
	mu     sync.Mutex
	blocks map[cid.Cid][]byte
	gets   int
	bytes  int64 // given out
}

func newMemory() *memory { return &memory{blocks: make(map[cid.Cid][]byte)} }

func (m *memory) Put(_ context.Context, c cid.Cid, b []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blocks[c] = b
	return nil
}

func (m *memory) Get(_ context.Context, c cid.Cid) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.blocks[c]
	if !ok {
		return nil, fmt.Errorf("block %s is not here", c)
	}
	m.gets++
	m.bytes += int64(len(b))
	return b, nil
}

// sized is a memory that also knows sizes.
type sized struct{ *memory }

func (s sized) Size(ctx context.Context, c cid.Cid) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.blocks[c]
	if !ok {
		return 0, fmt.Errorf("block %s is not here", c)
	}
	return len(b), nil
}

func (m *memory) raw(b []byte) pbLink {
	c := blockCID(cid.Raw, b)
	m.blocks[c] = b
	return pbLink{cid: c, tsize: uint64(len(b))}
}

func (m *memory) node(f *fsNode, links ...pbLink) pbLink {
	n := pbNode{links: links, data: f.encode()}
	b := n.encode()
	c := blockCID(cid.DagProtobuf, b)
	m.blocks[c] = b
	return pbLink{cid: c, tsize: uint64(len(b)) + linkedSize(links)}
}

func (m *memory) dir(links ...pbLink) pbLink {
	return m.node(&fsNode{kind: typeDirectory}, links...)
}

func named(name string, l pbLink) pbLink {
	l.name = name
	return l
}

// fileNode makes a file of links with the sizes stated.
func (m *memory) file(sizes []uint64, links ...pbLink) pbLink {
	f := &fsNode{kind: typeFile, hasSize: true, blockSizes: sizes}
	for _, s := range sizes {
		f.fileSize += s
	}
	return m.node(f, links...)
}

const minimalPackage = `{"name":"p","version":"1.0.0"}`

// packFS packs the files of fsys, and a package.json if there is none.
func packFS(t testing.TB, fsys fstest.MapFS) (*Module, *memory) {
	t.Helper()
	if fsys[packageJSON] == nil {
		fsys[packageJSON] = &fstest.MapFile{Data: []byte(minimalPackage), Mode: 0o644}
	}
	set, err := Whole(fsys)
	if err != nil {
		t.Fatal(err)
	}
	store := newMemory()
	m, err := set.Pack(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	return m, store
}

func text(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s), Mode: 0o644} }

func openRoot(t testing.TB, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// snapshot describes everything under dir: modes, link targets and contents.
func snapshot(t testing.TB, dir string) string {
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
