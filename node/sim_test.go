package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/marcopolo/simnet"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/everythingstays/es/ingest"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/pull"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/simulation"
)

// simSeed is 1 or ES_SEED.
func simSeed() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("ES_SEED"), 10, 64); err == nil {
		return n
	}
	return 1
}

// noProbe is for simulations, where a second host of a node would be in no network.
func noProbe(context.Context, peer.AddrInfo) (ma.Multiaddr, error) {
	return nil, errors.New("nobody is looked for in a simulation")
}

// A village is some whole nodes, with homes on the disk, in a simulated network.
type village struct {
	t     *testing.T
	net   *simulation.Network
	nodes []*villager
}

// A villager is a node that is there at times.
type villager struct {
	v      *village
	i      int
	author *author
	known  []string     // bootstrap addresses
	skew   atomic.Int64 // by which its clock is wrong, a time.Duration
	addr   string
	node   *Node // nil while it is away
	stop   func()

	published []cid.Cid
}

// found makes a village of n nodes, each of which knows a few others. None is
// there yet.
func found(t *testing.T, net *simulation.Network, n, knows int) *village {
	t.Helper()
	v := &village{t: t, net: net}
	for i := range n {
		h := testHome(t)
		key, err := h.Identity()
		if err != nil {
			t.Fatal(err)
		}
		id, err := peer.IDFromPrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		addr := fmt.Sprintf("/ip4/%s/udp/8000/quic-v1/p2p/%s", simnet.IntToPublicIPv4(i), id)
		v.nodes = append(v.nodes, &villager{v: v, i: i, author: newAuthor(t, h), addr: addr})
	}
	for i, a := range v.nodes {
		for _, j := range net.Rand.Perm(n) {
			if j != i && len(a.known) < knows {
				a.known = append(a.known, v.nodes[j].addr)
			}
		}
	}
	return v
}

// come starts the node, with the home it had before.
func (a *villager) come() {
	t := a.v.t
	t.Helper()
	n, err := New(t.Context(), a.author.home, Config{Bootstrap: a.known, Version: "test", Log: logTo(fmt.Sprint(a.i))})
	if err != nil {
		t.Fatal(err)
	}
	n.swarm.HostOptions, n.swarm.Probe = a.v.net.HostOptions(a.i), noProbe
	n.noAPI = true
	n.now = a.now
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	select {
	case <-n.Ready():
	case err := <-done:
		cancel()
		t.Fatalf("run node %d: %v", a.i, err)
	}
	a.node = n
	a.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run node %d: %v", a.i, err)
		}
		a.node = nil
	})
}

func (a *villager) now() time.Time { return time.Now().Add(time.Duration(a.skew.Load())) }

func (v *village) come() {
	v.t.Helper()
	for _, a := range v.nodes {
		a.come()
	}
}

func (v *village) leave() {
	for _, a := range v.nodes {
		if a.node != nil {
			a.stop()
		}
	}
}

// publish makes a record and announces it, if the node is there.
func (a *villager) publish() cid.Cid {
	t := a.v.t
	t.Helper()
	k := len(a.published)
	id := a.author.store(a.author.sign(a.now(), testRelease(fmt.Sprintf("%d.0.0", k), someModule(1000*a.i+k))))
	a.published = append(a.published, id)
	if a.node != nil {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := a.node.Announce(ctx, []cid.Cid{id}); err != nil && ctx.Err() == nil {
			t.Errorf("node %d: %v", a.i, err)
		}
	}
	return id
}

// missing counts the published records that nodes lack.
func (v *village) missing() (missing, all int) {
	v.t.Helper()
	for _, a := range v.nodes {
		for _, b := range v.nodes {
			for _, id := range b.published {
				all++
				has, err := a.author.home.Index().Has(v.t.Context(), id)
				if err != nil {
					v.t.Fatal(err)
				}
				if !has {
					missing++
				}
			}
		}
	}
	return missing, all
}

// equal reports whether all sets are the same, key blocks included. (Nobody keeps
// the key of a stranger without records.)
func (v *village) equal() bool {
	v.t.Helper()
	var sums []records.Sum
	for _, a := range v.nodes {
		sum, err := a.author.home.Index().Sum(v.t.Context(), records.Range{})
		if err != nil {
			v.t.Fatal(err)
		}
		sums = append(sums, sum)
	}
	return len(slices.Compact(sums)) == 1
}

// A record that one of a few whole nodes publishes is seen by all, and a node that
// was away has what was published meanwhile.
func TestVillage(t *testing.T) {
	simulation.Run(t, simulation.Config{Latency: 20 * time.Millisecond, Seed: simSeed()}, func(t *testing.T, net *simulation.Network) {
		v := found(t, net, 6, 3)
		defer v.leave()
		v.come()
		simulation.Settle(10 * time.Second)
		for _, a := range v.nodes {
			a.publish()
		}
		simulation.Settle(time.Second)
		if missing, all := v.missing(); missing > 0 || all == 0 {
			t.Errorf("%d of %d deliveries are missing", missing, all)
		}
		away := v.nodes[5]
		away.stop()
		v.nodes[1].publish()
		simulation.Settle(time.Minute)
		if missing, _ := v.missing(); missing != 1 {
			t.Errorf("%d deliveries are missing, want one: to the node that is away", missing)
		}
		away.come()
		simulation.Settle(10 * time.Second)
		if !v.equal() {
			missing, all := v.missing()
			t.Errorf("the node that was away is not equal: %d of %d deliveries are missing", missing, all)
		}
	})
}

// SPEC N44. What a peer gets after it was pulled from and before it is in the mesh
// is passed on to nobody, and comes all the same.
func TestNothingIsLostBeforeTheMesh(t *testing.T) {
	for _, after := range []time.Duration{200, 500, 1000, 2000} {
		simulation.Run(t, simulation.Config{Latency: 20 * time.Millisecond, Seed: simSeed()}, func(t *testing.T, net *simulation.Network) {
			v := found(t, net, 3, 0)
			defer v.leave()
			author, middle, reader := v.nodes[0], v.nodes[1], v.nodes[2]
			author.known, reader.known = []string{middle.addr}, []string{middle.addr}
			middle.come()
			author.come()
			simulation.Settle(10 * time.Second)
			reader.come()
			simulation.Settle(after * time.Millisecond)
			author.publish()
			simulation.Settle(15 * time.Second)
			if missing, _ := v.missing(); missing > 0 {
				t.Errorf("published %v after the connection: %d deliveries are missing 15 s later", after*time.Millisecond, missing)
			}
		})
	}
}

// SPEC N42. What a pull brought goes on to others at once when it is little, and by
// their own pulls when it is much.
func TestPulledNewsTravel(t *testing.T) {
	for _, c := range []struct {
		records int
		soon    bool
	}{{1, true}, {ingest.MaxAnnounced, true}, {ingest.MaxAnnounced + 1, false}} {
		simulation.Run(t, simulation.Config{Latency: 20 * time.Millisecond, Seed: simSeed()}, func(t *testing.T, net *simulation.Network) {
			v := found(t, net, 3, 0)
			defer v.leave()
			newcomer, middle, reader := v.nodes[0], v.nodes[1], v.nodes[2]
			newcomer.known, reader.known = []string{middle.addr}, []string{middle.addr}
			for i := range c.records {
				newcomer.published = append(newcomer.published, newcomer.author.heard(fmt.Sprintf("%d.0.0", i), i))
			}
			middle.come()
			reader.come()
			simulation.Settle(30 * time.Second)
			newcomer.come()
			simulation.Settle(4 * time.Second)
			if missing, _ := v.missing(); missing != 0 && c.soon || missing == 0 && !c.soon {
				t.Errorf("of %d records that were pulled, %d deliveries are missing after 4 s", c.records, missing)
			}
			simulation.Settle(4 * time.Minute)
			if missing, _ := v.missing(); missing != 0 {
				t.Errorf("of %d records that were pulled, %d deliveries are missing after 4 minutes", c.records, missing)
			}
		})
	}
}

// Whole nodes that come and go, in a network that loses every fifth packet and is
// in three parts for a while, have all the same records three periods of pulling
// after it is one again.
func TestChurnAndPartitions(t *testing.T) {
	nodes, rounds, minutes := 6, 1, 3
	if full {
		nodes, rounds, minutes = 12, 20, 6
	}
	for round := range rounds {
		seed := simSeed() + uint64(round)
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			simulation.Run(t, simulation.Config{Latency: 20 * time.Millisecond, Jitter: 0.5, Loss: 0.2, Seed: seed}, func(t *testing.T, net *simulation.Network) {
				v := found(t, net, nodes, 4)
				defer v.leave()
				v.come()
				simulation.Settle(10 * time.Second)
				for i := range nodes {
					net.Move(i%3, i)
				}
				v.live(time.Duration(minutes)*time.Minute, 3*time.Second)
				for _, a := range v.nodes {
					if a.node == nil {
						a.come()
					}
				}
				net.Heal()
				if missing, all := v.missing(); missing < all/3 {
					t.Errorf("only %d of %d deliveries are missing when the network becomes one: the test shows nothing", missing, all)
				}
				v.converge(3)
			})
		})
	}
}

// live has nodes publish, leave and come back at random.
func (v *village) live(howLong, every time.Duration) {
	v.t.Helper()
	for _, a := range v.nodes {
		a.publish()
	}
	for end := time.Now().Add(howLong); time.Now().Before(end); time.Sleep(every) {
		v.nodes[v.net.Rand.IntN(len(v.nodes))].publish()
		a := v.nodes[v.net.Rand.IntN(len(v.nodes))]
		switch {
		case a.node == nil:
			a.come()
		case v.net.Rand.IntN(4) == 0:
			a.stop()
		}
	}
}

// converge fails unless all nodes are equal within some periods of pulling.
func (v *village) converge(periods int) {
	v.t.Helper()
	start := time.Now()
	for !v.equal() {
		missing, all := v.missing()
		if passed := time.Since(start); passed > time.Duration(periods)*pull.DefaultInterval {
			v.t.Errorf("%v after the network became one, %d of %d deliveries are missing", passed, missing, all)
			return
		}
		simulation.Settle(10 * time.Second)
	}
	_, all := v.missing()
	sent, lost := v.net.Packets()
	v.t.Logf("%d nodes, %d deliveries: equal %v after the network became one; %d of %d packets were lost", len(v.nodes), all, time.Since(start).Round(time.Second), lost, sent)
}

// Threat 12: an author who says two things to two halves of a network is found out
// by everybody when it is one again.
func TestThreat12EquivocationAcrossPartitions(t *testing.T) {
	nodes := 8
	if full {
		nodes = 100
	}
	simulation.Run(t, simulation.Config{Latency: 20 * time.Millisecond, Jitter: 0.5, Seed: simSeed()}, func(t *testing.T, net *simulation.Network) {
		v := found(t, net, nodes, 4)
		defer v.leave()
		for i := range nodes {
			net.Move(i%2, i)
		}
		v.come()
		simulation.Settle(20 * time.Second)
		two := v.nodes[:2] // one on each side, with one key
		two[1].author.key = two[0].author.key
		for i, a := range two {
			id := a.author.store(a.author.sign(time.Now(), testRelease("1.0.0", someModule(i))))
			a.published = append(a.published, id)
			if _, err := a.node.Announce(t.Context(), []cid.Cid{id}); err != nil {
				t.Fatal(err)
			}
		}
		simulation.Settle(time.Minute)
		if missing, all := v.missing(); missing < all/2 || missing > all*6/10 { // a node may know nobody on its side
			t.Errorf("%d of %d deliveries are missing before the halves meet, want half", missing, all)
		}
		if proofs := v.proofs(); proofs != 0 {
			t.Fatalf("%d nodes have a proof before the halves meet", proofs)
		}
		net.Heal()
		start := time.Now()
		for v.proofs() < nodes && time.Since(start) < 3*pull.DefaultInterval {
			simulation.Settle(5 * time.Second)
		}
		if proofs := v.proofs(); proofs != nodes {
			t.Errorf("%v after the halves met, %d of %d nodes hold both records", time.Since(start), proofs, nodes)
		}
		t.Logf("%d of %d nodes hold both records %v after the halves met", v.proofs(), nodes, time.Since(start).Round(time.Second))
	})
}

// proofs counts the nodes that hold both records of an equivocation.
func (v *village) proofs() int {
	v.t.Helper()
	n := 0
	for _, a := range v.nodes {
		proofs, err := a.author.home.Index().Equivocations(v.t.Context())
		if err != nil {
			v.t.Fatal(err)
		}
		if len(proofs) == 1 && len(proofs[0].Records) == 2 {
			n++
		}
	}
	return n
}

// Threat 24: wrong clocks keep records waiting, and cost nobody anything. Nobody
// here trusts anybody.
func TestThreat24Clocks(t *testing.T) {
	nodes, each := 5, 2
	if full {
		nodes, each = 20, 25
	}
	simulation.Run(t, simulation.Config{Latency: 20 * time.Millisecond, Jitter: 0.5, Seed: simSeed()}, func(t *testing.T, net *simulation.Network) {
		v := found(t, net, nodes, 4)
		defer v.leave()
		for i, a := range v.nodes {
			a.skew.Store(int64([]time.Duration{0, -48 * time.Hour, -time.Hour, time.Hour, 48 * time.Hour}[i%5]))
		}
		v.come()
		simulation.Settle(20 * time.Second)
		for range each {
			for _, a := range v.nodes {
				a.publish()
				simulation.Settle(500 * time.Millisecond)
			}
		}
		simulation.Settle(30 * time.Second)
		before, all := v.missing()
		for _, a := range v.nodes {
			a.skew.Store(0)
		}
		v.syncTwice()
		after, _ := v.missing()
		if past := v.missingPast(); past != 0 {
			t.Errorf("%d deliveries of records that are not of the future are missing after two syncs with right clocks", past)
		}
		if after == 0 || before <= after {
			t.Errorf("%d deliveries are missing with wrong clocks and %d after two syncs with right ones: the test shows nothing", before, after)
		}

		// Nobody is banned: what is said now is heard at once.
		for _, a := range v.nodes {
			a.publish()
		}
		simulation.Settle(2 * time.Second)
		if missing, _ := v.missing(); missing != after {
			t.Errorf("%d deliveries are missing after 2 s: nodes do not listen to each other", missing-after)
		}
		t.Logf("%d nodes, %d deliveries: %d missing with wrong clocks, %d of records of the future when these are right", nodes, all, before, after)

		v.leave()
		time.Sleep(48 * time.Hour)
		v.come()
		simulation.Settle(20 * time.Second)
		v.syncTwice()
		if missing, all := v.missing(); missing != 0 {
			t.Errorf("%d of %d deliveries are missing when the future has come", missing, all)
		}
	})
}

func (v *village) syncTwice() {
	v.t.Helper()
	for range 2 {
		for _, a := range v.nodes {
			if _, err := a.node.Sync(v.t.Context(), api.SyncOptions{All: true}, nil); err != nil {
				v.t.Error(err)
			}
		}
	}
}

// missingPast counts the published records that nodes lack although they are not
// of the future.
func (v *village) missingPast() int {
	v.t.Helper()
	n := 0
	for _, a := range v.nodes {
		for _, id := range a.published {
			r, err := a.author.home.Index().Release(v.t.Context(), id)
			if err != nil {
				v.t.Fatal(err)
			}
			if r.Time.After(time.Now().Add(10 * time.Minute)) {
				continue
			}
			for _, b := range v.nodes {
				if has, err := b.author.home.Index().Has(v.t.Context(), id); err != nil {
					v.t.Fatal(err)
				} else if !has {
					n++
				}
			}
		}
	}
	return n
}
