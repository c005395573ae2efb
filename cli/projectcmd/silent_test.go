package projectcmd

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

// attempts is how often each attack is tried: 100 times with ES_FULL=1.
func attempts() int {
	if os.Getenv("ES_FULL") != "" {
		return 100
	}
	return 20
}

// An office is a home that stays open, with all that its user decides by.
type office struct {
	*testing.T
	home *home.Home
}

// newOffice opens a home with this trust file.
func newOffice(t *testing.T, trustFile string) *office {
	t.Helper()
	h, err := home.Open(t.Context(), filepath.Join(t.TempDir(), "home"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	policy, err := trust.Parse([]byte(trustFile))
	if err == nil {
		err = trust.Update(t.Context(), h.TrustPath(), func(p *trust.Policy) error { *p = *policy; return nil })
	}
	if err != nil {
		t.Fatal(err)
	}
	return &office{t, h}
}

// newSecret makes somebody's key, a year old.
func newSecret(t *testing.T, name string) *sign.SecretKey {
	t.Helper()
	k, err := sign.NewSecretKey(name, "", time.Now().AddDate(-1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// says has the home hear of a record that was made at one time, at another, or now
// when that is zero.
func (o *office) says(k *sign.SecretKey, made, heard time.Time, body records.Body) {
	o.Helper()
	ctx, f := o.Context(), k.Key().Fingerprint()
	seq, prev, err := authorlog.New(o.home.Index()).Head(ctx, f)
	if err != nil {
		o.Fatal(err)
	}
	v, err := sign.Sign(ctx, k, &records.Record{Author: f, Seq: seq, Prev: prev, Time: made.Unix(), Body: body})
	if err != nil {
		o.Fatal(err)
	}
	if _, err := o.home.Index().Add(ctx, v, k.Key(), index.Source{At: heard}); err != nil {
		o.Fatal(err)
	}
}

// packs stores a module that says who made it and what it needs.
func (o *office) packs(name, version, by, needs string) *records.Release {
	o.Helper()
	set, err := modules.ScanFS(fstest.MapFS{
		"package.json": {Data: fmt.Appendf(nil, `{"name": %q, "version": %q, "dependencies": {%s}}`, name, version, needs), Mode: 0o644},
		"by.txt":       {Data: []byte(by), Mode: 0o644}})
	if err != nil {
		o.Fatal(err)
	}
	m, err := set.Pack(o.Context(), o.home.Blocks())
	if err != nil {
		o.Fatal(err)
	}
	return &records.Release{Name: m.Name, Version: m.Version, Module: m.CID, Size: m.Size, Files: m.Files, Manifest: m.Manifest}
}

// add installs into a new project and returns the modules that are then there.
func (o *office) add(name string) (map[cid.Cid]bool, error) {
	return o.addWith(name, func(*session) {})
}

// addWith is add with a session that was changed before.
func (o *office) addWith(name string, change func(*session)) (map[cid.Cid]bool, error) {
	o.Helper()
	p, err := install.Open(o.TempDir())
	if err != nil {
		o.Fatal(err)
	}
	evaluator, err := o.home.Evaluator(time.Now())
	if err != nil {
		o.Fatal(err)
	}
	r, err := install.ParseRequest(name)
	if err != nil {
		o.Fatal(err)
	}
	w := &session{home: o.home, evaluator: evaluator}
	change(w)
	_, failed := p.Add(o.Context(), install.Sources{Resolver: &resolver{w}, Blocks: o.home.Blocks()}, []install.Request{r}, install.Options{})
	there := map[cid.Cid]bool{}
	lock, err := p.Lockfile()
	if err != nil {
		o.Fatal(err)
	}
	if lock != nil {
		for q := range maps.Values(lock.Packages) {
			there[q.Module] = true
		}
	}
	return there, failed
}

// TestThreat10DependencyConfusion is that of 100 names in a scope that the user gave one
// key, none is installed from a broadly trusted key or one that it delegates to, neither
// by its name nor as what another module needs; and that those which the key of the scope has released are
// installed from that key. 20 names, or 100 with ES_FULL=1.
func TestThreat10DependencyConfusion(t *testing.T) {
	good, broad, minted := newSecret(t, "Good"), newSecret(t, "Broad"), newSecret(t, "Minted")
	text := fmt.Sprintf("key %s * depth=3 follow=yes\nkey %s @acme/*\n", broad.Key().Fingerprint(), good.Key().Fingerprint())
	o := newOffice(t, text)
	now := time.Now()
	o.says(broad, now, now, &records.Delegate{To: minted.Key().Fingerprint(), Scopes: []records.Scope{"*", "@acme/*"}, Depth: 2, Until: now.AddDate(1, 0, 0).Unix()})
	evil, confused, right := map[cid.Cid]bool{}, 0, 0
	for i := range attempts() {
		tool, lib := fmt.Sprintf("@acme/tool-%d", i), fmt.Sprintf("lib-%d", i)
		for n, k := range []*sign.SecretKey{broad, minted} {
			r := o.packs(tool, fmt.Sprintf("99.%d.0", n), "evil", "")
			evil[r.Module] = true
			o.says(k, now, now, r)
			o.says(k, now, now, &records.Tag{Name: r.Name, Tag: "latest", Version: r.Version})
		}
		o.says(broad, now, now, o.packs(lib, "1.0.0", "broad", fmt.Sprintf("%q: \"*\"", tool)))
		var own cid.Cid
		if i%2 == 0 {
			r := o.packs(tool, "1.0.0", "good", "")
			own = r.Module
			o.says(good, now, now, r)
		}
		for _, name := range []string{tool, lib} {
			there, err := o.add(name)
			for m := range there {
				if evil[m] {
					confused++
				}
			}
			switch {
			case own.Defined() && err == nil && there[own]:
				right++
			case own.Defined() || len(there) > 0 || !errors.As(err, new(*resolve.UntrustedError)):
				t.Errorf("%s: %d packages, %v", name, len(there), err)
			}
		}
	}
	if confused != 0 || right != attempts() {
		t.Errorf("%d installs have a module of the wrong key, %d of %d the right one", confused, right, attempts())
	}
}

// TestThreat17Forged is that of 100 releases that are dated before the end of a key, and
// were first seen long after it, none is installed unasked, by name, range or number;
// and that those which came in time are. 20 of them, or 100 with ES_FULL=1.
func TestThreat17Forged(t *testing.T) {
	ada := newSecret(t, "Ada")
	day := 24 * time.Hour
	end := time.Now().Add(-100 * day)
	o := newOffice(t, fmt.Sprintf("key %s *\n", ada.Key().Fingerprint()))
	// Ada's own records come first: she names none of the thief's.
	for i := range 10 {
		made := end.Add(-time.Duration(10-i) * day)
		o.says(ada, made, made.Add(time.Hour), o.packs(fmt.Sprintf("early-%d", i), "1.0.0", "ada", ""))
	}
	for i := range attempts() {
		made := end.Add(-time.Duration(i+1) * day)
		o.says(ada, made, time.Now().Add(-time.Duration(i%90)*day), o.packs(fmt.Sprintf("late-%d", i), "1.0.0", "thief", ""))
	}
	revoked, err := ada.Revoke(sign.Retired, "", end)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.home.Index().AddKey(t.Context(), revoked); err != nil {
		t.Fatal(err)
	}
	silent := 0
	for i := range attempts() {
		there, err := o.add(fmt.Sprintf("late-%d%s", i, []string{"", "@^1.0.0", "@1.0.0"}[i%3]))
		if len(there) > 0 || !errors.As(err, new(*resolve.HeldError)) {
			silent++
			t.Errorf("forgery %d: %d packages, %v", i, len(there), err)
		}
	}
	if silent > 0 {
		t.Errorf("%d silent installs of %d", silent, attempts())
	}
	for i := range 10 {
		if there, err := o.add(fmt.Sprintf("early-%d", i)); err != nil || len(there) != 1 {
			t.Errorf("in time %d: %v", i, err)
		}
	}
}
