package node

import (
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/everythingstays/es/node/peerbook"
)

// cutFirst listens for a node, ends the first connection that comes before a word is
// said, as a node does that has too many, and passes the others on. came counts them.
func cutFirst(t *testing.T, to string) (addr string, came *atomic.Int64) {
	t.Helper()
	parts := strings.Split(to, "/") // /ip4/IP/tcp/PORT/p2p/PEER
	target := parts[2] + ":" + parts[4]
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	came = new(atomic.Int64)
	var open sync.WaitGroup
	t.Cleanup(func() { l.Close(); open.Wait() })
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if came.Add(1) == 1 {
				c.Close()
				continue
			}
			open.Go(func() {
				defer c.Close()
				far, err := net.Dial("tcp", target)
				if err != nil {
					return
				}
				defer far.Close()
				go func() { _, _ = io.Copy(far, c); far.Close() }()
				_, _ = io.Copy(c, far)
			})
		}
	})
	_, port, _ := net.SplitHostPort(l.Addr().String())
	parts[4] = port
	return strings.Join(parts, "/"), came
}

// A fetch by a node of one command whose only peer cuts off the first connection
// takes the second one: neither libp2p's pause of 5 s after a failure nor the round
// of dialling 5 s later is waited for, and nobody else is looked for.
func TestFetchAfterCutOff(t *testing.T) {
	ctx := t.Context()
	a := newAuthor(t, testHome(t))
	m := a.pack("small", "1.0.0", map[string]string{"index.js": strings.Repeat("x", 150)})
	server := startNode(t, a.home, Config{})
	addr, came := cutFirst(t, server.addr())
	reader := testHome(t)
	known := peerbook.Peer{ID: server.id(), Addrs: []string{ma.StringCast(addr).Decapsulate(ma.StringCast("/p2p/" + server.id().String())).String()}, Answered: 1}
	if err := reader.Peers().Remember(ctx, known); err != nil {
		t.Fatal(err)
	}
	n := startNode(t, reader, Config{Ephemeral: true})
	if err := n.Fetch(ctx, wantOf(m), nil); err != nil {
		t.Fatal(err)
	}
	if got := came.Load(); got != 2 {
		t.Errorf("%d connections were made, want 2", got)
	}
}
