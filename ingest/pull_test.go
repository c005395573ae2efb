package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/sign"
)

// counts are what became of items.
type counts struct{ Records, Keys, Refused int }

// pull has a peer answer with these items in a session.
func (r *receiver) pull(s *Session, items ...Item) (c counts, err error) {
	for i := range items {
		items[i].Source = Source{Peer: "12D3", Session: s}
	}
	results, err := r.Batch(r.t.Context(), items)
	for i, result := range results {
		switch {
		case err != nil:
		case result.Outcome == Refused:
			c.Refused++
		case result.Outcome == Stored && items[i].Kind == KeyBlock:
			c.Keys++
		case result.Outcome == Stored:
			c.Records++
		}
	}
	return c, err
}

func (a *author) keyItem() Item {
	return Item{Kind: KeyBlock, Data: a.block(), Author: a.fingerprint()}
}

func (a *author) item(v sign.Verified) Item {
	return Item{Kind: Envelope, Data: v.Envelope(), Author: a.fingerprint()}
}

// SPEC N42. A peer makes no work by many key blocks of one author: in a session the
// first few count.
func TestPullFewKeyBlocks(t *testing.T) {
	a, r := newAuthor(t), newReceiver(t)
	r.trusts("key %s *", a.fingerprint())
	var items []Item
	for i := range 10 * maxBlocks {
		k, err := a.secret.Revoke(sign.Retired, fmt.Sprint(i), time.Now().Add(time.Duration(i)*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, Item{Kind: KeyBlock, Data: k.Block(), Author: a.fingerprint()})
	}
	session := new(Session)
	var all counts
	for len(items) > 0 {
		n := min(3, len(items))
		got, err := r.pull(session, items[:n]...)
		if err != nil {
			t.Fatal(err)
		}
		all.Keys += got.Keys
		all.Refused += got.Refused
		items = items[n:]
	}
	if all.Keys != 2 || all.Refused != 9*maxBlocks { // 3 in one batch, and 1
		t.Errorf("%d key blocks brought news and %d were refused, want 2 and %d", all.Keys, all.Refused, 9*maxBlocks)
	}
	// Another session may bring others.
	k, err := a.secret.Revoke(sign.Compromised, "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.pull(new(Session), Item{Kind: KeyBlock, Data: k.Block()})
	if err != nil || got.Keys != 1 {
		t.Errorf("in another session: %+v, %v", got, err)
	}
}

// SPEC N42. What a pull brings, item by item.
func TestPull(t *testing.T) {
	a := newAuthor(t)
	key := a.keyItem()
	item := func(at time.Duration, version string) Item {
		return a.item(a.sign(time.Now().Add(at), testRelease(version, someModule(0))))
	}
	now, old, future := item(0, "1.0.0"), item(0, "0.1.0"), item(time.Hour, "2.0.0")
	forged := now
	forged.Data = bytes.Clone(now.Data)
	forged.Data[len(forged.Data)-1] ^= 1
	garbage := key
	garbage.Data = []byte("key")
	line := func(word string) string { return word + " " + a.fingerprint().String() + " *" }
	denial := "deny " + a.fingerprint().String()
	for name, c := range map[string]struct {
		trust   string
		batches [][]Item
		want    counts
		offence bool
	}{
		"a stranger":                     {"", [][]Item{{key, now, old}}, counts{Records: 2}, false},
		"the key in an earlier batch":    {"", [][]Item{{key}, {now}}, counts{Records: 1}, false},
		"no key":                         {"", [][]Item{{now}}, counts{Refused: 1}, false},
		"a key of a stranger alone":      {"", [][]Item{{key}}, counts{}, false},
		"a stranger's future":            {"", [][]Item{{key, future}}, counts{Refused: 1}, false},
		"a friend's future":              {line("key"), [][]Item{{key, future}}, counts{Records: 1}, false},
		"a friend's key alone":           {line("key"), [][]Item{{key}}, counts{Keys: 1}, false},
		"twice":                          {"", [][]Item{{key, now}, {key, now}}, counts{Records: 1}, false},
		"a denied author":                {denial, [][]Item{{key, now}}, counts{Refused: 2}, false},
		"a forgery beside a good record": {"", [][]Item{{key, old, forged}}, counts{}, true},
		"no key block":                   {"", [][]Item{{garbage}}, counts{}, true},
		"no key block of who is denied":  {denial, [][]Item{{garbage}}, counts{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			r.trusts("%s", c.trust)
			session := new(Session)
			var sum counts
			var failure error
			for _, b := range c.batches {
				done, err := r.pull(session, b...)
				sum.Records, sum.Keys, sum.Refused = sum.Records+done.Records, sum.Keys+done.Keys, sum.Refused+done.Refused
				failure = errors.Join(failure, err)
			}
			if sum != c.want || errors.As(failure, new(*MalformedError)) != c.offence || (failure != nil) != c.offence {
				t.Errorf("taken %+v, want %+v; %v", sum, c.want, failure)
			}
			if n := r.count(); n != int64(c.want.Records) {
				t.Errorf("%d records are stored, want %d", n, c.want.Records)
			}
		})
	}
}

// SPEC N42, N36 and X1. What a pull brought is announced if gossip would pass it on: no
// record about a version that a proof has frozen before.
func TestPullAnnounces(t *testing.T) {
	a, r := newAuthor(t), newReceiver(t)
	session := new(Session)
	var want []cid.Cid
	items := []Item{a.keyItem()}
	for i, at := range []time.Duration{0, 0, 0, -25 * time.Hour} {
		version := "1.0.0"
		if at != 0 {
			version = "2.0.0"
		}
		v := a.sign(time.Now().Add(at), testRelease(version, someModule(i)))
		if items = append(items, a.item(v)); i < 2 { // the third is about a frozen version, the fourth old
			want = append(want, v.ID())
		}
	}
	got, err := r.pull(session, items...)
	if err != nil || got.Records != 4 || r.Received("12D3") != 4 {
		t.Fatalf("%+v, %v, %d counted", got, err, r.Received("12D3"))
	}
	if all := session.Announce(); len(all) != 2 || all[0] != want[0] || all[1] != want[1] {
		t.Errorf("%v is announced, want %v", all, want)
	}
	if len(r.told) != 3 || r.told[1] != index.Equivocation {
		t.Errorf("told of %v", r.told)
	}
	var many []Item
	for i := range MaxAnnounced + 1 {
		many = append(many, a.item(a.sign(time.Now(), testRelease(fmt.Sprintf("3.%d.0", i), someModule(i)))))
	}
	if got, err := r.pull(session, many...); err != nil || got.Records != len(many) || session.Announce() != nil {
		t.Errorf("%+v, %v; %d are announced", got, err, len(session.Announce()))
	}
}
