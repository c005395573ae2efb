package home

import (
	"crypto/sha512"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/everythingstays/es/blocks"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/node/peerbook"
	"github.com/everythingstays/es/npm/unpacked"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
	"github.com/everythingstays/es/trust/authority"
)

// Home is one user's directory: keys, trust file, index, blocks, peers. Several
// processes may have the same home open at once.
type Home struct {
	Storage
	index    *index.Index
	readOnly bool
	scratch  string // of a home whose index is not there: a directory for an empty one

	peers *peerbook.Book
}

// Storage is what a home has without its index: blocks, the trees of tarballs and the
// trust file. Nothing of it stays open.
type Storage struct {
	dir    string
	blocks *blocks.Store

	mu    sync.Mutex
	trust trustCache
}

// maxSmall is more than the bytes of any file of the home that holds one value.
const maxSmall = 64 << 10

// lockTimeout is how long another process may hold the lock on a file of the home.
const lockTimeout = 5 * time.Second

// Close closes the index.
func (h *Home) Close() error {
	var err error
	if h.index != nil {
		err = h.index.Close()
	}
	if h.scratch != "" {
		err = errors.Join(err, os.RemoveAll(h.scratch))
	}
	return err
}

// ReadOnly reports whether nothing can be written into the home: its user may not,
// or there is none.
func (h *Home) ReadOnly() bool { return h.readOnly }

// Absent reports whether there is no home, and a reading command looks at what a new
// one would be.
func (h *Home) Absent() bool {
	_, err := os.Lstat(filepath.Join(h.dir, "version"))
	return errors.Is(err, fs.ErrNotExist)
}

// Begun reports whether a user has put files into the directory, and es has not made a
// home of it yet.
func (h *Home) Begun() bool {
	entries, err := os.ReadDir(h.dir)
	return err == nil && len(entries) > 0 && h.Absent()
}

// Dir returns the absolute path of the home's directory.
func (s *Storage) Dir() string { return s.dir }

// Index returns the home's index.
func (h *Home) Index() *index.Index { return h.index }

// Blocks returns the home's block store.
func (s *Storage) Blocks() *blocks.Store { return s.blocks }

// Trees returns what this home unpacked tarballs of registries into.
func (s *Storage) Trees() unpacked.Dir { return unpacked.Open(filepath.Join(s.dir, "trees")) }

// Peers returns the home's peers.json.
func (h *Home) Peers() *peerbook.Book { return h.peers }

// TrustPath returns where the trust file is or would be.
func (s *Storage) TrustPath() string { return filepath.Join(s.dir, "trust") }

// trustCache is the trust file as last read, and what it looked like then.
type trustCache struct {
	policy *trust.Policy
	info   fs.FileInfo
}

// Trust returns the trust file as it is now. It is parsed again only when it has
// changed, and must not be modified: see trust.Update.
func (s *Storage) Trust() (*trust.Policy, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := os.Stat(s.TrustPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read trust file: %w", err)
	}
	if s.trust.policy != nil && sameFile(info, s.trust.info) {
		return s.trust.policy, nil
	}
	p, err := trust.Load(s.TrustPath())
	if err != nil {
		return nil, err
	}
	s.trust = trustCache{p, info}
	return p, nil
}

// sameFile reports whether nothing about a file has changed; nil is no file.
func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// Evaluator returns what this user believes at the moment now: the trust file and the
// own keys.
func (h *Home) Evaluator(now time.Time) (*trust.Evaluator, error) {
	p, err := h.Trust()
	if err != nil {
		return nil, err
	}
	return h.EvaluatorOf(p, now)
}

// ProjectEvaluator is Evaluator for a project, whose own trust file is at path: it can let
// keys in for names that the file shows, and undoes nothing (SPEC.md section 9.2).
func (h *Home) ProjectEvaluator(path string, now time.Time) (*trust.Evaluator, error) {
	in, err := h.TrustInputs(path, now)
	if err != nil {
		return nil, err
	}
	return in.Evaluator(), nil
}

// TrustInputs is what Evaluator is made of, with the project's trust file at path unless path
// is empty.
func (h *Home) TrustInputs(path string, now time.Time) (trust.Inputs, error) {
	p, err := h.Trust()
	if err != nil {
		return trust.Inputs{}, err
	}
	var project *trust.Policy
	if path != "" {
		if project, err = trust.LoadProject(path); err != nil {
			return trust.Inputs{}, err
		}
	}
	return h.trustInputsOf(p, project, now)
}

func (h *Home) EvaluatorOf(p *trust.Policy, now time.Time) (*trust.Evaluator, error) {
	in, err := h.trustInputsOf(p, nil, now)
	if err != nil {
		return nil, err
	}
	return in.Evaluator(), nil
}

// trustInputsOf is of the files and own keys; what is known of keys is read from the index
// when it matters.
func (h *Home) trustInputsOf(p, project *trust.Policy, now time.Time) (trust.Inputs, error) {
	own, err := h.OwnFingerprints()
	return trust.Inputs{User: p, Project: project, Own: own, Now: now, Load: authorlog.New(h.index).Facts, Unpacked: h.Unpacked}, err
}

// Unpacked says what this home made of a registry's tarball; nil where it made nothing.
func (s *Storage) Unpacked(hash [sha512.Size]byte) *authority.Unpacked {
	p, err := s.Trees().Get(hash)
	if err != nil {
		return nil // not known, or not readable: it is unpacked again
	}
	u := &authority.Unpacked{Name: p.Name, Version: p.Version, Module: p.Module, Size: p.Size, Files: p.Files, Manifest: p.Manifest}
	for _, t := range p.Taken {
		u.Registries = append(u.Registries, t.Registry)
	}
	return u
}

func (h *Home) OwnFingerprints() ([]records.Fingerprint, error) {
	entries, err := h.keyFiles()
	if err != nil {
		return nil, err
	}
	var own []records.Fingerprint
	for _, e := range entries {
		if f, _, ok := keyFileName(e.Name()); ok {
			own = append(own, f)
		}
	}
	return own, nil
}
