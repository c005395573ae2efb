package home

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/internal/filelock"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/records"
)

const (
	maxProjects    = 4096 // remembered; the one used longest ago goes first
	maxProjectFile = 4 << 20
	NoteKeySize    = 32
)

// grant is what the user has granted to one project (docs/program.md [N130]).
type grant struct {
	Path string   `json:"path"` // real and absolute
	Keys []string `json:"keys"` // fingerprints
	Used int64    `json:"used"` // Unix seconds
}

func (h *Home) projectsPath() string { return filepath.Join(h.dir, "projects.json") }

// GrantedKeys returns the keys that the user has granted to the project in dir. A file that cannot
// be understood says nothing: the user is asked again.
func (h *Home) GrantedKeys(dir string) ([]records.Fingerprint, error) {
	real, err := realPath(dir)
	if err != nil {
		return nil, err
	}
	all, err := h.projects()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(p grant) bool { return p.Path == real })
	if i < 0 {
		return nil, nil
	}
	var keys []records.Fingerprint
	for _, text := range all[i].Keys {
		if f, err := records.ParseFingerprint(text); err == nil {
			keys = append(keys, f)
		}
	}
	return keys, nil
}

// RememberGrants adds keys to those that the user has granted to the project in dir. Other
// processes may do the same at the same time.
func (h *Home) RememberGrants(ctx context.Context, dir string, keys []records.Fingerprint) error {
	real, err := realPath(dir)
	if err != nil {
		return err
	}
	unlock, err := filelock.Wait(ctx, h.projectsPath()+".lock", lockTimeout)
	if err != nil {
		return fmt.Errorf("remember keys of a project: %w", err)
	}
	defer unlock()
	all, err := h.projects()
	if err != nil {
		return err
	}
	now := grant{Path: real}
	if i := slices.IndexFunc(all, func(p grant) bool { return p.Path == real }); i >= 0 {
		now = all[i]
		all = slices.Delete(all, i, i+1)
	}
	now.Used = time.Now().Unix()
	for _, k := range keys {
		if text := k.String(); !slices.Contains(now.Keys, text) {
			now.Keys = append(now.Keys, text)
		}
	}
	all = slices.Insert(all, 0, now)
	b, err := json.MarshalIndent(all[:min(len(all), maxProjects)], "", "  ")
	if err == nil {
		err = atomicfile.Replace(h.projectsPath(), append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("remember keys of a project: %w", err)
	}
	return nil
}

// projects returns what is remembered, the project used last first.
func (h *Home) projects() ([]grant, error) {
	all, err := regularfile.ReadList[grant](h.projectsPath(), maxProjectFile)
	if err != nil {
		return nil, fmt.Errorf("read keys of projects: %w", err)
	}
	return all, nil
}

func realPath(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return "", fmt.Errorf("find the project's path: %w", err)
	}
	return abs, nil
}

// NoteKey returns this home's key for the notes that es leaves in projects (SPEC.md
// [I25]), or nil when there is none.
func (h *Home) NoteKey() []byte {
	b, err := regularfile.Read(h.noteKeyPath(), NoteKeySize)
	if err != nil || len(b) != NoteKeySize {
		return nil
	}
	return b
}

// MakeNoteKey is NoteKey for a command that writes a note: it makes the key the first
// time.
func (h *Home) MakeNoteKey() ([]byte, error) {
	if key := h.NoteKey(); key != nil {
		return key, nil
	}
	if h.readOnly {
		return nil, fmt.Errorf("write the key of notes: %w", ErrReadOnly)
	}
	key := make([]byte, NoteKeySize)
	_, _ = rand.Read(key) // never fails
	if err := atomicfile.Replace(h.noteKeyPath(), key); err != nil {
		return nil, fmt.Errorf("write the key of notes: %w", err)
	}
	return key, nil
}

func (h *Home) noteKeyPath() string { return filepath.Join(h.dir, "note.key") }
