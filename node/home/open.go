package home

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/everythingstays/es/blocks"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/internal/owner"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/node/peerbook"
)

// layoutVersion is the layout of the directory that this code writes. It reads and
// migrates those before it:
//
//	1  index.db as the umask said; no keys/FINGERPRINT.rev
//	2  this one
const layoutVersion = 2

// Why a directory is not opened as a home.
var (
	ErrNotHome  = errors.New("it holds other files, and is no home of es")
	ErrForeign  = errors.New("it belongs to another user")
	ErrReadOnly = errors.New("it cannot be written")
)

// Open opens the home directory dir for reading and writing, and makes it where
// there is nothing or an empty directory (docs/program.md [N1], [N100]). Only its owner can
// read it. The error is ErrNotHome, ErrForeign or ErrReadOnlyHome where that is
// why; then nothing has changed. Close must be called.
func Open(ctx context.Context, dir string) (*Home, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open home: %w", err)
	}
	h, err := openAt(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("open home %s: %w", dir, err)
	}
	return h, nil
}

func newHome(dir string, readOnly bool) *Home {
	return &Home{Storage: Storage{dir: dir}, readOnly: readOnly, peers: peerbook.New(filepath.Join(dir, "peers.json"), readOnly)}
}

func openAt(ctx context.Context, dir string) (*Home, error) {
	h := newHome(dir, false)
	if err := h.open(); err != nil {
		return nil, err
	}
	var err error
	if h.index, err = index.Open(ctx, filepath.Join(dir, "index.db")); err != nil {
		return nil, err
	}
	return h, nil
}

// OpenStorage is Open for who needs no index, which it neither opens nor makes. There is
// nothing to close.
func OpenStorage(dir string) (*Storage, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open home: %w", err)
	}
	s := &Storage{dir: dir}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open home %s: %w", dir, err)
	}
	return s, nil
}

// open makes the home where there is none, and opens its blocks.
func (s *Storage) open() error {
	found, err := inspect(s.dir)
	if err != nil {
		return err
	}
	if err := found.mayWrite(s.dir); err != nil {
		return err
	}
	if err := found.prepare(s.dir); err != nil {
		return err
	}
	s.blocks, err = blocks.Open(filepath.Join(s.dir, "blocks"))
	return err
}

// OpenForReading opens the home directory dir for a command that only reads. Where there is
// no home it makes none, and the Home is as if a new one had been made; where this
// user may not write, ReadOnly reports so, and what wants to write fails (SPEC.md
// [N101]). Elsewhere it is Open. Close must be called.
func OpenForReading(ctx context.Context, dir string) (*Home, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open home: %w", err)
	}
	found, err := inspect(dir)
	if err != nil {
		return nil, fmt.Errorf("open home %s: %w", dir, err)
	}
	if found.version > 0 && found.mayWrite(dir) == nil {
		return Open(ctx, dir)
	}
	h := newHome(dir, true)
	if err := h.readParts(ctx); err != nil {
		h.Close()
		return nil, fmt.Errorf("open home %s: %w", dir, err)
	}
	return h, nil
}

// readParts opens the blocks and the index of a home that is not written to. What is not
// there is elsewhere until Close: empty, and good for asking peers.
func (h *Home) readParts(ctx context.Context) (err error) {
	path := filepath.Join(h.dir, "index.db")
	if _, err := os.Lstat(path); err == nil {
		if h.blocks, err = blocks.OpenReadOnly(filepath.Join(h.dir, "blocks")); err != nil {
			return err
		}
		h.index, err = index.OpenReadOnly(ctx, path)
		return err
	}
	if h.scratch, err = os.MkdirTemp("", "es-"); err != nil { // mode 0700
		return err
	}
	if h.Absent() {
		h.blocks, err = blocks.Open(filepath.Join(h.scratch, "blocks"))
	} else { // one that needed no index so far: see OpenStorage
		h.blocks, err = blocks.OpenReadOnly(filepath.Join(h.dir, "blocks"))
	}
	if err != nil {
		return err
	}
	h.index, err = index.Open(ctx, filepath.Join(h.scratch, "index.db"))
	return err
}

// foundDir is what stands where a home should be.
type foundDir struct {
	info    fs.FileInfo // nil for nothing
	version int         // 0 for a directory that can become a home
}

// writtenByHand are the files that users put into a home before es has made it.
var writtenByHand = []string{"trust", "network", "swarm.key"}

// inspect looks at dir without changing it.
func inspect(dir string) (found foundDir, err error) {
	found.info, err = os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return foundDir{}, nil
	}
	if err != nil {
		return found, err
	}
	if !found.info.IsDir() {
		return found, errors.New("it is a file, not a directory")
	}
	b, err := regularfile.Read(filepath.Join(dir, "version"), maxSmall)
	if errors.Is(err, fs.ErrNotExist) {
		return found, checkEmpty(dir)
	}
	if err != nil {
		return found, err
	}
	if found.version, err = strconv.Atoi(strings.TrimSpace(string(b))); err != nil || found.version < 1 {
		return found, fmt.Errorf("its version file says %.20q, which is no version", b)
	}
	if found.version > layoutVersion {
		return found, fmt.Errorf("it has version %d and this es knows %d: use a newer es", found.version, layoutVersion)
	}
	if !hasParts(dir) {
		found.version = 0 // the file is somebody else's, or es was killed when it made the home
		return found, checkEmpty(dir, "version")
	}
	return found, nil
}

// hasParts reports whether a directory with a version file has what only es makes: a
// repository of kubo has a version and blocks too. Keys may have been moved elsewhere.
func hasParts(dir string) bool {
	keys, err := os.Lstat(filepath.Join(dir, "keys"))
	if err == nil && keys.IsDir() {
		return true
	}
	index, err := os.Lstat(filepath.Join(dir, "index.db"))
	return err == nil && index.Mode().IsRegular()
}

// checkEmpty refuses a directory that holds what is not es's, but for the names given.
func checkEmpty(dir string, but ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if !slices.Contains(writtenByHand, name) && !slices.Contains(but, name) && name != "lost+found" && !isUnfinished(name) {
			return fmt.Errorf("%w (%q)", ErrNotHome, name)
		}
	}
	return nil
}

// mayWrite says why nothing may be written into dir, or made there.
func (f foundDir) mayWrite(dir string) error {
	info, written := f.info, []string{dir, filepath.Join(dir, "index.db")}
	if info == nil {
		above, err := existing(dir)
		if err != nil {
			return err
		}
		if info, err = os.Stat(above); err != nil {
			return err
		}
		written = []string{above}
	}
	// Where there is no home yet, an administrator alone can make one that the owner of
	// the place cannot enter.
	if !owner.IsUser(info) && (f.info != nil || owner.IsAdministrator()) {
		return fmt.Errorf("%w, whom files of yours would lock out of it", ErrForeign)
	}
	for _, path := range written {
		if err := owner.CanWrite(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %v", ErrReadOnly, err)
		}
	}
	return nil
}

// existing returns dir or the nearest directory above it that is there.
func existing(dir string) (string, error) {
	for {
		_, err := os.Stat(dir)
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return dir, err
		}
		dir = filepath.Dir(dir)
	}
}

// prepare makes the home, or brings it to this version.
func (f foundDir) prepare(dir string) error {
	if f.info == nil {
		// Parents as anybody makes them; the home itself is private.
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			return err
		}
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	} else if f.info.Mode().Perm()&0o077 != 0 {
		// Secret keys and the API socket live here.
		if err := os.Chmod(dir, 0o700); err != nil {
			return err
		}
	}
	sweepUnfinished(dir, time.Now().Add(-UnfinishedAge))
	if f.version < layoutVersion {
		if f.version > 0 {
			if err := makePrivate(dir); err != nil {
				return err
			}
		}
		if err := atomicfile.Replace(filepath.Join(dir, "version"), fmt.Appendf(nil, "%d\n", layoutVersion)); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// makePrivate takes from others what older versions let them have of the files in a
// home and its keys.
func makePrivate(dir string) error {
	for _, d := range []string{dir, filepath.Join(dir, "keys")} {
		entries, err := os.ReadDir(d)
		if ignoreGone(err) != nil {
			return err
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 == 0 {
				continue // or another process has just replaced it
			}
			if err := os.Chmod(filepath.Join(d, e.Name()), info.Mode().Perm()&0o700); ignoreGone(err) != nil {
				return err
			}
		}
	}
	return nil
}

// UnfinishedAge is how long a file that is being written may take.
const UnfinishedAge = time.Minute

// isUnfinished reports whether a file is one that replaceFile or trust.Update has not
// renamed yet.
func isUnfinished(name string) bool {
	return strings.HasPrefix(name, ".new-") || strings.HasPrefix(name, ".trust-")
}

// sweepUnfinished removes what killed processes have left in a home.
func sweepUnfinished(dir string, before time.Time) {
	for _, d := range []string{dir, filepath.Join(dir, "keys"), filepath.Join(dir, "blocks")} {
		entries, err := os.ReadDir(d)
		if err != nil {
			continue // it only costs space
		}
		for _, e := range entries {
			info, err := e.Info()
			if err == nil && isUnfinished(e.Name()) && info.Mode().IsRegular() && info.ModTime().Before(before) {
				os.Remove(filepath.Join(d, e.Name()))
			}
		}
	}
}
