package index_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/index/fsck"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

// orders yields every order of n things.
func orders(n int, yield func([]int)) {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	var rec func(int)
	rec = func(k int) {
		if k == n {
			yield(p)
			return
		}
		for i := k; i < n; i++ {
			p[k], p[i] = p[i], p[k]
			rec(k + 1)
			p[k], p[i] = p[i], p[k]
		}
	}
	rec(0)
}

// TestX1Equivocation shows SPEC X1, in every order of arrival, one by one and in one
// batch: the same proof is found, once, and the version is frozen.
func TestX1Equivocation(t *testing.T) {
	a, b := newAuthor(t, "ann"), newAuthor(t, "bob")
	items := []index.Item{
		a.says(release("left-pad", "1.0.0", "X")),
		a.says(release("left-pad", "1.0.0", "Y")),
		a.says(release("left-pad", "1.0.0", "X")), // says so again
		b.says(release("left-pad", "1.0.0", "Y")),
	}
	trusted := trusting(t, a)
	var want []index.Proof
	var wantDecision trust.Decision
	check := func(x *index.Index, outcomes []index.Outcome, how string) {
		t.Helper()
		n := map[index.Outcome]int{}
		for _, o := range outcomes {
			n[o]++
		}
		if n[index.Equivocation] != 1 || n[index.Stored]+n[index.Frozen] != 3 {
			t.Errorf("%s: outcomes %v", how, outcomes)
		}
		proofs := must[[]index.Proof](t)(x.Equivocations(t.Context()))
		d := must[trust.Decision](t)(resolve.New(x).Decide(t.Context(), "left-pad", "1.0.0", trusted))
		if want == nil {
			want, wantDecision = proofs, d
		}
		if !reflect.DeepEqual(proofs, want) || !reflect.DeepEqual(d, wantDecision) {
			t.Errorf("%s: proofs or decision differ", how)
		}
		if d.State != trust.Equivocation || len(proofs) != 1 || len(proofs[0].Records) != 2 || proofs[0].Author != a.fpr() {
			t.Fatalf("%s: %v, %+v", how, d.State, proofs)
		}
		for _, s := range proofs[0].Records {
			key, err := sign.ParseKey(s.Key)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := sign.Open(s.Envelope, sign.KeyRing{a.fpr(): key}); err != nil {
				t.Errorf("%s: the proof does not hold: %v", how, err)
			}
		}
	}
	orders(len(items), func(p []int) {
		var permuted []index.Item
		for _, i := range p {
			permuted = append(permuted, items[i])
		}
		batch := open(t)
		check(batch, add(t, batch, permuted...), fmt.Sprint("batch ", p))
		single := open(t)
		var outcomes []index.Outcome
		for _, it := range permuted {
			outcomes = append(outcomes, add(t, single, it)...)
		}
		check(single, outcomes, fmt.Sprint("single ", p))
	})
}

// TestX1OwnEquivocation: two publishers with one key must not freeze their own
// version by accident.
func TestX1OwnEquivocation(t *testing.T) {
	x, a := open(t), newAuthor(t, "ann")
	first, second := a.says(release("left-pad", "1.0.0", "X")), a.says(release("left-pad", "1.0.0", "Y"))
	add(t, x, first)
	got, err := x.Add(t.Context(), second.Verified, second.Key, index.Source{Own: true})
	var released *index.ReleasedError
	if got != index.Refused || !errors.As(err, &released) || released.Name != "left-pad" || released.Author != a.fpr() || errors.As(err, new(*index.EquivocationError)) {
		t.Fatalf("got %v, %v", got, err)
	}
	if p := must[[]index.Proof](t)(x.Equivocations(t.Context())); len(p) != 0 {
		t.Errorf("proofs %+v", p)
	}
	if p := must[[]index.SignedRecord](t)(x.Pending(t.Context())); len(p) != 0 {
		t.Errorf("pending %+v", p)
	}
}

// TestX2Revocation shows SPEC X2: whichever of records and revocation comes first,
// the verdicts are the same.
func TestX2Revocation(t *testing.T) {
	for _, c := range []struct {
		name          string
		reason        packet.ReasonForRevocation
		before, after trust.State // of a release made before and after it
	}{
		{"hard", packet.KeyCompromised, trust.Unknown, trust.Unknown},
		{"soft", packet.KeyRetired, trust.Trusted, trust.Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAuthor(t, "ann")
			early := a.says(release("left-pad", "1.0.0", "X"))
			revoked := a.revoked(c.reason, start.Add(time.Minute))
			a.now = start.Add(time.Hour)
			late := a.says(release("left-pad", "2.0.0", "X"))
			steps := []func(*index.Index){
				func(x *index.Index) { offer(t, x, early) },
				func(x *index.Index) { offer(t, x, late) },
				func(x *index.Index) {
					if _, changed, err := x.AddKey(t.Context(), revoked); err != nil || !changed {
						t.Errorf("changed %t, %v", changed, err)
					}
				},
			}
			orders(len(steps), func(p []int) {
				path := filepath.Join(t.TempDir(), "index")
				x := openAt(t, path)
				for _, i := range p {
					steps[i](x)
				}
				// A peer that strips the revocation changes nothing, nor does a restart.
				for range 10 {
					offer(t, x, early)
					if merged, changed, err := x.AddKey(t.Context(), a.key); err != nil || changed || !isRevoked(merged) {
						t.Fatalf("%v: revocation lost: changed %t, %v", p, changed, err)
					}
				}
				for _, x := range []*index.Index{x, openAt(t, path)} {
					if key := must[*sign.Key](t)(x.Key(t.Context(), a.fpr())); !isRevoked(key) {
						t.Errorf("%v: stored key is not revoked", p)
					}
					for version, want := range map[records.Version]trust.State{"1.0.0": c.before, "2.0.0": c.after} {
						d := must[trust.Decision](t)(resolve.New(x).Decide(t.Context(), "left-pad", version, trusting(t, a)))
						if d.State != want {
							t.Errorf("%v: %s is %v, want %v", p, version, d.State, want)
						}
					}
				}
			})
		})
	}
}

// TestX2RevocationBesideRecord: a revocation that comes with a record, which it
// makes itself invalid, counts for all earlier ones.
func TestX2RevocationBesideRecord(t *testing.T) {
	x, a := open(t), newAuthor(t, "ann")
	add(t, x, a.says(release("left-pad", "1.0.0", "X")))
	late := a.says(release("left-pad", "1.1.0", "X"))
	late.Key = a.revoked(packet.KeyCompromised, a.now)
	offer(t, x, late)
	if d := must[trust.Decision](t)(resolve.New(x).Decide(t.Context(), "left-pad", "1.0.0", trusting(t, a))); d.State != trust.Unknown || d.Claims[0].Effect != trust.InvalidSignature {
		t.Errorf("decision %+v", d)
	}
	late.Key = a.key // an older block does not help
	offer(t, x, late)
	if has := must[bool](t)(x.Has(t.Context(), late.Verified.ID())); has {
		t.Error("stored a record by a revoked key")
	}
}

// TestX2RevocationOfMany: also when an author has many records, and says more while
// the revocation is merged.
func TestX2RevocationOfMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x, a := openAt(t, path), newAuthor(t, "ann")
	revokedAt := start.Add(150 * time.Second)
	revoked := a.revoked(packet.KeyRetired, revokedAt)
	var items []index.Item
	for i := range 400 {
		items = append(items, a.says(release(records.Name(fmt.Sprint("pkg-", i)), "1.0.0", "X")))
	}
	add(t, x, items[:300]...)
	other := openAt(t, path)
	var group sync.WaitGroup
	group.Go(func() {
		for _, it := range items[300:] {
			_, err := other.Add(t.Context(), it.Verified, it.Key, it.Source)
			if ke := new(sign.KeyError); err != nil && !errors.As(err, &ke) {
				t.Error(err)
			}
		}
	})
	late := items[0]
	late.Key = revoked
	if got := add(t, x, late); got[0] != index.Known {
		t.Errorf("outcome %v", got)
	}
	group.Wait()
	all := must[[]index.Statement](t)(x.Statements(t.Context(), a.fpr()))
	if len(all) < 300 {
		t.Errorf("%d records", len(all))
	}
	for _, s := range all {
		if want := !s.SignedAt.Before(revokedAt); (s.Invalid != "") != want {
			t.Errorf("signed at %v: invalid %q", s.SignedAt, s.Invalid)
		}
	}
	if err := fsck.Check(t.Context(), x); err != nil {
		t.Error(err)
	}
}

// TestX5HeadWithoutInvalid: a record that counts no longer hides nothing it names.
func TestX5HeadWithoutInvalid(t *testing.T) {
	x, a := open(t), newAuthor(t, "ann")
	first := a.says(release("left-pad", "1.0.0", "X"))
	revoked := a.revoked(packet.KeyRetired, start.Add(time.Minute))
	a.now = start.Add(time.Hour)
	add(t, x, first, a.says(release("left-pad", "1.1.0", "X")))
	if seq, prev, err := authorlog.New(x).Head(t.Context(), a.fpr()); seq != 2 || len(prev) != 1 || err != nil {
		t.Fatalf("seq %d, prev %v, %v", seq, prev, err)
	}
	if _, _, err := x.AddKey(t.Context(), revoked); err != nil {
		t.Fatal(err)
	}
	if seq, prev, err := authorlog.New(x).Head(t.Context(), a.fpr()); seq != 1 || len(prev) != 1 || prev[0] != first.Verified.ID() || err != nil {
		t.Errorf("seq %d, prev %v, %v", seq, prev, err)
	}
}

func isRevoked(k *sign.Key) bool { _, ok := k.Revocation(); return ok }

// offer adds an item that may be refused because of its key.
func offer(t *testing.T, x *index.Index, it index.Item) {
	t.Helper()
	got, err := x.Add(t.Context(), it.Verified, it.Key, it.Source)
	var ke *sign.KeyError
	if err != nil && (got != index.Refused || !errors.As(err, &ke)) {
		t.Fatalf("got %v, %v", got, err)
	}
}

// TestX2RevocationEndsEquivocation: records that count no longer are no proof.
func TestX2RevocationEndsEquivocation(t *testing.T) {
	x, a := open(t), newAuthor(t, "ann")
	first := a.says(release("left-pad", "1.0.0", "X"))
	revoked := a.revoked(packet.KeyRetired, start.Add(time.Minute))
	a.now = start.Add(time.Hour)
	add(t, x, first, a.says(release("left-pad", "1.0.0", "Y")))
	if p := must[[]index.Proof](t)(x.Equivocations(t.Context())); len(p) != 1 {
		t.Fatalf("proofs %+v", p)
	}
	if _, _, err := x.AddKey(t.Context(), revoked); err != nil {
		t.Fatal(err)
	}
	if p := must[[]index.Proof](t)(x.Equivocations(t.Context())); len(p) != 0 {
		t.Errorf("proofs %+v", p)
	}
	d := must[trust.Decision](t)(resolve.New(x).Decide(t.Context(), "left-pad", "1.0.0", trusting(t, a)))
	if d.State != trust.Trusted || d.Module != module("X") {
		t.Errorf("decision %+v", d)
	}
}

// TestX3X4NewestWins shows SPEC X3 and X4: of an author's records about one tag or one
// notice, the newest counts, in any order of arrival.
func TestX3X4NewestWins(t *testing.T) {
	a, b := newAuthor(t, "ann"), newAuthor(t, "bob")
	tag := func(v records.Version) *records.Tag { return &records.Tag{Name: "left-pad", Tag: "latest", Version: v} }
	notice := func(text string) *records.Notice {
		return &records.Notice{Name: "left-pad", Range: "1.x", NoticeOf: records.Deprecated, Text: text}
	}
	first, second := a.says(tag("1.0.0")), a.says(tag("2.0.0"))
	a.says(&records.Heartbeat{Next: a.now.Unix() + 100})
	// Seq decides before time: this one's clock is an hour back.
	a.now = a.now.Add(-time.Hour)
	third := a.says(tag("1.5.0"))
	old, taken := a.says(notice("use right-pad")), a.says(notice(""))
	items := []index.Item{first, second, third, b.says(tag("9.0.0")), old, taken}
	var releases []index.Item
	for _, v := range []records.Version{"1.0.0", "1.5.0", "2.0.0"} {
		releases = append(releases, a.says(release("left-pad", v, string(v))))
	}
	n := 0
	orders(len(items), func(p []int) {
		if n++; n%37 != 1 { // a slice of the 720
			return
		}
		x := open(t)
		for _, i := range p {
			add(t, x, items[i])
		}
		add(t, x, releases...)
		if r, err := resolve.New(x).Resolve(t.Context(), "left-pad", "", trusting(t, a)); err != nil || r.Version != "1.5.0" {
			t.Errorf("%v: resolved %s, %v", p, r.Version, err)
		}
		ts := must[[]index.Tag](t)(x.Tags(t.Context(), "left-pad"))
		if len(ts) != 2 {
			t.Fatalf("%v: tags %+v", p, ts)
		}
		for _, tag := range ts {
			if want := map[records.Fingerprint]records.Version{a.fpr(): "1.5.0", b.fpr(): "9.0.0"}[tag.Author]; tag.Body.Version != want {
				t.Errorf("%v: %s, want %s", p, tag.Body.Version, want)
			}
		}
		ns := must[[]index.Notice](t)(x.Notices(t.Context(), "left-pad"))
		if len(ns) != 1 || ns[0].Body.Text != "" {
			t.Errorf("%v: notices %+v", p, ns)
		}
	})
}

// TestX3NewestTies: at equal seq the later time wins, then the higher record id.
func TestX3NewestTies(t *testing.T) {
	a := newAuthor(t, "ann")
	tag := func(v records.Version) index.Item {
		return a.at(0, nil, &records.Tag{Name: "left-pad", Tag: "latest", Version: v})
	}
	// The earlier one has the higher id.
	early := tag("2.0.0")
	late := tag("1.0.0")
	for i := 0; bytes.Compare(early.Verified.ID().Bytes(), late.Verified.ID().Bytes()) < 0; i++ {
		a.now = start
		early = tag(records.Version(fmt.Sprintf("2.0.%d", i)))
	}
	a.now = late.Verified.SignedAt().Add(-time.Second)
	same := tag("3.0.0") // at the time of late
	want := late
	if bytes.Compare(same.Verified.ID().Bytes(), late.Verified.ID().Bytes()) > 0 {
		want = same
	}
	orders(3, func(p []int) {
		x := open(t)
		for _, i := range p {
			add(t, x, []index.Item{early, late, same}[i])
		}
		if ts := must[[]index.Tag](t)(x.Tags(t.Context(), "left-pad")); len(ts) != 1 || ts[0].ID != want.Verified.ID() {
			t.Errorf("%v: tags %+v", p, ts)
		}
	})
}
