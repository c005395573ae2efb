package install

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everythingstays/es/install/internal/fakes"
	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/records"
)

// rewriteLock changes what es-lock.json says of the package at a path.
func rewriteLock(t testing.TB, p *Project, at string, change func(*Package)) {
	t.Helper()
	l, err := p.Lockfile()
	if err != nil || l == nil || l.Packages[at] == nil {
		t.Fatalf("lockfile: %v, %v", l, err)
	}
	change(l.Packages[at])
	write(t, filepath.Join(p.dir, lockfile.Name), string(l.Bytes()))
}

// TestThreat52LockfileWordsAsFacts (SPEC I133): what es-lock.json says of a signature is
// shown as a fact only when the record is here and says the same of every field.
func TestThreat52LockfileWordsAsFacts(t *testing.T) {
	const at = "node_modules/a"
	for name, change := range map[string]func(w *world, p *Package){
		"module": func(w *world, p *Package) {
			evil := w.publish("a@1.0.0", "", files{"index.js": "evil"})
			evil.Record, evil.Signer = fakes.Record("evil", bob), bob
			p.Module, p.Size, p.Files = evil.Module, evil.Size, evil.Files
		},
		"signer":    func(_ *world, p *Package) { p.Signer = bob },
		"record":    func(w *world, p *Package) { p.Record = w.publish("b@1.0.0", "").Record },
		"version":   func(_ *world, p *Package) { p.Version = "1.0.1" },
		"size":      func(_ *world, p *Package) { p.Size++ },
		"files":     func(_ *world, p *Package) { p.Files++ },
		"integrity": func(_ *world, p *Package) { p.SHA512 = make([]byte, 64) },
		"bin":       func(_ *world, p *Package) { p.Bin = map[string]string{"x": "index.js"} },
		"scripts":   func(_ *world, p *Package) { p.Scripts = true },
	} {
		w := newWorld(t)
		w.publish("a@1.0.0", "")
		p := project(t, `"a": "^1"`)
		mustInstall(t, p, w, Options{})
		v, err := p.Verify(t.Context(), w.sources())
		if err != nil || v.Signed != 1 || len(v.Unknown) != 0 {
			t.Fatalf("%s: at first %+v, %v", name, v, err)
		}
		rewriteLock(t, p, at, func(p *Package) { change(w, p) })

		for _, frozen := range []bool{true, false} {
			_, err = p.Install(t.Context(), w.sources(), Options{Frozen: frozen, Force: true})
			var wrong *IntegrityError
			var signature *SignatureError
			if !errors.As(err, &wrong) || !errors.As(err, &signature) || wrong.Path != at {
				t.Errorf("%s, frozen %v: %v", name, frozen, err)
			}
		}
		if got := read(t, p.dir, at, "index.js"); strings.Contains(got, "evil") {
			t.Errorf("%s: was installed", name)
		}
		nodes, err := p.List(t.Context(), w.sources())
		if err != nil || len(nodes) != 1 || nodes[0].Package != nil && nodes[0].Signature.Standing != Contradicted {
			t.Errorf("%s: listed %+v, %v", name, nodes, err)
		}
		v, err = p.Verify(t.Context(), w.sources())
		if err != nil || v.Signed != 0 || len(v.Damage) == 0 || !strings.Contains(v.Damage[0].Reason, "es-lock.json says") {
			t.Errorf("%s: verified %+v, %v", name, v, err)
		}

		// Where the record is not here, nobody is called the signer.
		w.unheard = true
		if v, err = p.Verify(t.Context(), w.sources()); err != nil || v.Signed != 0 || len(v.Unknown) != 1 {
			t.Errorf("%s: without the record %+v, %v", name, v, err)
		}
	}
}

// A signature by a key that does not count any more is told as that.
func TestVoidSignature(t *testing.T) {
	w := newWorld(t)
	r := w.publish("a@1.0.0", "")
	p := project(t, `"a": "1.0.0"`)
	mustInstall(t, p, w, Options{})
	r.Invalid = "its key is revoked"
	nodes, err := p.List(t.Context(), w.sources())
	if err != nil || nodes[0].Signature != (Signature{Invalid, r.Invalid}) {
		t.Errorf("listed %+v, %v", nodes[0], err)
	}
	mustInstall(t, p, w, Options{})
	if v, err := p.Verify(t.Context(), w.sources()); err != nil || v.Signed != 0 || len(v.Invalid) != 1 {
		t.Errorf("verified %+v, %v", v, err)
	}
}

// An alias is compared under its real name.
func TestSignatureOfAlias(t *testing.T) {
	w := newWorld(t)
	w.publish("real@1.0.0", "")
	p := project(t, `"mine": "npm:real@^1"`)
	mustInstall(t, p, w, Options{})
	v, err := p.Verify(t.Context(), w.sources())
	if err != nil || v.Signed != 1 || len(v.Damage) != 0 {
		t.Errorf("verified %+v, %v", v, err)
	}
	w.publish("mine@1.0.0", "")
	rewriteLock(t, p, "node_modules/mine", func(p *Package) { p.Name = records.Name("mine") })
	if v, err := p.Verify(t.Context(), w.sources()); err != nil || v.Signed != 0 || len(v.Damage) == 0 {
		t.Errorf("under the alias's name: %+v, %v", v, err)
	}
}
