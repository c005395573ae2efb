package trust_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/everythingstays/es/internal/filelock"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

func TestLoadMissing(t *testing.T) {
	p, err := trust.Load(filepath.Join(t.TempDir(), "trust"))
	if err != nil || len(p.Bytes()) != 0 || len(p.Entries()) != 0 {
		t.Fatalf("%v, %v", p, err)
	}
}

func TestLoadNamesFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trust")
	if err := os.WriteFile(path, []byte("\nkey nobody *\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := trust.Load(path)
	var se *trust.SyntaxError
	if !errors.As(err, &se) || se.Line != 2 || se.Word != "key" || !strings.Contains(err.Error(), path) {
		t.Fatalf("got %v", err)
	}
	for _, p := range []string{filepath.Dir(path), "/dev/zero"} {
		if _, err := trust.Load(p); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: got %v", p, err)
		}
	}
	if err := os.WriteFile(path, make([]byte, trust.MaxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Load(path); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("got %v", err)
	}
}

func TestUpdate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "trust")
	add := func(n int) func(*trust.Policy) error {
		return func(p *trust.Policy) error {
			_, err := p.AddKey(trust.Entry{Fingerprint: testKey(n), Scopes: []records.Scope{"*"}})
			return err
		}
	}
	if err := trust.Update(t.Context(), path, add(1)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	unchanged := func(what string) {
		t.Helper()
		after, err := os.ReadFile(path)
		if err != nil || string(after) != string(before) {
			t.Errorf("%s: file is now %q, %v", what, after, err)
		}
	}
	stop := errors.New("stop")
	if err := trust.Update(t.Context(), path, func(p *trust.Policy) error { add(2)(p); return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	unchanged("a failed edit")
	if err := trust.Update(t.Context(), path, add(1)); err != nil {
		t.Error(err)
	}
	unchanged("an edit that adds nothing")
	again, err := os.Stat(path)
	if err != nil || !again.ModTime().Equal(info.ModTime()) || !os.SameFile(info, again) {
		t.Error("an edit that adds nothing wrote the file")
	}
	left, err := filepath.Glob(filepath.Join(dir, ".new-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := trust.Update(t.Context(), filepath.Join(dir, "none", "trust"), add(1)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(path, []byte("key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before = []byte("key\n")
	if err := trust.Update(t.Context(), path, add(2)); err == nil {
		t.Error("edited a file that cannot be read")
	}
	unchanged("a file that cannot be read")
}

func TestUpdateThroughLink(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "dotfiles"), filepath.Join(dir, "trust")
	if err := os.WriteFile(real, []byte("# mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("dotfiles", link); err != nil {
		t.Fatal(err)
	}
	if err := trust.Update(t.Context(), link, func(p *trust.Policy) error { _, err := p.Deny(testKey(1), ""); return err }); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is now %v, %v", info.Mode(), err)
	}
	if b, err := os.ReadFile(real); err != nil || string(b) != "# mine\ndeny "+k1+"\n" {
		t.Errorf("got %q, %v", b, err)
	}
}

// TestUpdateEnds is that who waits for another editor ends with the context.
func TestUpdateEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trust")
	other, err := filelock.Open(path + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if ok, err := filelock.Try(other); err != nil || !ok {
		t.Fatal(ok, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = trust.Update(ctx, path, func(*trust.Policy) error { t.Error("edited beside the other"); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestUpdateAtOnce has many editors add one key each: none may lose another's.
func TestUpdateAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trust")
	const editors = 20
	var wg sync.WaitGroup
	errs := make([]error, editors)
	for i := range editors {
		wg.Go(func() {
			errs[i] = trust.Update(t.Context(), path, func(p *trust.Policy) error {
				_, err := p.AddKey(trust.Entry{Fingerprint: testKey(i), Scopes: []records.Scope{"*"}})
				return err
			})
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	p, err := trust.Load(path)
	if err != nil || len(p.Entries()) != editors {
		t.Fatalf("%d entries, %v", len(p.Entries()), err)
	}
}

// TestEditRefusesBadInput: nothing that a caller passes on may add a line of its
// own or spoil the file.
func TestEditRefusesBadInput(t *testing.T) {
	evil := "x\nkey " + k2 + " *"
	for what, edit := range map[string]func(*trust.Policy) error{
		"label": func(p *trust.Policy) error {
			_, err := p.AddKey(trust.Entry{Fingerprint: testKey(1), Scopes: []records.Scope{"*"}, Label: evil})
			return err
		},
		"scope": func(p *trust.Policy) error {
			_, err := p.AddKey(trust.Entry{Fingerprint: testKey(1), Scopes: []records.Scope{records.Scope(evil)}})
			return err
		},
		"scope and option": func(p *trust.Policy) error {
			_, err := p.AddKey(trust.Entry{Fingerprint: testKey(1), Scopes: []records.Scope{"* depth=9"}})
			return err
		},
		"no scope":  func(p *trust.Policy) error { _, err := p.AddKey(trust.Entry{Fingerprint: testKey(1)}); return err },
		"no key":    func(p *trust.Policy) error { _, err := p.Deny(records.Fingerprint{}, ""); return err },
		"deny":      func(p *trust.Policy) error { _, err := p.Deny(testKey(1), evil); return err },
		"threshold": func(p *trust.Policy) error { return p.SetThreshold(99, "*") },
		"pin":       func(p *trust.Policy) error { return p.SetPin("left-pad", "1.0.0", recordCID("x")) },
		"pin name":  func(p *trust.Policy) error { return p.SetPin(records.Name(evil), "1.0.0", moduleCID("x")) },
	} {
		p, err := trust.Parse([]byte("# mine\nthreshold 2 *\n"))
		if err != nil {
			t.Fatal(err)
		}
		if err := edit(p); err == nil {
			t.Errorf("%s: no error", what)
		}
		if got := string(p.Bytes()); got != "# mine\nthreshold 2 *\n" {
			t.Errorf("%s: file is now %q", what, got)
		}
	}
}

func TestRemove(t *testing.T) {
	p, err := trust.Parse([]byte("deny " + k1 + "\nthreshold 2 *\npin left-pad 1.0.0 " + modX + "\n# end\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, done := range []bool{true, false} {
		if p.Allow(testKey(1)) != done || p.RemoveThreshold("*") != done || p.RemovePin("left-pad", "1.0.0") != done {
			t.Errorf("removed is not %t", done)
		}
	}
	if string(p.Bytes()) != "# end\n" {
		t.Errorf("left: %q", p.Bytes())
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range allVectors() {
		f.Add([]byte(v.text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		policy, err := trust.Parse(b)
		if err != nil {
			if se := (*trust.SyntaxError)(nil); !errors.As(err, &se) || se.Line < 1 || se.Line > strings.Count(string(b), "\n")+1 {
				t.Fatalf("error %v", err)
			}
			return
		}
		if string(policy.Bytes()) != string(b) {
			t.Fatal("bytes changed")
		}
		before := fmt.Sprint(policy.Entries(), policy.Denials(), policy.Thresholds(), policy.Pins())
		entry := trust.Entry{Fingerprint: testKey(99), Scopes: []records.Scope{"left-pad", "@acme/*"}, Label: `a "b" \ #`}
		if _, err := policy.AddKey(entry); err != nil {
			t.Fatal(err)
		}
		if len(policy.Bytes()) > trust.MaxFile {
			return
		}
		again, err := trust.Parse(policy.Bytes())
		if err != nil || again.Label(testKey(99)) == "" {
			t.Fatalf("after adding a key: %v", err)
		}
		if again.RemoveKey(testKey(99)) < 2 {
			t.Fatal("the key was not removed")
		}
		if after := fmt.Sprint(again.Entries(), again.Denials(), again.Thresholds(), again.Pins()); after != before && !strings.Contains(before, k99) {
			t.Fatalf("got  %s\nwant %s", after, before)
		}
	})
}

var k99 = testKey(99).String()
