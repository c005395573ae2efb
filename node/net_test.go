package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/node/replica"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

// full asks for the large variants.
var full = os.Getenv("ES_FULL") != ""

const loopback = "/ip4/127.0.0.1/tcp/0"

// until waits for something that has no channel of its own.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	untilWithin(t, 20*time.Second, what, ok)
}

func untilWithin(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after %v: not %s", limit, what)
		}
	}
}

// testNode is a node that runs until the test ends.
type testNode struct {
	*Node
	t    *testing.T
	stop func()
}

// logTo writes a node's log to ES_TEST_LOG, for whoever looks for a fault.
func logTo(name string) *slog.Logger {
	if os.Getenv("ES_TEST_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", name)
}

func startNode(t *testing.T, h *home.Home, cfg Config) *testNode {
	t.Helper()
	return startNodeWith(t, h, cfg, func(*Node) {})
}

// startNodeWith starts a node that is changed before.
func startNodeWith(t *testing.T, h *home.Home, cfg Config, change func(*Node)) *testNode {
	t.Helper()
	if len(cfg.Listen) == 0 {
		cfg.Listen = []string{loopback}
	}
	cfg.Version = "test"
	cfg.Log = logTo(filepath.Base(filepath.Dir(h.Dir())))
	n, err := New(t.Context(), h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.timeouts, n.linger = replica.Timeouts{First: 2 * time.Second, Idle: 2 * time.Second}, time.Hour
	change(n)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run node: %v", err)
		}
	}
	select {
	case <-n.Ready():
	case err := <-done:
		cancel()
		t.Fatalf("run node: %v", err)
	}
	t.Cleanup(stop)
	return &testNode{n, t, stop}
}

// id is the node's, once it runs.
func (n *testNode) id() peer.ID { return n.parts.swarm.Host().ID() }

func (n *testNode) addr() string {
	n.t.Helper()
	s, err := n.Status(n.t.Context())
	if err != nil || len(s.Addrs) == 0 {
		n.t.Fatalf("status %+v: %v", s, err)
	}
	return s.Addrs[0]
}

// join connects two nodes and waits until they gossip.
func (n *testNode) join(other *testNode) {
	n.t.Helper()
	if _, err := n.Connect(n.t.Context(), other.addr()); err != nil {
		n.t.Fatal(err)
	}
	for _, x := range []*testNode{n, other} {
		if err := x.parts.gossip.Ready(n.t.Context()); err != nil {
			n.t.Fatal(err)
		}
	}
	// What others publish is passed on to peers in the mesh alone.
	meshed := func(x, y *testNode) bool {
		return slices.Contains(x.parts.gossip.Mesh(gossip.TopicRecords), y.id())
	}
	until(n.t, "they are in each other's mesh", func() bool { return meshed(n, other) && meshed(other, n) })
}

func (n *testNode) has(id cid.Cid) bool {
	ok, err := n.home.Index().Has(n.t.Context(), id)
	return ok && err == nil
}

// author makes releases in a home.
type author struct {
	t    *testing.T
	home *home.Home
	key  *sign.SecretKey
}

func newAuthor(t *testing.T, h *home.Home) *author { return &author{t, h, newKey(t, h)} }

// pack makes a module of some files.
func (a *author) pack(name, version string, files map[string]string) *modules.Module {
	a.t.Helper()
	dir := a.t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			a.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			a.t.Fatal(err)
		}
	}
	write("package.json", fmt.Sprintf(`{"name":%q,"version":%q}`, name, version))
	for path, text := range files {
		write(path, text)
	}
	set, err := modules.Scan(dir)
	if err != nil {
		a.t.Fatal(err)
	}
	batch := a.home.Blocks().Batch()
	m, err := set.Pack(a.t.Context(), batch)
	if err != nil {
		a.t.Fatal(err)
	}
	if err := batch.Commit(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
	return m
}

// sign makes the author's next record without storing it.
func (a *author) sign(at time.Time, body records.Body) sign.Verified {
	a.t.Helper()
	seq, prev, err := authorlog.New(a.home.Index()).Head(a.t.Context(), a.key.Key().Fingerprint())
	if err != nil {
		a.t.Fatal(err)
	}
	v, err := sign.Sign(a.t.Context(), a.key, &records.Record{
		Author: a.key.Key().Fingerprint(), Seq: seq, Prev: prev, Time: at.Unix(), Body: body})
	if err != nil {
		a.t.Fatal(err)
	}
	return v
}

func (a *author) store(v sign.Verified) cid.Cid {
	a.t.Helper()
	if _, err := a.home.Index().Add(a.t.Context(), v, a.key.Key(), index.Source{Own: true}); err != nil {
		a.t.Fatal(err)
	}
	return v.ID()
}

func releaseOf(m *modules.Module) *records.Release {
	return &records.Release{Name: m.Name, Version: m.Version, Module: m.CID, Size: m.Size, Files: m.Files, Manifest: m.Manifest, Pins: m.Pins}
}

// publish packs, signs and stores a release, as `es publish` does.
func (a *author) publish(name, version string) (cid.Cid, *modules.Module) {
	a.t.Helper()
	m := a.pack(name, version, map[string]string{
		"index.js":    "module.exports = 1 // " + name,
		"lib/big.txt": strings.Repeat(name+version, 1<<18),
		"lib/empty":   "",
	})
	return a.store(a.sign(time.Now(), releaseOf(m))), m
}

// frame is a record as it travels.
func (a *author) frame(v sign.Verified) []byte {
	a.t.Helper()
	b, err := records.EncodeFrame(records.Frame{Key: a.key.Key().Block(), Envelope: v.Envelope()})
	if err != nil {
		a.t.Fatal(err)
	}
	return b
}

func (n *testNode) trust(key records.Fingerprint) {
	n.t.Helper()
	edit := func(p *trust.Policy) error {
		_, err := p.AddKey(trust.Entry{Fingerprint: key, Scopes: []records.Scope{"*"}})
		return err
	}
	if err := trust.Update(n.t.Context(), n.home.TrustPath(), edit); err != nil {
		n.t.Fatal(err)
	}
}

func wantOf(m *modules.Module) records.Target {
	return records.Target{CID: m.CID, Size: m.Size, Files: m.Files}
}

func (n *testNode) fetch(m *modules.Module) {
	n.t.Helper()
	if err := n.Fetch(n.t.Context(), wantOf(m), nil); err != nil {
		n.t.Fatal(err)
	}
}

// complete reports whether a whole module is in the store.
func complete(ctx context.Context, h *home.Home, m *modules.Module) bool {
	_, err := unixfs.Inspect(ctx, h.Blocks(), records.Target{CID: m.CID, Size: m.Size, Files: m.Files})
	return err == nil
}

// An author publishes, a relay that is no friend of theirs passes it on, a reader
// sees it and fetches it, also when the author is gone.
func TestPublishThroughRelay(t *testing.T) {
	ctx := t.Context()
	a := newAuthor(t, testHome(t))
	writer := startNode(t, a.home, Config{})
	relay := startNode(t, testHome(t), Config{Seed: api.SeedAll})
	reader := startNode(t, testHome(t), Config{})
	writer.join(relay)
	reader.join(relay)

	id, m := a.publish("left-pad", "1.0.0")
	done, err := writer.Announce(ctx, []cid.Cid{id})
	if err != nil || done.Peers != 1 {
		t.Fatalf("announced to %d peers, want 1: %v", done.Peers, err)
	}
	until(t, "visible at the reader", func() bool { return reader.has(id) })
	r, err := reader.home.Index().Release(ctx, id)
	if err != nil || r.Body.Module != m.CID {
		t.Fatalf("release %+v: %v", r, err)
	}
	if s, err := writer.Status(ctx); err != nil || s.Pending != 0 || s.Releases != 1 || s.Authors != 1 || !s.Daemon || s.Peers != 1 {
		t.Errorf("status %+v: %v", s, err)
	}

	until(t, "seeded by the relay", func() bool { return complete(ctx, relay.home, m) })
	writer.stop()
	var last api.Progress
	if err := reader.Fetch(ctx, wantOf(m), func(p api.Progress) { last = p }); err != nil {
		t.Fatal(err)
	}
	if !complete(ctx, reader.home, m) {
		t.Error("the module is not complete")
	}
	if last.Blocks < 5 || last.Bytes < m.Size || last.Peers != 1 {
		t.Errorf("progress at the end: %+v", last)
	}
}

// SPEC N50. Which modules a node fetches on its own.
func TestSeedPolicy(t *testing.T) {
	ctx := t.Context()
	trusted, stranger := newAuthor(t, testHome(t)), newAuthor(t, testHome(t))
	first, second := startNode(t, trusted.home, Config{}), startNode(t, stranger.home, Config{})
	used := startNode(t, testHome(t), Config{})
	some := startNode(t, testHome(t), Config{Seed: api.SeedTrusted})
	some.trust(trusted.key.Key().Fingerprint())
	for _, n := range []*testNode{used, some} {
		n.join(first)
		n.join(second)
	}
	id2, m2 := stranger.publish("right-pad", "1.0.0")
	if _, err := second.Announce(ctx, []cid.Cid{id2}); err != nil {
		t.Fatal(err)
	}
	until(t, "visible", func() bool { return used.has(id2) && some.has(id2) })
	id1, m1 := trusted.publish("left-pad", "1.0.0")
	if _, err := first.Announce(ctx, []cid.Cid{id1}); err != nil {
		t.Fatal(err)
	}
	until(t, "visible", func() bool { return used.has(id1) && some.has(id1) })
	until(t, "seeded", func() bool { return complete(ctx, some.home, m1) })
	for _, c := range []struct {
		n *testNode
		m *modules.Module
	}{{some, m2}, {used, m1}, {used, m2}} {
		if ok, err := c.n.home.Blocks().Has(ctx, c.m.CID); ok || err != nil {
			t.Errorf("%s is fetched without need: %v", c.m.Name, err)
		}
	}
}

// SPEC N50. What was stored before a node seeded, or before its author was trusted,
// is fetched too.
func TestSeedCatchesUp(t *testing.T) {
	a := newAuthor(t, testHome(t))
	id, m := a.publish("left-pad", "1.0.0")
	writer := startNode(t, a.home, Config{})
	h := testHome(t)
	reader := startNode(t, h, Config{})
	reader.join(writer)
	until(t, "visible", func() bool { return reader.has(id) })
	reader.stop()
	if ok, err := h.Blocks().Complete(t.Context(), m.CID); ok || err != nil {
		t.Fatalf("the module is here too early: %v", err)
	}
	seeder := startNode(t, h, Config{Seed: api.SeedTrusted})
	seeder.join(writer)
	seeder.trust(a.fingerprint())
	until(t, "seeded", func() bool { return complete(t.Context(), h, m) })
	if ok, err := h.Blocks().Complete(t.Context(), m.CID); !ok || err != nil {
		t.Errorf("the module counts as incomplete: %v", err)
	}
}

// SPEC N39. What is published with nobody there spreads at the next meeting, and only then
// counts as announced.
func TestOutbox(t *testing.T) {
	ctx := t.Context()
	a := newAuthor(t, testHome(t))
	id, _ := a.publish("left-pad", "1.0.0") // before the node runs
	writer := startNode(t, a.home, Config{})
	later, _ := a.publish("left-pad", "1.0.1")
	if done, err := writer.Announce(ctx, []cid.Cid{later}); err != nil || done.Peers != 0 {
		t.Fatalf("announced to %d peers, want 0: %v", done.Peers, err)
	}
	if s, err := writer.Status(ctx); err != nil || s.Pending != 2 {
		t.Fatalf("status %+v, want 2 pending: %v", s, err)
	}
	reader := startNode(t, testHome(t), Config{})
	writer.join(reader)
	until(t, "visible", func() bool { return reader.has(id) && reader.has(later) })
	until(t, "out of the outbox", func() bool {
		s, err := writer.Status(ctx)
		return err == nil && s.Pending == 0
	})
}

// SPEC N40
func TestFetchWithoutPeers(t *testing.T) {
	ctx := t.Context()
	a := newAuthor(t, testHome(t))
	_, m := a.publish("left-pad", "1.0.0")
	n := startNode(t, testHome(t), Config{})
	start := time.Now()
	var away *api.UnreachableError
	if err := n.Fetch(ctx, wantOf(m), nil); !errors.As(err, &away) || away.Root != m.CID || away.Missing != m.CID || away.Peers != 0 || away.Tried != 0 {
		t.Errorf("fetch: %v", err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("it took %v to say that nobody is there", d)
	}
	// What is here needs nobody.
	local := startNode(t, a.home, Config{})
	local.fetch(m)
}

// SPEC N40
func TestFetchWhatNobodyHas(t *testing.T) {
	ctx := t.Context()
	a := newAuthor(t, testHome(t))
	_, m := a.publish("left-pad", "1.0.0")
	n := startNodeWith(t, testHome(t), Config{}, func(n *Node) { n.timeouts.First = 200 * time.Millisecond })
	other := startNode(t, testHome(t), Config{})
	n.join(other)
	var away *api.UnreachableError
	if err := n.Fetch(ctx, wantOf(m), nil); !errors.As(err, &away) || away.Missing != m.CID || away.Peers != 1 {
		t.Errorf("fetch: %v", err)
	}
}

// A fetch goes on where an earlier one stopped, and replaces damaged blocks.
func TestFetchResumes(t *testing.T) {
	ctx := t.Context()
	a := newAuthor(t, testHome(t))
	_, m := a.publish("left-pad", "1.0.0")
	n, other := startNode(t, testHome(t), Config{}), startNode(t, a.home, Config{})
	n.join(other)
	n.fetch(m)

	tree, err := unixfs.Inspect(ctx, n.home.Blocks(), records.Target{CID: m.CID, Size: m.Size, Files: m.Files})
	if err != nil {
		t.Fatal(err)
	}
	var leaf cid.Cid
	for _, f := range tree.Files {
		if f.Path == "index.js" {
			leaf = f.CID
		}
	}
	path, ok := n.home.Blocks().Path(leaf)
	if !ok {
		t.Fatalf("index.js is no single block: %s", leaf)
	}
	evil := []byte("module.exports = 2 // left-pad") // as long as what was there
	if err := os.WriteFile(path, evil, 0o600); err != nil {
		t.Fatal(err)
	}
	sent := func() int64 { return other.parts.fetcher.Stats(n.id()).BlocksOut }
	before := sent()
	n.fetch(m)
	if _, err := n.home.Blocks().Get(ctx, leaf); err != nil {
		t.Errorf("the damaged block was not replaced: %v", err)
	}
	if again := sent() - before; before == 0 || again != 1 {
		t.Errorf("%d blocks were sent again, want the damaged one", again)
	}
}

// SPEC N41. What a release states bounds what is fetched for it.
func TestFetchBounds(t *testing.T) {
	ctx := t.Context()
	a := newAuthor(t, testHome(t))
	_, m := a.publish("left-pad", "1.0.0")
	n, other := startNode(t, testHome(t), Config{}), startNode(t, a.home, Config{})
	n.join(other)
	var rule *unixfs.RuleError
	if err := n.Fetch(ctx, records.Target{CID: m.CID, Size: 10, Files: m.Files}, nil); !errors.As(err, &rule) {
		t.Errorf("fetch of more than was signed: %v", err)
	}
	if err := n.Fetch(ctx, records.Target{CID: m.CID, Size: -1, Files: -1}, nil); err != nil {
		t.Errorf("fetch without a release: %v", err)
	}
	if err := n.Fetch(ctx, records.Target{}, nil); err == nil {
		t.Error("fetch of no CID")
	}
}

func TestConnect(t *testing.T) {
	ctx := t.Context()
	n, other := startNode(t, testHome(t), Config{}), startNode(t, testHome(t), Config{})
	for _, bad := range []string{"", "nonsense", "/ip4/127.0.0.1/tcp/4011", "/p2p/" + other.id().String(),
		n.addr(), strings.Repeat("/ip4/127.0.0.1", 1000)} {
		if _, err := n.Connect(ctx, bad); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("connect to %.60q: %v", bad, err)
		}
	}
	gone := startNode(t, testHome(t), Config{})
	addr := gone.addr()
	gone.stop()
	if _, err := n.Connect(ctx, addr); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("connect to a node that is gone: %v", err)
	}
	p, err := n.Connect(ctx, other.addr())
	if err != nil || p.Peer != other.id().String() || p.Addrs[0] != other.addr() || !p.Outbound {
		t.Fatalf("connect: %+v, %v", p, err)
	}
	until(t, "gossiping", func() bool {
		all, err := n.Peers(ctx)
		return err == nil && len(all) == 1 && all[0].Gossip && all[0].Agent == "es/test"
	})
	// It is met again without being named.
	n.stop()
	again := startNode(t, n.home, Config{})
	until(t, "connected again", func() bool { return len(again.parts.swarm.Connected()) == 1 })
}

// A node for one command announces and leaves; what it sent has always arrived.
func TestShortLivedPublish(t *testing.T) {
	ctx := t.Context()
	rounds := 5
	if full {
		rounds = 50
	}
	daemon := startNode(t, testHome(t), Config{})
	addr := daemon.addr()
	for i := range rounds {
		a := newAuthor(t, testHome(t))
		id, _ := a.publish("left-pad", "1.0.0")
		n, err := Join(ctx, a.home, Config{Bootstrap: []string{addr}, Version: "test"})
		if err != nil {
			t.Fatal(err)
		}
		done, err := n.Announce(ctx, []cid.Cid{id})
		if err != nil || done.Peers != 1 {
			t.Fatalf("round %d: announced to %d peers, want 1: %v", i, done.Peers, err)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		if c, err := a.home.Index().Counts(ctx); err != nil || c.Pending != 0 {
			t.Errorf("round %d: %d records wait in the outbox: %v", i, c.Pending, err)
		}
		until(t, fmt.Sprintf("visible in round %d", i), func() bool { return daemon.has(id) })
		if _, err := n.Status(ctx); !errors.Is(err, api.ErrClosed) {
			t.Errorf("a closed node answers: %v", err)
		}
	}
}

// A node for one command stays while a seeder fetches what it has announced.
func TestShortLivedPublishIsSeeded(t *testing.T) {
	ctx := t.Context()
	daemon := startNode(t, testHome(t), Config{Seed: api.SeedAll})
	a := newAuthor(t, testHome(t))
	id, m := a.publish("left-pad", "1.0.0")
	n := startNode(t, a.home, Config{Bootstrap: []string{daemon.addr()}, Ephemeral: true})
	if _, err := n.Announce(ctx, []cid.Cid{id}); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- n.Close() }()
	until(t, "seeded", func() bool { return complete(ctx, daemon.home, m) })
	select {
	case <-closed:
		t.Error("the node has left already: the test shows nothing")
	default:
	}
	n.stop()
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// Without anybody to meet, joining costs nothing.
func TestJoinAlone(t *testing.T) {
	ctx := t.Context()
	a := newAuthor(t, testHome(t))
	id, m := a.publish("left-pad", "1.0.0")
	start := time.Now()
	n, err := Join(ctx, a.home, Config{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	done, err := n.Announce(ctx, []cid.Cid{id})
	if err != nil || done.Peers != 0 {
		t.Errorf("announced to %d peers: %v", done.Peers, err)
	}
	if err := n.Fetch(ctx, wantOf(m), nil); err != nil {
		t.Errorf("fetch of what is here: %v", err)
	}
	if s, err := n.Status(ctx); err != nil || s.Daemon || s.Pending != 1 || len(s.Addrs) != 0 {
		t.Errorf("status %+v: %v", s, err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("it took %v", d)
	}
}
