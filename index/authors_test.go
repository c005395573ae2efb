package index_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/records"
)

func TestAuthors(t *testing.T) {
	x, ctx := open(t), t.Context()
	if all := must[[]index.Author](t)(x.Authors(ctx)); len(all) != 0 {
		t.Errorf("authors %+v", all)
	}
	a, b := newAuthor(t, "ann"), newAuthor(t, "bob")
	add(t, x, strange(b.says(release("left-pad", "1.0.0", "X")))...)
	revoked := a.revoked(packet.KeyRetired, start.Add(time.Minute))
	early := a.says(release("left-pad", "1.0.0", "X"))
	a.now = start.Add(time.Hour)
	add(t, x, early, a.says(release("left-pad", "2.0.0", "X")))
	if _, _, err := x.AddKey(ctx, revoked); err != nil {
		t.Fatal(err)
	}
	if _, _, err := x.AddKey(ctx, newAuthor(t, "silent").key); err != nil {
		t.Fatal(err)
	}
	want := []index.Author{{Key: a.fpr(), Records: 2, Invalid: 1}, {Key: b.fpr(), Records: 1, Strangers: 1}}
	slices.SortFunc(want, func(a, b index.Author) int { return strings.Compare(a.Key.String(), b.Key.String()) })
	if all := must[[]index.Author](t)(x.Authors(ctx)); !reflect.DeepEqual(all, want) {
		t.Errorf("authors %+v, want %+v", all, want)
	}
}

func TestNewest(t *testing.T) {
	x, ctx, a := open(t), t.Context(), newAuthor(t, "ann")
	if l := must[authorlog.Latest](t)(authorlog.New(x).Newest(ctx, a.fpr())); l != (authorlog.Latest{}) {
		t.Errorf("newest of nothing: %+v", l)
	}
	first := a.says(release("left-pad", "1.0.0", "X"))
	beat := a.says(&records.Heartbeat{Next: start.Add(24 * time.Hour).Unix()})
	late := a.says(&records.Heartbeat{Next: start.Add(48 * time.Hour).Unix()})
	last := a.says(release("left-pad", "1.1.0", "X"))
	last.Source.At = start.Add(time.Minute)
	newest := func(what string, it index.Item, seq int64, next time.Time, missing int) {
		t.Helper()
		want := authorlog.Latest{Record: it.Verified.ID(), Seq: seq, Time: it.Verified.SignedAt(), FirstSeen: it.Source.At, Next: next}
		if l := must[authorlog.Latest](t)(authorlog.New(x).Newest(ctx, a.fpr())); l != want {
			t.Errorf("%s: %+v, want %+v", what, l, want)
		}
		if n := must[int](t)(authorlog.New(x).Incomplete(ctx, a.fpr())); n != missing {
			t.Errorf("%s: %d missing, want %d", what, n, missing)
		}
	}
	add(t, x, first)
	newest("the first", first, 0, time.Time{}, 0)
	add(t, x, last)
	newest("two are missing, one is known to be", last, 3, time.Time{}, 1)
	add(t, x, beat)
	newest("a heartbeat", last, 3, start.Add(24*time.Hour), 1)
	add(t, x, late)
	newest("all", last, 3, start.Add(48*time.Hour), 0)

	b := newAuthor(t, "bob")
	add(t, x, b.at(1, a.prev, release("left-pad", "1.0.0", "X")), b.at(7, []cid.Cid{late.Verified.ID()}, release("left-pad", "1.1.0", "X")))
	newest("another author", last, 3, start.Add(48*time.Hour), 0)

	// What counts no longer takes no part.
	revoked := a.revoked(packet.KeyRetired, first.Verified.SignedAt().Add(time.Second))
	if _, _, err := x.AddKey(ctx, revoked); err != nil {
		t.Fatal(err)
	}
	newest("after a revocation", first, 0, time.Time{}, 0)
}

// TestX8Delegates shows SPEC X8: of an author's delegations to one key the newest
// counts, in any order of arrival.
func TestX8Delegates(t *testing.T) {
	a, b, c := newAuthor(t, "ann"), newAuthor(t, "bob"), newAuthor(t, "cy")
	to := func(who *author, depth int64, scopes ...records.Scope) *records.Delegate {
		d := &records.Delegate{To: who.fpr(), Scopes: scopes, Depth: depth}
		if len(scopes) > 0 {
			d.Until = start.AddDate(1, 0, 0).Unix()
		}
		return d
	}
	items := []index.Item{
		a.says(to(b, 0, "*")),
		a.says(to(b, 1, "@acme/*", "left-pad")),
		a.says(to(c, 0, "*")),
		a.says(to(c, 0)),
		b.says(to(c, 2, "*")),
	}
	n := 0
	orders(len(items), func(p []int) {
		if n++; n%7 != 1 { // a slice of the 120
			return
		}
		x := open(t)
		var permuted []index.Item
		for _, i := range p {
			permuted = append(permuted, items[i])
		}
		add(t, x, permuted...)
		ds := must[[]authorlog.Delegation](t)(authorlog.New(x).Delegates(t.Context(), a.fpr()))
		if len(ds) != 2 {
			t.Fatalf("%v: delegations %+v", p, ds)
		}
		if ds[0].Body.To != b.fpr() {
			slices.Reverse(ds)
		}
		if d := ds[0].Body; d.To != b.fpr() || d.Depth != 1 || len(d.Scopes) != 2 || d.Until == 0 || ds[0].Author != a.fpr() {
			t.Errorf("%v: to bob %+v", p, d)
		}
		if d := ds[1].Body; d.To != c.fpr() || len(d.Scopes) != 0 {
			t.Errorf("%v: to cy %+v", p, d)
		}
	})
}
