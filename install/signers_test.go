package install

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/everythingstays/es/install/internal/fakes"
	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/records"
)

// SPEC I28: another signer than before is asked about, unless the one from before
// signs the same. SPEC I29: so is a signer who signed nothing here before.
func TestSigners(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", "")
	p := project(t, "")
	stop := errors.New("who is that?")
	var asked Signers
	ask := Options{Approve: func(s Signers) error { asked = s; return stop }}
	try := func(names ...string) {
		t.Helper()
		asked = Signers{}
		if _, err := p.Add(t.Context(), w.sources(), requests(t, names...), ask); !errors.Is(err, stop) {
			t.Errorf("add %q: %v", names, err)
		}
	}
	if try("a"); len(asked.Changed) != 0 || len(asked.First) != 1 || asked.First[0].Signer != alice {
		t.Errorf("at first asked about %+v", asked)
	}
	wantLayout(t, p)
	if r := mustAdd(t, p, w, "a"); len(r.Signers.First) != 1 || len(r.Signers.Changed) != 0 {
		t.Errorf("result %+v", r.Signers)
	}

	ask.Accepted = []records.Fingerprint{alice}
	next := w.publish("a@1.1.0", "")
	next.Signer, next.Record = bob, fakes.Record("a@1.1.0", bob)
	if try("a"); len(asked.First) != 0 || len(asked.Changed) != 1 || asked.Changed[0].Before.Signer != alice || asked.Changed[0].After.Signer != bob {
		t.Errorf("then asked about %+v", asked)
	}
	wantLayout(t, p, "a a@1.0.0")
	byAlice := *next
	byAlice.Signer, byAlice.Record = alice, fakes.Record("a@1.1.0", alice)
	next.Others = []*Resolution{&byAlice}
	if _, err := p.Add(t.Context(), w.sources(), requests(t, "a"), ask); err != nil {
		t.Errorf("add what alice signed too: %v", err)
	}
	if l, err := p.Lockfile(); err != nil || l.Packages["node_modules/a"].Signer != alice || l.Packages["node_modules/a"].Record != byAlice.Record {
		t.Errorf("locked %+v, %v", l, err)
	}

	last := w.publish("a@1.2.0", "")
	last.Signer, last.Record = bob, fakes.Record("a@1.2.0", bob)
	if r := mustAdd(t, p, w, "a"); len(r.Signers.Changed) != 1 || len(r.Changed) != 1 || r.Changed[0].Before.Version != "1.1.0" {
		t.Errorf("result %+v", r)
	}
	if _, err := p.Install(t.Context(), w.sources(), Options{Frozen: true, Approve: ask.Approve}); err != nil {
		t.Errorf("frozen: %v", err)
	}
}

// SPEC I30
func TestUpdate(t *testing.T) {
	w := newWorld(t)
	w.publish("a@1.0.0", `"dependencies": {"b": "^1.0.0"}`)
	w.publish("b@1.0.0", "")
	w.publish("c@1.0.0", "")
	p := project(t, "")
	mustAdd(t, p, w, "a", "c@1.0.0")
	w.publish("a@1.1.0", `"dependencies": {"b": "^1.0.0"}`)
	w.publish("a@2.0.0", "")
	w.publish("b@1.5.0", "")
	w.publish("c@1.1.0", "")
	before, err := os.ReadFile(filepath.Join(p.dir, "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	update := func(names ...records.Name) *Result {
		t.Helper()
		r, err := p.Update(t.Context(), w.sources(), names, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	mustInstall(t, p, w, Options{})
	wantLayout(t, p, "a a@1.0.0", "b b@1.0.0", "c c@1.0.0")
	update("b")
	wantLayout(t, p, "a a@1.0.0", "b b@1.5.0", "c c@1.0.0")
	if r := update(); len(r.Changed) != 1 {
		t.Errorf("result %+v", r)
	}
	wantLayout(t, p, "a a@1.1.0", "b b@1.5.0", "c c@1.0.0")
	if after, err := os.ReadFile(filepath.Join(p.dir, "package.json")); err != nil || string(after) != string(before) {
		t.Errorf("package.json is now %s", after)
	}
	var notFound *NotFoundError
	if _, err := p.Update(t.Context(), w.sources(), []records.Name{"d"}, Options{}); !errors.As(err, &notFound) || notFound.Name != "d" {
		t.Errorf("update what is not there: %v", err)
	}
}

// TestThreat53LockfileAnswersForTheUser (SPEC I29): whoever es-lock.json names, what is
// new to it is asked about until this user has let the key into this project.
func TestThreat53LockfileAnswersForTheUser(t *testing.T) {
	stop := errors.New("who is that?")
	for name, change := range map[string]func(p *Project, w *world, o Options) error{
		"add": func(p *Project, w *world, o Options) error {
			_, err := p.Add(t.Context(), w.sources(), requests(t, "tool"), o)
			return err
		},
		"same": func(p *Project, w *world, o Options) error {
			_, err := p.Add(t.Context(), w.sources(), requests(t, "other@1.0.0"), o)
			return err
		},
		"install": func(p *Project, w *world, o Options) error {
			write(t, filepath.Join(p.dir, packagejson.Name), `{"esDependencies": {"other": "1", "tool": "1"}}`)
			_, err := p.Install(t.Context(), w.sources(), o)
			return err
		},
		"update": func(p *Project, w *world, o Options) error {
			w.publish("other@1.1.0", "")
			_, err := p.Update(t.Context(), w.sources(), nil, o)
			return err
		},
		"dependency": func(p *Project, w *world, o Options) error {
			w.publish("other@1.1.0", `"dependencies": {"tool": "1"}`)
			_, err := p.Update(t.Context(), w.sources(), []records.Name{"other"}, o)
			return err
		},
	} {
		w := newWorld(t)
		w.publish("other@1.0.0", "")
		w.publish("tool@1.0.0", "")
		author := project(t, `"other": "1"`)
		mustInstall(t, author, w, Options{})

		for _, accepted := range [][]records.Fingerprint{nil, {bob}, {alice}} {
			clone := project(t, `"other": "1"`)
			write(t, filepath.Join(clone.dir, lockfile.Name), read(t, author.dir, lockfile.Name))
			var asked Signers
			o := Options{Accepted: accepted, Approve: func(s Signers) error { asked = s; return stop }}
			if r := mustInstall(t, clone, w, o); len(r.Added) != 1 {
				t.Errorf("%s: what is locked needs no answer: %+v", name, r)
			}
			err := change(clone, w, o)
			if known := len(accepted) == 1 && accepted[0] == alice; known {
				if err != nil {
					t.Errorf("%s by a key that was let in: %v", name, err)
				}
				continue
			}
			if !errors.Is(err, stop) || len(asked.First) == 0 || asked.First[0].Signer != alice {
				t.Errorf("%s: %v, asked about %+v", name, err, asked)
			}
			wantLayout(t, clone, "other other@1.0.0")
		}
	}
}
