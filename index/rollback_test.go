package index_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// A history is what an author and their delegate have said about a name, the last of
// which takes back much of what was said before, and the author's key as it ended.
type history struct {
	author  *author
	name    records.Name
	items   []index.Item // with the key as it was at first
	revoked *sign.Key    // makes the last release void
}

func newHistory(t *testing.T, name records.Name) *history {
	t.Helper()
	a, d := newAuthor(t, "ann"), newAuthor(t, "dan")
	h := &history{author: a, name: name}
	say := func(who *author, body records.Body) { h.items = append(h.items, who.says(body)) }
	gives := func(who *author, v records.Version) { say(who, release(name, v, "by "+who.fpr().String()+string(v))) }
	tag := func(v records.Version) { say(a, &records.Tag{Name: name, Tag: "latest", Version: v}) }
	yank := func(text string) {
		say(a, &records.Notice{Name: name, NoticeOf: records.Yanked, Range: "1.3.x", Text: text})
	}
	gives(a, "1.0.0")
	tag("1.0.0")
	say(a, &records.Delegate{To: d.fpr(), Scopes: []records.Scope{records.Scope(name)}, Until: start.AddDate(1, 0, 0).Unix()})
	gives(d, "1.9.0")
	gives(a, "1.1.0")
	tag("1.1.0")
	gives(a, "1.3.0")
	tag("1.3.0")
	yank("")
	yank("loses data")
	say(a, &records.Delegate{To: d.fpr()})
	gives(a, "1.2.0")
	tag("1.2.0")
	say(a, &records.Heartbeat{Next: start.AddDate(0, 1, 0).Unix()})
	end := a.now.Add(10 * time.Second)
	a.now = end.Add(10 * time.Second)
	gives(a, "1.4.0")
	h.revoked = a.revoked(packet.KeyRetired, end)
	return h
}

// A belief is what a reader takes from a history.
type belief struct {
	latest, range1, delegated, ended string // what constraints resolve to
	newest                           authorlog.Latest
	revoked                          bool
}

func (h *history) belief(t *testing.T, x *index.Index) belief {
	t.Helper()
	ev := believe(t, x, fmt.Sprintf("key %s * depth=1\n", h.author.fpr()), start)
	resolve := func(constraint string) string {
		r, err := resolve.New(x).Resolve(t.Context(), h.name, constraint, ev)
		if err != nil {
			return "nothing"
		}
		return string(r.Version)
	}
	return belief{resolve(""), resolve("^1.0.0"), resolve("1.9.0"), resolve("1.4.0"),
		must[authorlog.Latest](t)(authorlog.New(x).Newest(t.Context(), h.author.fpr())), isRevoked(must[*sign.Key](t)(x.Key(t.Context(), h.author.fpr())))}
}

// batches cuts items into some random ones.
func batches(r *rand.Rand, items []index.Item) [][]index.Item {
	var all [][]index.Item
	for len(items) > 0 {
		n := 1 + r.IntN(len(items))
		all, items = append(all, items[:n]), items[n:]
	}
	return all
}

// TestThreat6Rollback is that, in 1,000 orders, what a reader knew is not undone by what
// is older. While an author's history comes in any order, the newest that is known of the
// author never goes back; and when all has been there, no replay of the older records
// and of the key block without its revocation changes what anything resolves to. The index is
// opened anew, and not closed before, 3 times in each order. 40 orders, or 1,000 with
// ES_FULL=1. TestThreat46Kill shows the same of a process that is killed.
func TestThreat6Rollback(t *testing.T) {
	orders := 40
	if full {
		orders = 1000
	}
	r := rand.New(rand.NewPCG(6, 0))
	path := filepath.Join(t.TempDir(), "index")
	x, err := index.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	again := func() {
		t.Helper()
		before := x
		if x, err = index.Open(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		if err := before.Close(); err != nil { // too late to save anything
			t.Fatal(err)
		}
	}
	downgrades := 0
	for i := range orders {
		h := newHistory(t, records.Name(fmt.Sprintf("pad-%d", i)))
		r.Shuffle(len(h.items), func(i, j int) { h.items[i], h.items[j] = h.items[j], h.items[i] })
		seq := int64(0)
		for _, b := range batches(r, h.items) {
			add(t, x, b...)
			l := must[authorlog.Latest](t)(authorlog.New(x).Newest(t.Context(), h.author.fpr()))
			if l.Seq < seq {
				downgrades++
			}
			seq = l.Seq
		}
		again()
		if _, _, err := x.AddKey(t.Context(), h.revoked); err != nil {
			t.Fatal(err)
		}
		again()
		want := h.belief(t, x)
		if want.latest != "1.2.0" || want.range1 != "1.2.0" || want.delegated != "nothing" || want.ended != "nothing" || !want.revoked {
			t.Fatalf("order %d: %+v", i, want)
		}
		r.Shuffle(len(h.items), func(i, j int) { h.items[i], h.items[j] = h.items[j], h.items[i] })
		for _, b := range batches(r, h.items) {
			if _, err := x.AddAll(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if _, changed, err := x.AddKey(t.Context(), h.author.key); err != nil || changed {
				t.Fatalf("order %d: the old key block changed %v, %v", i, changed, err)
			}
			if got := h.belief(t, x); got != want {
				downgrades++
				t.Errorf("order %d: %+v, before %+v", i, got, want)
			}
		}
		again()
		if got := h.belief(t, x); got != want {
			downgrades++
			t.Errorf("order %d, after a restart: %+v, before %+v", i, got, want)
		}
	}
	if downgrades > 0 {
		t.Errorf("%d downgrades in %d orders", downgrades, orders)
	}
	if err := x.Close(); err != nil {
		t.Error(err)
	}
}
