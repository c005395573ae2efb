package node

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/swarm"
)

// turnstile listens where a node seems to be, and closes connections at once, as a node
// does for which an address has too many, until lets is set: then it passes them on.
func turnstile(t *testing.T, target string) (addr string, lets *atomic.Bool, refused *atomic.Int64) {
	t.Helper()
	whole := ma.StringCast(target)
	id, err := whole.ValueForProtocol(ma.P_P2P)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	lets, refused = new(atomic.Bool), new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if !lets.Load() {
				refused.Add(1)
				c.Close()
				continue
			}
			there, err := net.Dial("tcp4", "127.0.0.1:"+address.Port(whole))
			if err != nil {
				c.Close()
				continue
			}
			go func() { io.Copy(there, c); there.Close() }()
			go func() { io.Copy(c, there); c.Close() }()
		}
	}()
	_, p, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "/ip4/127.0.0.1/tcp/" + p + "/p2p/" + id, lets, refused
}

// SPEC N72: who is refused tries again, and is told so when it does not help.
func TestRefusedAndTriedAgain(t *testing.T) {
	there := startNode(t, testHome(t), Config{})
	addr, lets, refused := turnstile(t, there.addr())
	h := testHome(t)
	here := startNode(t, h, Config{})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := here.Connect(ctx, addr)
	if !errors.As(err, new(*swarm.RefusedError)) || !strings.Contains(err.Error(), "too many from one address") {
		t.Errorf("refused: %v", err)
	}
	if n := refused.Load(); n < 2 {
		t.Errorf("it was tried %d times", n)
	}
	if n := here.parts.swarm.Refusals(); n != 1 {
		t.Errorf("%d peers refused, want 1", n)
	}

	was := refused.Load()
	done := make(chan error, 1)
	go func() {
		_, err := here.Connect(t.Context(), addr)
		done <- err
	}()
	until(t, "it is refused once more", func() bool { return refused.Load() > was })
	lets.Store(true)
	if err := <-done; err != nil {
		t.Errorf("accepted at last: %v", err)
	}
	if n := here.parts.swarm.Refusals(); n != 0 {
		t.Errorf("%d peers refused when all let it in", n)
	}
}

// SPEC N72: a command that cannot go on says who refused, not that nobody is known.
func TestRefusedSync(t *testing.T) {
	there := startNode(t, testHome(t), Config{})
	addr, _, _ := turnstile(t, there.addr())
	short := func(n *Node) { n.swarm.DialTimeout = 2 * time.Second }
	here := startNodeWith(t, testHome(t), Config{Ephemeral: true, Bootstrap: []string{addr}}, short)
	s, err := here.Sync(t.Context(), api.SyncOptions{}, nil)
	if err != nil || s.Peers != 0 || s.Refusing != 1 {
		t.Errorf("asked a peer that refuses: %+v, %v", s, err)
	}
}
