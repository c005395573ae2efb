package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// homeVersion is the layout of the directory that this code reads and writes.
const homeVersion = 1

// Home is one user's directory: keys, trust file, index, blocks, peers. Several
// processes may have the same home open at once.
type Home struct {
	dir    string
	index  *index.Index
	blocks *BlockStore

	mu    sync.Mutex
	trust trustCache
	peers sync.Mutex // serializes this process's edits of peers.json
}

// OpenHome opens the home directory dir, and makes it when it is not there. Only
// its owner can read it. Close must be called.
func OpenHome(ctx context.Context, dir string) (*Home, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open home: %w", err)
	}
	if err := makeHome(dir); err != nil {
		return nil, fmt.Errorf("open home %s: %w", dir, err)
	}
	h := &Home{dir: dir}
	if h.blocks, err = OpenBlocks(filepath.Join(dir, "blocks")); err != nil {
		return nil, fmt.Errorf("open home %s: %w", dir, err)
	}
	if h.index, err = index.Open(ctx, filepath.Join(dir, "index.db")); err != nil {
		return nil, fmt.Errorf("open home %s: %w", dir, err)
	}
	return h, nil
}

func makeHome(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// Parents as anybody makes them; the home itself is private.
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			return err
		}
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	case err != nil:
		return err
	case !info.IsDir():
		return errors.New("it is a file, not a directory")
	case info.Mode().Perm()&0o077 != 0:
		// Secret keys and the API socket live here.
		if err := os.Chmod(dir, 0o700); err != nil {
			return err
		}
	}
	if err := checkVersion(filepath.Join(dir, "version")); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// maxSmall is more than the bytes of any file of the home that holds one value.
const maxSmall = 64 << 10

// checkVersion reads the home's version file, or writes it in a new home.
func checkVersion(path string) error {
	b, err := regularfile.Read(path, maxSmall)
	if errors.Is(err, fs.ErrNotExist) {
		return replaceFile(path, fmt.Appendf(nil, "%d\n", homeVersion))
	}
	if err != nil {
		return err
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || v < 1 {
		return fmt.Errorf("its version file says %.20q, which is no version", b)
	}
	if v > homeVersion {
		return fmt.Errorf("it has version %d and this es knows %d: use a newer es", v, homeVersion)
	}
	return nil
}

// Close closes the index.
func (h *Home) Close() error { return h.index.Close() }

// Dir returns the absolute path of the directory.
func (h *Home) Dir() string { return h.dir }

// Index returns the home's index.
func (h *Home) Index() *index.Index { return h.index }

// Blocks returns the home's block store.
func (h *Home) Blocks() *BlockStore { return h.blocks }

// TrustPath returns where the trust file is or would be.
func (h *Home) TrustPath() string { return filepath.Join(h.dir, "trust") }

// trustCache is the trust file as last read, and what it looked like then.
type trustCache struct {
	file *trust.File
	info fs.FileInfo
}

// Trust returns the trust file as it is now. It is parsed again only when it has
// changed, and must not be modified: see trust.Update.
func (h *Home) Trust() (*trust.File, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	info, err := os.Stat(h.TrustPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read trust file: %w", err)
	}
	if h.trust.file != nil && sameFile(info, h.trust.info) {
		return h.trust.file, nil
	}
	f, err := trust.Load(h.TrustPath())
	if err != nil {
		return nil, err
	}
	h.trust = trustCache{f, info}
	return f, nil
}

// sameFile reports whether nothing about a file has changed; nil is no file.
func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// View returns what this user believes at the moment now: the trust file and the
// own keys.
func (h *Home) View(now time.Time) (*trust.View, error) {
	f, err := h.Trust()
	if err != nil {
		return nil, err
	}
	return h.viewOf(f, now)
}

// ProjectView is View for a project, whose own trust file is at path: it can let
// keys in for names that the file shows, and undoes nothing (SPEC.md section 9.2).
func (h *Home) ProjectView(path string, now time.Time) (*trust.View, error) {
	b, err := h.Basis(path, now)
	if err != nil {
		return nil, err
	}
	return b.View(), nil
}

// Basis is what View is made of, with the project's trust file at path unless path
// is empty.
func (h *Home) Basis(path string, now time.Time) (trust.Basis, error) {
	f, err := h.Trust()
	if err != nil {
		return trust.Basis{}, err
	}
	var project *trust.File
	if path != "" {
		if project, err = trust.LoadProject(path); err != nil {
			return trust.Basis{}, err
		}
	}
	return h.basisOf(f, project, now)
}

func (h *Home) viewOf(f *trust.File, now time.Time) (*trust.View, error) {
	b, err := h.basisOf(f, nil, now)
	if err != nil {
		return nil, err
	}
	return b.View(), nil
}

// basisOf is of the files and own keys; what is known of keys is read from the index
// when it matters.
func (h *Home) basisOf(f, project *trust.File, now time.Time) (trust.Basis, error) {
	own, err := h.ownFingerprints()
	return trust.Basis{File: f, Project: project, Own: own, Now: now, Load: h.index.Facts}, err
}

func (h *Home) ownFingerprints() ([]records.Fingerprint, error) {
	entries, err := os.ReadDir(h.keyDir())
	if err != nil {
		return nil, fmt.Errorf("list own keys: %w", err)
	}
	var own []records.Fingerprint
	for _, e := range entries {
		if f, _, ok := keyFileName(e.Name()); ok {
			own = append(own, f)
		}
	}
	return own, nil
}

// replaceFile writes b beside path, onto the disk, and renames it there. Only the
// user can read it.
func replaceFile(path string, b []byte) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
		}
	}()
	if _, err := tmp.Write(b); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}
