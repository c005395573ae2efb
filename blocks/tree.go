package blocks

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/modules/unixfs"
)

// A TreeError says that a tree can be no module, whoever had all its blocks.
type TreeError struct {
	Root cid.Cid
	Err  error
}

func (e *TreeError) Error() string { return fmt.Sprintf("tree %s: %v", e.Root, e.Err) }
func (e *TreeError) Unwrap() error { return e.Err }

// Complete reports whether all blocks of a tree are here. It reads directories and the
// nodes of large files; of leaves it believes their files' names, which a fetch does
// not. The error is a *TreeError for a tree with a node that is none of UnixFS, or with
// more than modules.MaxBlocks different blocks.
func (s *Store) Complete(ctx context.Context, root cid.Cid) (bool, error) {
	seen := map[cid.Cid]bool{root: true}
	for queue := []cid.Cid{root}; len(queue) > 0; queue = queue[1:] {
		c := queue[0]
		if c.Type() == cid.Raw {
			if ok, err := s.Has(ctx, c); !ok || err != nil {
				return false, err
			}
			continue
		}
		b, err := s.Get(ctx, c)
		if errors.Is(err, fs.ErrNotExist) || errors.As(err, new(*unixfs.CorruptError)) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		links, err := unixfs.Links(c, b)
		if err != nil {
			return false, &TreeError{root, err}
		}
		for _, l := range links {
			if !seen[l] {
				if len(seen) == unixfs.MaxBlocks {
					return false, &TreeError{root, fmt.Errorf("it has more than %d blocks", unixfs.MaxBlocks)}
				}
				seen[l] = true
				queue = append(queue, l)
			}
		}
	}
	return true, nil
}

// WalkPresent calls visit for the blocks of a tree that are here, as far as they can be
// found.
func (s *Store) WalkPresent(ctx context.Context, root cid.Cid, visit func(cid.Cid) error) error {
	seen := map[cid.Cid]bool{root: true}
	for queue := []cid.Cid{root}; len(queue) > 0; queue = queue[1:] {
		c := queue[0]
		ok, err := s.Has(ctx, c)
		if err != nil || !ok {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		if err := visit(c); err != nil {
			return err
		}
		if c.Type() == cid.Raw {
			continue
		}
		b, err := s.Get(ctx, c)
		if err != nil {
			continue
		}
		links, err := unixfs.Links(c, b)
		if err != nil {
			continue
		}
		for _, l := range links {
			if !seen[l] {
				seen[l] = true
				queue = append(queue, l)
			}
		}
	}
	return nil
}
