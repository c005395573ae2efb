package node

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/node/localapi"
	"github.com/everythingstays/es/records"
)

func dialDaemon(t *testing.T, h *home.Home) *localapi.Client {
	t.Helper()
	c, err := localapi.Dial(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// SPEC N60. Every call over the socket gives what it gives in the process.
func TestLocalAPI(t *testing.T) {
	ctx := t.Context()
	a := newAuthor(t, testHome(t))
	other := startNode(t, a.home, Config{})
	n := startNodeWith(t, testHome(t), Config{}, func(n *Node) { n.timeouts.First = time.Second })
	// Commands open the home for themselves.
	h := openHome(t, n.home.Dir())
	joined, err := Join(ctx, h, Config{})
	if err != nil {
		t.Fatal(err)
	}
	c, ok := joined.(*localapi.Client)
	if !ok {
		t.Fatalf("Join with a daemon gives %T", joined)
	}
	defer c.Close()

	p, err := c.Connect(ctx, other.addr())
	if err != nil || p.Peer != other.id().String() {
		t.Fatalf("connect: %+v, %v", p, err)
	}
	if _, err := c.Connect(ctx, "nonsense"); err == nil || !strings.Contains(err.Error(), `"nonsense"`) {
		t.Errorf("connect to nonsense: %v", err)
	}
	until(t, "gossiping", func() bool {
		all, err := c.Peers(ctx)
		return err == nil && len(all) == 1 && all[0].Gossip
	})
	want, err := n.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Status(ctx)
	if err != nil || got.Peer != want.Peer || got.Peers != 1 || !got.Daemon || got.Version != "test" || len(got.Addrs) == 0 {
		t.Errorf("status %+v, want %+v: %v", got, want, err)
	}

	// A command stores a record beside the daemon; the daemon announces it.
	b := newAuthor(t, h)
	id, _ := b.publish("right-pad", "1.0.0")
	done, err := c.Announce(ctx, []cid.Cid{id})
	if err != nil || done.Peers != 1 {
		t.Errorf("announced to %d peers, want 1: %v", done.Peers, err)
	}
	until(t, "visible", func() bool { return other.has(id) })
	var missing *index.NotFoundError
	if _, err := c.Announce(ctx, []cid.Cid{someModule(1)}); !errors.As(err, &missing) || missing.Record != someModule(1) {
		t.Errorf("announce of an unknown record: %v", err)
	}

	_, m := a.publish("left-pad", "1.0.0")
	var last api.Progress
	if err := c.Fetch(ctx, wantOf(m), func(p api.Progress) { last = p }); err != nil {
		t.Fatal(err)
	}
	if !complete(ctx, h, m) || last.Blocks < 5 || last.Bytes < m.Size || last.Peers != 1 {
		t.Errorf("fetched with %+v", last)
	}
	var rule *unixfs.RuleError
	if err := c.Fetch(ctx, records.Target{CID: m.CID, Size: 1, Files: m.Files}, nil); !errors.As(err, &rule) || rule.Rule == "" {
		t.Errorf("fetch of more than was signed: %v", err)
	}
	var away *api.UnreachableError
	if err := c.Fetch(ctx, records.Target{CID: someModule(2), Size: -1, Files: -1}, nil); !errors.As(err, &away) || away.Root != someModule(2) || away.Missing != someModule(2) || away.Peers != 1 {
		t.Errorf("fetch of what nobody has: %v", err)
	}

	n.stop()
	if _, err := c.Status(ctx); !errors.Is(err, localapi.ErrNoDaemon) {
		t.Errorf("status of a daemon that has ended: %v", err)
	}
	if _, err := localapi.Dial(ctx, h); !errors.Is(err, localapi.ErrNoDaemon) {
		t.Errorf("dial of a daemon that has ended: %v", err)
	}
	for _, path := range []string{filepath.Join(h.Dir(), "node.sock"), filepath.Join(h.Dir(), "node.addr")} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}

// A client that goes away takes its fetch with it.
func TestClientGoesAway(t *testing.T) {
	n := startNodeWith(t, testHome(t), Config{}, func(n *Node) { n.timeouts.Lacking = time.Hour })
	other := startNode(t, testHome(t), Config{})
	n.join(other)
	c := dialDaemon(t, n.home)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Fetch(ctx, records.Target{CID: someModule(1), Size: -1, Files: -1}, nil) }()
	wants := func() int { return len(n.parts.fetcher.Wanted()) }
	until(t, "asking", func() bool { return wants() == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("fetch: %v", err)
	}
	until(t, "no longer asking", func() bool { return wants() == 0 })
}

// SPEC N7. Two daemons on one home.
func TestSecondDaemon(t *testing.T) {
	n := startNode(t, testHome(t), Config{})
	second, err := New(t.Context(), openHome(t, n.home.Dir()), Config{Listen: []string{loopback}})
	if err != nil {
		t.Fatal(err)
	}
	var locked *home.LockedError
	if err := second.Run(t.Context()); !errors.As(err, &locked) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("a second daemon: %v", err)
	}
	if _, err := second.Status(t.Context()); !errors.Is(err, api.ErrClosed) {
		t.Errorf("status of a node that failed: %v", err)
	}
	dialDaemon(t, n.home) // the first is unharmed
}

// SPEC N8. What kill -9 leaves is no obstacle.
func TestDaemonAfterKill(t *testing.T) {
	if home := os.Getenv("ES_TEST_DAEMON_HOME"); home != "" {
		startNode(t, openHome(t, home), Config{})
		os.Stdout.WriteString("ready\n")
		<-t.Context().Done()
	}
	dir := filepath.Join(t.TempDir(), "home")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDaemonAfterKill$")
	cmd.Env = append(os.Environ(), "ES_TEST_DAEMON_HOME="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	h := openHome(t, dir)
	before, err := dialDaemon(t, h).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
	if _, err := os.Lstat(filepath.Join(h.Dir(), "node.sock")); err != nil {
		t.Fatalf("the test shows nothing: %v", err)
	}
	if _, err := localapi.Dial(t.Context(), h); !errors.Is(err, localapi.ErrNoDaemon) {
		t.Errorf("dial of a killed daemon: %v", err)
	}
	startNode(t, h, Config{})
	after, err := dialDaemon(t, h).Status(t.Context())
	if err != nil || after.Peer != before.Peer {
		t.Errorf("peer %s became %s: %v", before.Peer, after.Peer, err)
	}
}

// SPEC N61. A home whose path is too long for a socket.
func TestLongHomePath(t *testing.T) {
	h := openHome(t, filepath.Join(t.TempDir(), strings.Repeat("long/", 40), "home"))
	n := startNode(t, h, Config{})
	dialDaemon(t, openHome(t, h.Dir()))
	text, err := os.ReadFile(filepath.Join(h.Dir(), "node.addr"))
	path := strings.TrimSpace(string(text))
	if err != nil || len(path) > 103 {
		t.Fatalf("socket %s: %v", path, err)
	}
	// A directory that others could have made is not used.
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := localapi.Dial(t.Context(), h); err == nil || errors.Is(err, localapi.ErrNoDaemon) {
		t.Errorf("dial through an open directory: %v", err)
	}
	if err := os.Chmod(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	n.stop()
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", filepath.Dir(path), err)
	}
	if _, err := localapi.Dial(t.Context(), h); !errors.Is(err, localapi.ErrNoDaemon) {
		t.Errorf("dial: %v", err)
	}
}

// Whatever a node starts has ended when Run returns.
func TestNothingIsLeftRunning(t *testing.T) {
	a, b := testHome(t), testHome(t)
	round := func() {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var nodes []*Node
		done := make(chan error, 2)
		for _, h := range []*home.Home{a, b} {
			n, err := New(ctx, h, Config{Listen: []string{loopback, "/ip4/127.0.0.1/udp/0/quic-v1"}, Seed: api.SeedAll})
			if err != nil {
				t.Fatal(err)
			}
			go func() { done <- n.Run(ctx) }()
			<-n.Ready()
			nodes = append(nodes, n)
		}
		s, err := nodes[0].Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nodes[1].Connect(ctx, s.Addrs[0]); err != nil {
			t.Fatal(err)
		}
		c, err := localapi.Dial(ctx, a)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		cancel()
		for range nodes {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	round() // what is started once and stays
	before := runtime.NumGoroutine()
	for range 3 {
		round()
	}
	// libp2p ends some of its own a moment after Close.
	until(t, "back to the number of goroutines before", func() bool { return runtime.NumGoroutine() <= before })
}

// A daemon of another version is no reason for a node beside it.
func TestJoinOtherVersion(t *testing.T) {
	h := testHome(t)
	l, err := net.Listen("unix", filepath.Join(h.Dir(), "node.sock"))
	if err != nil {
		t.Fatal(err)
	}
	old := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Es-Api", "0") })}
	served := make(chan error, 1)
	go func() { served <- old.Serve(l) }()
	var version *localapi.VersionError
	if _, err := Join(t.Context(), h, Config{}); !errors.As(err, &version) {
		t.Errorf("join: %v", err)
	}
	old.Close()
	<-served
}
