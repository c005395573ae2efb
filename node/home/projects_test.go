package home

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/everythingstays/es/records"
)

// TestGrantedKeys remembers keys by project (SPEC N130).
func TestGrantedKeys(t *testing.T) {
	h := testHome(t)
	key := func(n int) records.Fingerprint {
		f, err := records.ParseFingerprint(fmt.Sprintf("%040X", n))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	a, b := t.TempDir(), t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(a, link); err != nil {
		t.Fatal(err)
	}
	if got, err := h.GrantedKeys(a); err != nil || got != nil {
		t.Errorf("at first: %v, %v", got, err)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if err := h.RememberGrants(t.Context(), []string{a, link}[i%2], []records.Fingerprint{key(i), key(0)}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, dir := range []string{a, link} {
		got, err := h.GrantedKeys(dir)
		slices.SortFunc(got, func(a, b records.Fingerprint) int { return bytes.Compare([]byte(a.String()), []byte(b.String())) })
		if err != nil || len(got) != 8 || got[7] != key(7) {
			t.Errorf("%s: %v, %v", dir, got, err)
		}
	}
	if got, err := h.GrantedKeys(b); err != nil || got != nil {
		t.Errorf("another project: %v, %v", got, err)
	}
	if _, err := h.GrantedKeys(filepath.Join(b, "none")); err == nil {
		t.Error("a project that is not there")
	}
	for _, text := range []string{"", "{", "[1]", `[{"path":1}]`} {
		if err := os.WriteFile(h.projectsPath(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := h.GrantedKeys(a); err != nil || got != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestNoteKey(t *testing.T) {
	h, other := testHome(t), testHome(t)
	if key := h.NoteKey(); key != nil {
		t.Errorf("a new home has %x", key)
	}
	one, err := h.MakeNoteKey()
	if err != nil || len(one) != NoteKeySize || !bytes.Equal(one, h.NoteKey()) {
		t.Errorf("%x, then %x, %v", one, h.NoteKey(), err)
	}
	if two, err := h.MakeNoteKey(); err != nil || !bytes.Equal(one, two) {
		t.Errorf("%x, then %x, %v", one, two, err)
	}
	if two, err := other.MakeNoteKey(); err != nil || bytes.Equal(one, two) {
		t.Errorf("two homes have one key: %v", err)
	}
	info, err := os.Stat(h.noteKeyPath())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
