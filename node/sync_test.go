package node

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/ingest"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/reconcile"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

// heard makes a record of the author that nobody will be told of by gossip.
func (a *author) heard(version string, module int) cid.Cid {
	a.t.Helper()
	v := a.sign(time.Now(), testRelease(version, someModule(module)))
	if _, err := a.home.Index().Add(a.t.Context(), v, a.key.Key(), index.Source{}); err != nil {
		a.t.Fatal(err)
	}
	return v.ID()
}

func (a *author) fingerprint() records.Fingerprint { return a.key.Key().Fingerprint() }

func hasAll(n *testNode, ids ...cid.Cid) bool {
	return !slices.ContainsFunc(ids, func(id cid.Cid) bool { return !n.has(id) })
}

// SPEC N43 and N44. Who comes late has what was said before, of those they trust.
func TestPullOnConnect(t *testing.T) {
	ctx := t.Context()
	friend, stranger := newAuthor(t, testHome(t)), newAuthor(t, testHome(t))
	said := []cid.Cid{friend.heard("1.0.0", 1), friend.heard("1.0.1", 2), friend.heard("1.1.0", 3)}
	other := stranger.heard("1.0.0", 4)
	// One home knows both.
	v, key, err := stranger.home.Index().Envelope(ctx, other)
	if err != nil {
		t.Fatal(err)
	}
	take(t, friend.home, records.Item{Element: records.KeyElement(stranger.fingerprint(), key), Bytes: key},
		records.Item{Element: records.RecordElement(stranger.fingerprint(), other), Bytes: v})

	server := startNode(t, friend.home, Config{})
	reader, curious, seeder := startNode(t, testHome(t), Config{}), startNode(t, testHome(t), Config{}), startNode(t, testHome(t), Config{Seed: api.SeedAll})
	reader.trust(friend.fingerprint())
	seeder.trust(friend.fingerprint())
	asker := startNode(t, testHome(t), Config{})
	asker.trust(friend.fingerprint())
	for _, n := range []*testNode{reader, curious, seeder, asker} {
		if _, err := n.Connect(ctx, server.addr()); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "here", func() bool { return hasAll(reader, said...) })
	until(t, "here, with strangers' records", func() bool {
		return hasAll(curious, append(said, other)...) && hasAll(seeder, append(said, other)...)
	})
	until(t, "here", func() bool { return hasAll(asker, said...) })
	if s, err := asker.Sync(ctx, api.SyncOptions{Authors: []records.Fingerprint{stranger.fingerprint()}}, nil); err != nil || s.Peers != 1 || s.Records != 1 || !asker.has(other) {
		t.Errorf("sync of an author: %+v, %v", s, err)
	}
	// The reader is done: what it did not ask for does not come.
	s, err := reader.Sync(ctx, api.SyncOptions{}, nil)
	if err != nil || s.Peers != 1 || !s.Complete || s.Records != 0 {
		t.Errorf("sync: %+v, %v", s, err)
	}
	if reader.has(other) {
		t.Error("a stranger's record was pulled by who trusts others")
	}
	if s, err := reader.Sync(ctx, api.SyncOptions{All: true}, nil); err != nil || s.Records != 1 || !reader.has(other) {
		t.Errorf("sync of everything: %+v, %v", s, err)
	}
	if p, err := reader.Peers(ctx); err != nil || len(p) != 1 || p[0].Records != 4 {
		t.Errorf("peers: %+v, %v", p, err)
	}
	if at, err := reader.home.Synced(); err != nil || time.Since(at) > time.Minute {
		t.Errorf("synced at %v, %v", at, err)
	}
}

// take has a home store items as if a peer had sent them.
func take(t *testing.T, h *home.Home, items ...records.Item) reconcile.IngestResult {
	t.Helper()
	done, err := ingestPulled(t.Context(), testIngester(h, time.Now), "12D3", "", new(ingest.Session), items)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func testIngester(h *home.Home, now func() time.Time) *ingest.Ingester {
	return ingest.New(ingest.Config{Index: h.Index(), Trust: h.Trust, Own: h.OwnFingerprints, Now: now})
}

// pushed has a home take what somebody sends unasked, and says what gossip does then.
func pushed(t *testing.T, g *ingest.Ingester, k ingest.Kind, data []byte) gossip.Outcome {
	t.Helper()
	results, err := g.Batch(t.Context(), []ingest.Item{{Kind: k, Data: data, Source: ingest.Source{Peer: "12D3"}}})
	if err != nil {
		t.Fatal(err)
	}
	return gossipOutcome(results[0])
}

func testRelease(version string, module cid.Cid) *records.Release {
	return &records.Release{Name: "left-pad", Version: records.Version(version), Module: module, Size: 1, Files: 1}
}

func someModule(i int) cid.Cid {
	c, _ := block("module %d", i)
	return cid.NewCidV1(cid.DagProtobuf, c.Hash())
}

func recordCount(t *testing.T, h *home.Home) int64 {
	t.Helper()
	c, err := h.Index().Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c.Records
}

// SPEC N43. A command without a daemon asks those it remembers.
func TestSyncOfOneCommand(t *testing.T) {
	ctx := t.Context()
	a := newAuthor(t, testHome(t))
	server := startNode(t, a.home, Config{})
	h := testHome(t)
	for i := range 3 {
		id := a.heard([]string{"1.0.0", "1.1.0", "1.2.0"}[i], i)
		n, err := Join(ctx, h, Config{Version: "test", Bootstrap: []string{server.addr()}})
		if err != nil {
			t.Fatal(err)
		}
		s, err := n.Sync(ctx, api.SyncOptions{}, nil)
		if err != nil || s.Peers != 1 || s.Records != 1 || !s.Complete {
			t.Errorf("sync %d: %+v, %v", i, s, err)
		}
		if ok, err := h.Index().Has(ctx, id); !ok || err != nil {
			t.Errorf("sync %d brought another record: %v", i, err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
	alone, err := Join(ctx, testHome(t), Config{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	if s, err := alone.Sync(ctx, api.SyncOptions{}, nil); err != nil || s.Peers != 0 || s.Complete {
		t.Errorf("sync with nobody: %+v, %v", s, err)
	}
}

// SPEC N43. Delegates are pulled as deep as the line grants, and not what a denied
// key delegates.
func TestAuthorsToPull(t *testing.T) {
	ctx := t.Context()
	h := testHome(t)
	var keys []*author
	for range 6 {
		keys = append(keys, newAuthor(t, testHome(t)))
	}
	own := newAuthor(t, h)
	delegate := func(from, to int, depth int64) {
		v := keys[from].sign(time.Now(), &records.Delegate{To: keys[to].fingerprint(), Scopes: []records.Scope{"*"}, Depth: depth, Until: time.Now().Add(time.Hour).Unix()})
		if _, err := h.Index().Add(ctx, v, keys[from].key.Key(), index.Source{}); err != nil {
			t.Fatal(err)
		}
	}
	delegate(0, 1, 2)
	delegate(1, 2, 0)
	delegate(2, 3, 0) // too deep
	delegate(4, 5, 1) // from a line without depth
	for depth, want := range map[int][]int{0: {0, 4}, 1: {0, 1, 4}, 2: {0, 1, 2, 4}, 3: {0, 1, 2, 4}} {
		p := new(trust.Policy)
		for _, e := range []trust.Entry{
			{Fingerprint: keys[0].fingerprint(), Scopes: []records.Scope{"*"}, Depth: depth},
			{Fingerprint: keys[4].fingerprint(), Scopes: []records.Scope{"*"}},
		} {
			if _, err := p.AddKey(e); err != nil {
				t.Fatal(err)
			}
		}
		got, err := h.AuthorsOf(ctx, p, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		expect := []string{own.fingerprint().String()}
		for _, i := range want {
			expect = append(expect, keys[i].fingerprint().String())
		}
		slices.Sort(expect)
		var texts []string
		for _, f := range got {
			texts = append(texts, f.String())
		}
		if !slices.Equal(texts, expect) {
			t.Errorf("depth %d: %v, want %v", depth, texts, expect)
		}
	}
}

// SPEC N43 and X8. Delegations lead nowhere that are over, were taken back by the next
// one, or withdrawn; and a successor whom the line follows delegates as its predecessor
// does.
func TestAuthorsToPullInForce(t *testing.T) {
	ctx := t.Context()
	h := testHome(t)
	var keys []*author
	for range 7 {
		keys = append(keys, newAuthor(t, testHome(t)))
	}
	lister, follower := keys[0], keys[5]
	said := func(a *author, age time.Duration, seq int64, prev []cid.Cid, body records.Body) sign.Verified {
		v, err := sign.Sign(ctx, a.key, &records.Record{Author: a.fingerprint(), Seq: seq, Prev: prev, Time: time.Now().Add(-age).Unix(), Body: body})
		if err == nil {
			_, err = h.Index().Add(ctx, v, a.key.Key(), index.Source{})
		}
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	until := func(to int, d time.Duration, scopes ...records.Scope) *records.Delegate {
		return &records.Delegate{To: keys[to].fingerprint(), Scopes: scopes, Until: time.Now().Add(d).Unix()}
	}
	// In force; over; taken back by the next; withdrawn.
	first := said(lister, 9*time.Hour, 0, nil, until(1, time.Hour, "*"))
	said(lister, 8*time.Hour, 0, nil, until(2, -time.Hour, "*"))
	taken := said(lister, 7*time.Hour, 1, []cid.Cid{first.ID()}, until(3, time.Hour, "*"))
	again := said(lister, 6*time.Hour, 2, []cid.Cid{taken.ID()}, &records.Delegate{To: keys[3].fingerprint()})
	withdrawn := said(lister, 5*time.Hour, 3, []cid.Cid{again.ID()}, until(4, time.Hour, "*"))
	said(lister, 4*time.Hour, 4, []cid.Cid{withdrawn.ID()}, &records.Notice{Name: "left-pad", Record: withdrawn.ID(), NoticeOf: records.Yanked, Text: "no"})
	// The line follows keys[5] to its successor, which delegates.
	heir := newAuthor(t, testHome(t))
	said(follower, 3*time.Hour, 0, nil, &records.Successor{To: heir.fingerprint()})
	said(heir, 2*time.Hour, 0, nil, until(6, time.Hour, "*"))

	p := new(trust.Policy)
	for _, e := range []trust.Entry{
		{Fingerprint: lister.fingerprint(), Scopes: []records.Scope{"*"}, Depth: 1},
		{Fingerprint: follower.fingerprint(), Scopes: []records.Scope{"*"}, Depth: 1, Follow: true},
	} {
		if _, err := p.AddKey(e); err != nil {
			t.Fatal(err)
		}
	}
	got, err := h.AuthorsOf(ctx, p, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"heir": true}
	for i := range keys {
		want[fmt.Sprint(i)] = i == 0 || i == 1 || i == 5 || i == 6
	}
	if have := slices.Contains(got, heir.fingerprint()); have != want["heir"] {
		t.Errorf("the successor is asked for: %v", have)
	}
	for i, k := range keys {
		if have := slices.Contains(got, k.fingerprint()); have != want[fmt.Sprint(i)] {
			t.Errorf("key %d is asked for: %v", i, have)
		}
	}
}

// SPEC N45. How far the clocks of peers are away, and what they have.
func TestSurvey(t *testing.T) {
	ctx := t.Context()
	a, b := newAuthor(t, testHome(t)), newAuthor(t, testHome(t))
	a.heard("1.0.0", 1)
	server, reader := startNode(t, a.home, Config{}), startNode(t, b.home, Config{})
	server.trust(a.fingerprint())
	b.heard("1.0.0", 2)
	reader.trust(a.fingerprint())
	reader.join(server)
	both := []records.Fingerprint{a.fingerprint(), b.fingerprint()}
	until(t, "pulled", func() bool {
		all, err := reader.Survey(ctx, both)
		return err == nil && len(all) == 1 && all[0].Authors[a.fingerprint()] == api.SameRecords
	})
	a.heard("1.1.0", 3)
	all, err := reader.Survey(ctx, both)
	if err != nil || len(all) != 1 || all[0].Peer != server.id().String() {
		t.Fatalf("survey: %+v, %v", all, err)
	}
	if all[0].Authors[a.fingerprint()] != api.MoreThere || all[0].Authors[b.fingerprint()] != api.MoreHere {
		t.Errorf("survey: %+v", all[0].Authors)
	}
	if offset, n := api.MedianOffset(all); n != 1 || offset.Abs() > 10*time.Second {
		t.Errorf("clocks are %v apart by %d peers", offset, n)
	}
}

// SPEC N43. Who keeps as much of strangers as they may asks only for those they
// trust, whatever they seed.
func TestPullWhenFullOfStrangers(t *testing.T) {
	ctx := t.Context()
	friend, stranger := newAuthor(t, testHome(t)), newAuthor(t, testHome(t))
	server := startNode(t, friend.home, Config{})
	n := startNode(t, testHome(t), Config{Seed: api.SeedAll})
	n.home.Index().LimitStrangers(index.StrangersLimit{Records: 10})
	n.trust(friend.fingerprint())
	give := func(h *home.Home, v sign.Verified) {
		if _, err := h.Index().Add(ctx, v, stranger.key.Key(), index.Source{Stranger: true}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 9 {
		give(n.home, stranger.sign(time.Now(), testRelease(fmt.Sprintf("%d.0.0", i), someModule(i))))
	}
	other := stranger.sign(time.Now(), testRelease("100.0.0", someModule(100)))
	give(friend.home, other)
	said := friend.heard("1.0.0", 200)
	if _, err := n.Connect(ctx, server.addr()); err != nil {
		t.Fatal(err)
	}
	if s, err := n.Sync(ctx, api.SyncOptions{All: true}, nil); err != nil || s.Peers != 1 || !s.Complete {
		t.Fatalf("sync: %+v, %v", s, err)
	}
	if !n.has(said) || n.has(other.ID()) {
		t.Errorf("a friend's record is here: %v, a stranger's: %v", n.has(said), n.has(other.ID()))
	}
	n.home.Index().LimitStrangers(index.StrangersLimit{})
	if s, err := n.Sync(ctx, api.SyncOptions{All: true}, nil); err != nil || !n.has(other.ID()) {
		t.Errorf("with room it does not come: %+v, %v", s, err)
	}
}
