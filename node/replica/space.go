package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/blocks"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/records"
)

// What seeding leaves free on the disk, and how much of it strangers may fill
// (docs/program.md [N162]).
const (
	seedReserve     = 256 << 20 // below which nothing is seeded: records and keys have room
	strangerReserve = 512 << 20 // below which no stranger's module is
	strangersSpace  = 10 << 30  // of strangers' modules together

	maxStrangersFile = 64 << 20

	fileOverhead = 4 << 10 // of a file on the disk, about
	// discardAfter is how long after a failed fetch its blocks go: whoever wrote the
	// same ones meanwhile has said so by then.
	discardAfter = 10 * time.Minute
)

// errNoRoom says that a module is not seeded for what it would take up.
var errNoRoom = errors.New("no room for seeding")

// space decides what seeding may take up.
type space struct {
	dir   string // of the home
	store *blocks.Store
	free  func(path string) (int64, error)

	mu        sync.Mutex
	claimed   map[cid.Cid]int64 // by fetches under way
	strangers int64             // of the modules that the home lists
	loaded    bool
}

func newSpace(dir string, store *blocks.Store) *space {
	return &space{dir: dir, store: store, free: blocks.FreeSpace, claimed: map[cid.Cid]int64{}}
}

func (s *space) strangersPath() string { return filepath.Join(s.dir, "strangers") }

// storedSize is about how much a module takes up in the store.
func storedSize(w records.Target) int64 { return w.Size + int64(w.Files)*fileOverhead + 64<<10 }

// claim reserves room for a module. Whoever has it calls settle.
func (s *space) claim(ctx context.Context, w records.Target, stranger bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(ctx); err != nil {
		return err
	}
	free, err := s.free(s.dir)
	if err != nil {
		return fmt.Errorf("look how much room there is: %w", err)
	}
	reserve, open := int64(seedReserve), int64(0)
	for _, n := range s.claimed {
		open += n
	}
	if stranger {
		reserve = strangerReserve
		if s.strangers+open+storedSize(w) > strangersSpace {
			return fmt.Errorf("%w: strangers' modules take up %d bytes of %d", errNoRoom, s.strangers+open, int64(strangersSpace))
		}
	}
	if free-open-storedSize(w) < reserve {
		return fmt.Errorf("%w: %d bytes are free, %d are kept free", errNoRoom, free-open, reserve)
	}
	s.claimed[w.CID] = storedSize(w)
	return nil
}

// settle ends a claim. A stranger's module that is here is listed in the home.
func (s *space) settle(w records.Target, stranger, here bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.claimed, w.CID)
	if !stranger || !here {
		return nil
	}
	s.strangers += storedSize(w)
	f, err := os.OpenFile(s.strangersPath(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("list a stranger's module: %w", err)
	}
	_, err = fmt.Fprintf(f, "%s %d\n", w.CID, storedSize(w))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("list a stranger's module: %w", err)
	}
	return nil
}

// load adds up the listed modules that are still here.
func (s *space) load(ctx context.Context) error {
	if s.loaded {
		return nil
	}
	b, err := regularfile.Read(s.strangersPath(), maxStrangersFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the list of strangers' modules: %w", err)
	}
	seen := map[cid.Cid]bool{}
	for line := range bytes.Lines(b) {
		root, size, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
		c, err := cid.Decode(string(root))
		n, sizeErr := strconv.ParseInt(string(size), 10, 64)
		if err != nil || sizeErr != nil || n < 0 || seen[c] {
			continue // a line that was cut short
		}
		seen[c] = true
		if ok, err := s.store.Has(ctx, c); err == nil && ok {
			s.strangers += n
		}
	}
	s.loaded = true
	return nil
}

// A leftover is what a fetch that failed may have left behind.
type leftover struct {
	root  cid.Cid
	since time.Time // when the fetch began
	ended time.Time
}

// discard deletes the blocks of a tree that came since the fetch began and that
// nothing else here needs, by which is meant the trees of other releases and keep.
func discard(ctx context.Context, x *index.Index, store *blocks.Store, l leftover, keep []cid.Cid) error {
	needed := map[string]bool{}
	need := func(c cid.Cid) error {
		needed[string(c.Hash())] = true
		return nil
	}
	for after := int64(0); ; {
		releases, err := x.ReleasesAfter(ctx, after, seedPage)
		if err != nil {
			return err
		}
		if len(releases) == 0 {
			break
		}
		for _, r := range releases {
			after = r.Order
			if r.Body.Module != l.root {
				keep = append(keep, r.Body.Module)
			}
		}
	}
	for _, root := range keep {
		if err := store.WalkPresent(ctx, root, need); err != nil {
			return err
		}
	}
	var gone []cid.Cid
	err := store.WalkPresent(ctx, l.root, func(c cid.Cid) error {
		at, err := store.ModTime(c)
		if err == nil && !needed[string(c.Hash())] && !at.Before(l.since.Add(-time.Second)) {
			gone = append(gone, c)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range gone {
		if err := store.Delete(ctx, c); err != nil {
			return err
		}
	}
	return nil
}
