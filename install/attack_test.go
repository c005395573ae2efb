package install

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/everythingstays/es/install/internal/fakes"
	"github.com/everythingstays/es/install/layout"
	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/records"
)

// An attacker writes a whole project directory: package.json asks for what it asks, and
// everything else is theirs.
type attacker struct {
	*testing.T
	*world
	r       *rand.Rand
	p       *Project
	outside string // a directory that nothing may change
	honest  []byte // es-lock.json as it ought to be
	done    []string
}

// attackWorld has honest releases by alice and others by bob, whom nobody has let in.
func attackWorld(t *testing.T) *world {
	w := newWorld(t)
	w.publish("lib@1.0.0", `"dependencies": {"dep": "^1"}, "bin": {"lib": "cli.js"}`, files{"cli.js": "#!/usr/bin/env node\n"})
	w.publish("dep@1.0.0", "")
	w.publish("dep@1.1.0", "")
	w.publish("tool@1.0.0", `"dependencies": {"dep": "1.0.0"}, "optionalDependencies": {"opt": "1"}`)
	w.publish("opt@1.0.0", "")
	for _, id := range []string{"evil@1.0.0", "lib@1.0.1", "dep@1.2.0"} {
		r := w.publish(id, "", files{"index.js": "evil " + id})
		r.Signer, r.Record = bob, fakes.Record(id, bob)
	}
	return w
}

// Resolve gives what the user trusts: alice alone.
func (a *attacker) sources() Sources {
	trusted := newWorld(a.T)
	for _, r := range a.world.releases {
		if r.Signer == alice {
			trusted.releases = append(trusted.releases, r)
		}
	}
	s := a.world.sources()
	s.Resolver = trusted
	return s
}

// mutate changes the project in one way.
func (a *attacker) mutate() {
	ways := map[string]func(){
		"swap field": a.swapField, "cross records": a.crossRecords, "add package": a.addPackage, "drop package": a.dropPackage,
		"note": a.note, "plant": a.plant, "link": a.link, "bytes": a.spoilLock, "other lockfile": a.otherLockfile, "trust": a.trust,
	}
	name := slices.Sorted(maps.Keys(ways))[a.r.IntN(len(ways))]
	a.done = append(a.done, name)
	ways[name]()
}

// lock edits es-lock.json as JSON, so that it need not be one that es would write.
func (a *attacker) lock(edit func(packages map[string]map[string]any)) {
	var file struct {
		Version  any                       `json:"lockfileVersion"`
		Packages map[string]map[string]any `json:"packages"`
	}
	at := filepath.Join(a.p.dir, lockfile.Name)
	b, err := os.ReadFile(at)
	if err != nil || json.Unmarshal(b, &file) != nil || file.Packages == nil {
		return // an earlier change has left no lockfile
	}
	edit(file.Packages)
	if b, err = json.Marshal(file); err != nil {
		a.Fatal(err)
	}
	a.replace(at, b)
}

// replace writes a file of the project, and not through a link that was planted.
func (a *attacker) replace(at string, b []byte) {
	if a.within(filepath.Dir(at)) && os.MkdirAll(filepath.Dir(at), 0o755) == nil && os.RemoveAll(at) == nil {
		_ = os.WriteFile(at, b, 0o644)
	}
}

// within reports whether no planted link leads out of the project on the way to dir.
func (a *attacker) within(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); err == nil {
			real, err := filepath.EvalSymlinks(dir)
			return err == nil && strings.HasPrefix(real, a.p.dir)
		}
	}
}

func pick[K cmp.Ordered, V any](a *attacker, m map[K]V) K {
	return slices.Sorted(maps.Keys(m))[a.r.IntN(len(m))]
}

func (a *attacker) swapField() {
	a.lock(func(packages map[string]map[string]any) {
		if len(packages) == 0 {
			return
		}
		one, two := packages[pick(a, packages)], packages[pick(a, packages)]
		field := pick(a, map[string]bool{"name": true, "version": true, "module": true, "record": true, "signer": true, "size": true, "files": true,
			"bin": true, "dependencies": true, "optional": true, "scripts": true, "integrity": true, "link": true})
		switch a.r.IntN(3) {
		case 0:
			delete(one, field)
		case 1:
			one[field] = two[field]
		case 2:
			one[field] = []any{"x", 7, true, nil, map[string]any{"x": "../../x"}, "../../outside", bob.String(), "node_modules/dep"}[a.r.IntN(8)]
		}
	})
}

func (a *attacker) crossRecords() {
	r := a.releases[a.r.IntN(len(a.releases))]
	a.lock(func(packages map[string]map[string]any) {
		if len(packages) == 0 {
			return
		}
		p := packages[pick(a, packages)]
		switch a.r.IntN(3) {
		case 0: // another module under a record
			p["module"], p["size"], p["files"] = r.Locked().Module.String(), r.Size, r.Files
		case 1: // another record over a module
			p["record"], p["signer"] = r.Record.String(), r.Signer.String()
		case 2: // a record that nobody has heard of
			p["record"], p["signer"] = fakes.Record(fmt.Sprint(a.r.Int()), alice).String(), alice.String()
		}
	})
}

func (a *attacker) addPackage() {
	r := a.releases[a.r.IntN(len(a.releases))]
	p := r.Locked()
	var text struct{ Packages map[string]map[string]any }
	if err := json.Unmarshal((&lockfile.File{Packages: map[string]*Package{"": p}}).Bytes(), &text); err != nil {
		a.Fatal(err)
	}
	at := []string{"node_modules/" + string(p.Name), "node_modules/lib/node_modules/" + string(p.Name), "node_modules/evil", "../outside/x", "node_modules/.bin/x",
		"node_modules/lib/node_modules/lib"}[a.r.IntN(6)]
	a.lock(func(packages map[string]map[string]any) { packages[at] = text.Packages[""] })
}

func (a *attacker) dropPackage() {
	a.lock(func(packages map[string]map[string]any) {
		if len(packages) > 0 {
			delete(packages, pick(a, packages))
		}
	})
}

// note plants a note: the attacker has not the user's key.
func (a *attacker) note() {
	m := layout.Note{Version: 1, Modules: map[string]layout.Placed{}, Bins: map[string]string{}}
	for _, r := range a.releases {
		at := "node_modules/" + string(r.Name)
		m.Modules[at] = layout.Placed{Module: r.Locked().Module.String()}
		m.Modules["node_modules/lib/"+at] = m.Modules[at]
		m.Bins["node_modules/.bin/"+string(r.Name)] = at
	}
	b := m.Encode([][]byte{nil, []byte("mallory")}[a.r.IntN(2)])
	a.replace(filepath.Join(a.p.dir, filepath.FromSlash(layout.NotePath)), b)
}

// plant puts packages, or changed files of packages, where they are found.
func (a *attacker) plant() {
	at := filepath.Join(a.p.dir, lockfile.NodeModules, []string{"lib", "dep", "evil", "@x/evil", "lib/node_modules/evil", "lib/node_modules/dep", ".bin/lib", ".bin/evil"}[a.r.IntN(8)])
	if strings.Contains(at, ".bin") {
		a.replace(at, []byte("#!/bin/sh\necho evil\n"))
		return
	}
	a.replace(filepath.Join(at, packagejson.Name), fmt.Appendf(nil, `{"name":%q,"version":"1.0.0"}`, filepath.Base(at)))
	a.replace(filepath.Join(at, "index.js"), []byte("evil"))
}

// link makes something of the project a link, to the outside or to something endless.
func (a *attacker) link() {
	at := filepath.Join(a.p.dir, []string{"node_modules", "node_modules/lib", "node_modules/dep", "node_modules/.bin", "node_modules/.bin/lib", "node_modules/lib/index.js",
		"es-lock.json", "node_modules/.es-modules.json", "node_modules/.es-lock", "node_modules/.es-new", "package-lock.json", "node_modules/@x"}[a.r.IntN(12)])
	to := []string{a.outside, filepath.Join(a.outside, "file"), "/dev/zero", "nowhere", ".", "../lib"}[a.r.IntN(6)]
	if a.within(filepath.Dir(at)) && os.MkdirAll(filepath.Dir(at), 0o755) == nil && os.RemoveAll(at) == nil {
		_ = os.Symlink(to, at)
	}
}

func (a *attacker) spoilLock() {
	at := filepath.Join(a.p.dir, lockfile.Name)
	b := slices.Clone(a.honest)
	switch a.r.IntN(3) {
	case 0:
		b[a.r.IntN(len(b))] ^= byte(1 << a.r.IntN(8))
	case 1:
		b = b[:a.r.IntN(len(b))]
	case 2:
		i := a.r.IntN(len(b))
		b = slices.Insert(b, i, b[:i]...)
	}
	a.replace(at, b)
}

func (a *attacker) otherLockfile() {
	name := pick(a, map[string]bool{"package-lock.json": true, "node_modules/.package-lock.json": true, "yarn.lock": true})
	a.replace(filepath.Join(a.p.dir, filepath.FromSlash(name)), []byte(`{"packages":{"node_modules/dep":{},"node_modules/evil":{},"../outside":{}}}`))
}

func (a *attacker) trust() {
	a.replace(filepath.Join(a.p.dir, "es.trust"), fmt.Appendf(nil, "key %s lib dep tool evil\n", bob))
}

// run lets the user do something in the project.
func (a *attacker) run() (*Result, error) {
	o := Options{Frozen: a.r.IntN(3) == 0, Force: a.r.IntN(4) == 0, Accepted: []records.Fingerprint{alice}}
	refused := errors.New("asked about a key")
	o.Approve = func(s Signers) error {
		for _, p := range s.First {
			if p.Signer != alice {
				return refused
			}
		}
		return nil
	}
	if o.Frozen || a.r.IntN(2) == 0 {
		return a.p.Install(a.Context(), a.sources(), o)
	}
	if a.r.IntN(2) == 0 {
		return a.p.Update(a.Context(), a.sources(), nil, o)
	}
	return a.p.Add(a.Context(), a.sources(), requests(a.T, "lib"), o)
}

// TestThreat52AttackerWritesTheProject has an attacker write the lockfile and the project
// directory. Nothing is installed that was not asked, nothing is called signed that was not
// verified, and nothing outside is touched. A sample; all 2,000 with ES_FULL.
func TestThreat52AttackerWritesTheProject(t *testing.T) {
	variants := 150
	if full {
		variants = 2000
	}
	w := attackWorld(t)
	author := project(t, `"lib": "^1", "tool": "1.0.0"`)
	honestWorld := &attacker{T: t, world: w}
	if _, err := author.Install(t.Context(), honestWorld.sources(), Options{}); err != nil {
		t.Fatal(err)
	}
	honest := []byte(read(t, author.dir, lockfile.Name))
	succeeded := 0
	for seed := range variants {
		a := &attacker{T: t, world: w, r: rand.New(rand.NewPCG(uint64(seed), 10)), honest: honest, outside: t.TempDir()}
		write(t, filepath.Join(a.outside, "file"), "untouched")
		a.p = project(t, `"lib": "^1", "tool": "1.0.0"`)
		write(t, filepath.Join(a.p.dir, lockfile.Name), string(honest))
		if a.r.IntN(2) == 0 {
			if _, err := a.p.Install(t.Context(), a.sources(), Options{Frozen: true}); err != nil {
				t.Fatal(err)
			}
			os.Remove(filepath.Join(a.p.dir, filepath.FromSlash(layout.NotePath))) // it is somebody else's
		}
		for range 1 + a.r.IntN(4) {
			a.mutate()
		}
		planted := a.snapshot()
		result, err := a.run()
		if err == nil {
			succeeded++
		}
		a.check(seed, planted, result, err)
		if t.Failed() {
			t.Fatalf("variant %d: %s", seed, strings.Join(a.done, ", "))
		}
	}
	t.Logf("%d of %d variants were installed, the others refused", succeeded, variants)
	if succeeded < variants/10 || succeeded > variants*9/10 {
		t.Errorf("%d of %d variants were installed: they test too little", succeeded, variants)
	}
}

// snapshot returns the contents of all regular files in node_modules.
func (a *attacker) snapshot() map[string]string {
	all := map[string]string{}
	root := filepath.Join(a.p.dir, lockfile.NodeModules)
	if info, err := os.Lstat(root); err != nil || !info.IsDir() {
		return all
	}
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(a.p.dir, name)
		all[filepath.ToSlash(rel)] = read(a.T, name)
		return err
	})
	if err != nil {
		a.Fatal(err)
	}
	return all
}

func (a *attacker) check(seed int, planted map[string]string, result *Result, failed error) {
	if got := read(a.T, a.outside, "file"); got != "untouched" {
		a.Errorf("the file outside holds %q", got)
	}
	if entries, err := os.ReadDir(a.outside); err != nil || len(entries) != 1 {
		a.Errorf("the directory outside holds %d entries, %v", len(entries), err)
	}
	// Whatever was written is of a module that some honest or locked package has; what
	// bob signed and nobody asked for is not among it, unless the lockfile pins it by its
	// CIDs, which is what a lockfile is for: then it is bob's own and told as his.
	v, err := a.p.Verify(a.Context(), a.sources())
	if failed != nil {
		a.onlyOf(planted)
		return
	}
	if err != nil {
		a.Errorf("verify after an installation: %v", err)
		return
	}
	a.onlyOf(planted)
	a.signedAsRecorded(result)
	for _, d := range v.Damage {
		if _, was := planted[d.Package.Path+"/"+d.File]; !was && d.File != "" {
			a.Errorf("installed, and then damage: %s %s: %s", d.Package.Path, d.File, d.Reason)
		}
	}
	a.extraneousIsTold(v)
}

// onlyOf checks that every file is one that was planted, one of es's own, or one of a
// module at the place that the lockfile gives it.
func (a *attacker) onlyOf(planted map[string]string) {
	for name, content := range a.snapshot() {
		if old, was := planted[name]; was && old == content || strings.HasPrefix(name, "node_modules/.es-") {
			continue
		}
		if !strings.Contains(content, "evil") {
			continue
		}
		l, err := a.p.Lockfile()
		at := name[:strings.LastIndex(name, "/")]
		if err != nil || l == nil || l.Packages[at] == nil || l.Packages[at].Signer == alice && a.isSigned(l.Packages[at]) {
			a.Errorf("%s was written: %q (%v)", name, content, err)
		}
	}
}

func (a *attacker) isSigned(p *Package) bool {
	s, err := SignatureOf(a.Context(), p, a.sources().Records)
	return err == nil && s.Standing == Signed
}

// signedAsRecorded checks that what counts as signed is the module that the record names.
func (a *attacker) signedAsRecorded(result *Result) {
	all := slices.Concat(result.Added, result.Restored, result.Kept)
	for _, c := range result.Changed {
		all = append(all, c.After)
	}
	for _, p := range all {
		s, err := SignatureOf(a.Context(), p, a.sources().Records)
		if err != nil || s.Standing == Contradicted {
			a.Errorf("%s was installed, and its record %s, %v", p, s.Why, err)
		}
		if s.Standing != Signed {
			continue
		}
		i := slices.IndexFunc(a.releases, func(r *Resolution) bool { return r.Record == p.Record })
		if i < 0 || a.releases[i].Locked().Module != p.Module || a.releases[i].Signer != p.Signer {
			a.Errorf("%s counts as signed by %s", p, p.Signer)
		}
	}
}

// extraneousIsTold checks that what was planted and is still there is reported or counted.
func (a *attacker) extraneousIsTold(v *Verified) {
	l, err := a.p.Lockfile()
	if err != nil || l == nil {
		a.Errorf("the lockfile afterwards: %v", err)
		return
	}
	for name, content := range a.snapshot() {
		if content != "evil" {
			continue
		}
		told := v.Managed > 0 || slices.ContainsFunc(v.Extraneous, func(at string) bool { return strings.HasPrefix(name, at+"/") }) ||
			slices.ContainsFunc(v.Damage, func(d Damage) bool { return d.Package.Path+"/"+d.File == name })
		if !told {
			a.Errorf("%s is there, and es verify says nothing of it", name)
		}
	}
}
