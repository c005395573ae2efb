package unixfs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/modules/internal/dagpb"
)

// An Entry is one file of a tree.
type Entry struct {
	Path string
	Size int64 // bytes
	Exec bool  // mode 0755; otherwise 0644
	CID  cid.Cid
}

// A Tree is a module that was walked and found to keep every rule. It holds no
// file contents.
type Tree struct {
	CID   cid.Cid
	Size  int64   // bytes of all files
	Files []Entry // sorted by Path, element by element
}

// Read returns the file at path, which may have at most max bytes. A file that
// is not there is fs.ErrNotExist.
func (t *Tree) Read(ctx context.Context, blocks Blocks, path string, max int64) ([]byte, error) {
	for i := range t.Files {
		f := &t.Files[i]
		if f.Path != path {
			continue
		}
		if f.Size > max {
			return nil, fmt.Errorf("read %.200q: it has %d bytes, at most %d are wanted", path, f.Size, max)
		}
		var b bytes.Buffer
		if err := f.CopyTo(ctx, blocks, &b); err != nil {
			return nil, fmt.Errorf("read %.200q: %w", path, err)
		}
		return b.Bytes(), nil
	}
	return nil, fmt.Errorf("read %.200q: %w", path, fs.ErrNotExist)
}

// Paths returns the paths of all files, as PackageJSON.Manifest takes them.
func (t *Tree) Paths() []string {
	paths := make([]string, len(t.Files))
	for i := range t.Files {
		paths[i] = t.Files[i].Path
	}
	return paths
}

// CopyTo writes the contents of a file of an inspected tree to w, and stops before a
// byte that is not the file's: a *RuleError.
func (f *Entry) CopyTo(ctx context.Context, blocks Blocks, w io.Writer) error {
	left := f.Size
	if err := copyPart(ctx, blocks, f.CID, &left, w, 0); err != nil {
		return err
	}
	if left != 0 {
		return ruleErrorf("M23", f.Path, "has %d bytes less than its blocks say", left)
	}
	return nil
}

// CopyFile writes the file whose root is c to w, at most limit bytes, and returns how many
// there were. Nobody has inspected it: what it should be a hash must say.
func CopyFile(ctx context.Context, blocks Blocks, c cid.Cid, limit int64, w io.Writer) (int64, error) {
	if err := CheckCID(c); err != nil {
		return 0, err
	}
	left := limit
	err := copyPart(ctx, blocks, c, &left, w, 0)
	return limit - left, err
}

func copyPart(ctx context.Context, blocks Blocks, c cid.Cid, left *int64, w io.Writer, depth int) error {
	if depth > 2*MaxFileDepth {
		return ruleErrorf("M22", "", "a file is deeper than %d blocks", MaxFileDepth)
	}
	b, err := fetch(ctx, blocks, c)
	if err != nil {
		return err
	}
	if c.Type() == cid.Raw {
		return copyBytes(b, left, w)
	}
	n, err := dagpb.DecodeNode(b)
	if err != nil {
		return ruleErrorf("M23", "", "block %s: %v", c, err)
	}
	f, err := dagpb.DecodeFSNode(n.Data)
	if err != nil {
		return ruleErrorf("M23", "", "block %s: its UnixFS data %v", c, err)
	}
	if err := copyBytes(f.Data, left, w); err != nil {
		return err
	}
	for i, l := range n.Links {
		before := *left
		if err := copyPart(ctx, blocks, l.CID, left, w, depth+1); err != nil {
			return err
		}
		if i >= len(f.BlockSizes) || uint64(before-*left) != f.BlockSizes[i] {
			return ruleErrorf("M23", "", "block %s: does not have the size with which it is linked", l.CID)
		}
	}
	return nil
}

func copyBytes(b []byte, left *int64, w io.Writer) error {
	if int64(len(b)) > *left {
		return ruleErrorf("M23", "", "a file has more bytes than its blocks say")
	}
	*left -= int64(len(b))
	_, err := w.Write(b)
	return err
}
