package simulation

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/reconcile"
	"github.com/everythingstays/es/records"
)

// A sybil is gossipsub-hardening's "bad boy": it subscribes to what its peers
// subscribe to, enters their meshes, enters them again a minute after it was
// pruned, and passes on what it likes. To pulls it answers in one of three ways.
type sybil struct {
	t     *testing.T
	host  host.Host
	world *world
	rand  *rand.Rand
	stop  func()

	// forwards says whether it passes on a message; nil is for none.
	forwards func(*record) bool

	mu   sync.Mutex
	out  map[peer.ID]chan *pb.RPC
	seen map[string]bool
	sent int // messages that are rubbish
}

const (
	regraftAfter = time.Minute // and up to regraftDelay more, as in gossipsub-hardening
	regraftDelay = 15 * time.Second
)

// corrupt makes the i-th host of n a sybil.
func corrupt(t *testing.T, n *Network, w *world, i int) *sybil {
	t.Helper()
	s := &sybil{t: t, host: n.Hosts[i], world: w, rand: rand.New(rand.NewPCG(n.cfg.Seed, uint64(i)+100)),
		out: make(map[peer.ID]chan *pb.RPC), seen: make(map[string]bool)}
	ctx, cancel := context.WithCancel(t.Context())
	var parts sync.WaitGroup
	s.host.SetStreamHandler(pubsub.GossipSubID_v12, func(stream network.Stream) {
		parts.Add(1)
		defer parts.Done()
		s.read(ctx, stream)
	})
	switch i % 3 {
	case 0: // does not reconcile
	case 1: // never answers
		s.host.SetStreamHandler(reconcile.Protocol, func(stream network.Stream) {
			parts.Add(1)
			defer parts.Done()
			_, _ = io.Copy(io.Discard, stream)
			<-ctx.Done()
			_ = stream.Reset()
		})
	case 2: // has nothing
		none := &set{}
		r, err := reconcile.New(s.host, reconcile.Config{Set: none, Source: none, Ingest: takeNothing})
		if err != nil {
			t.Fatal(err)
		}
		parts.Go(func() { _ = r.Run(ctx) })
	}
	s.stop = sync.OnceFunc(func() {
		cancel()
		s.host.Close()
		parts.Wait()
	})
	return s
}

func takeNothing(context.Context, peer.ID, []records.Item) (reconcile.IngestResult, error) {
	return reconcile.IngestResult{}, errors.New("a sybil never pulls")
}

// connect dials so many members, in random order, within a while.
func (s *sybil) connect(members []*member, degree int, within time.Duration) {
	for _, i := range s.rand.Perm(len(members))[:min(degree, len(members))] {
		h := members[i].host
		time.Sleep(within / time.Duration(degree))
		if err := s.host.Connect(s.t.Context(), peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}); err != nil {
			continue // it has enough connections
		}
	}
}

// read follows what a peer says.
func (s *sybil) read(ctx context.Context, in network.Stream) {
	defer in.Reset()
	p := in.Conn().RemotePeer()
	if !s.open(ctx, p) {
		return
	}
	for r := bufio.NewReader(in); ; {
		size, err := binary.ReadUvarint(r)
		if err != nil || size > 1<<20 {
			return
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(r, b); err != nil {
			return
		}
		var rpc pb.RPC
		if err := proto.Unmarshal(b, &rpc); err != nil {
			return
		}
		s.control(ctx, p, &rpc)
		for _, m := range rpc.GetPublish() {
			s.forward(p, m)
		}
	}
}

// open begins to write to a peer.
func (s *sybil) open(ctx context.Context, p peer.ID) bool {
	ch := make(chan *pb.RPC, 256)
	s.mu.Lock()
	_, again := s.out[p]
	if !again {
		s.out[p] = ch
	}
	s.mu.Unlock()
	if again {
		return true
	}
	go func() {
		defer func() {
			s.mu.Lock()
			delete(s.out, p)
			s.mu.Unlock()
		}()
		out, err := s.host.NewStream(ctx, p, pubsub.GossipSubID_v12)
		if err != nil {
			return
		}
		defer out.Reset()
		for {
			select {
			case rpc := <-ch:
				b, err := proto.Marshal(rpc)
				if err != nil {
					return
				}
				if _, err := out.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...)); err != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return true
}

func (s *sybil) send(p peer.ID, rpc *pb.RPC) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.out[p] <- rpc:
	default:
	}
}

func (s *sybil) control(ctx context.Context, p peer.ID, rpc *pb.RPC) {
	var answer pb.RPC
	answer.Control = &pb.ControlMessage{}
	for _, sub := range rpc.GetSubscriptions() {
		if sub.GetSubscribe() {
			answer.Subscriptions = append(answer.Subscriptions, sub)
			answer.Control.Graft = append(answer.Control.Graft, &pb.ControlGraft{TopicID: sub.Topicid})
		}
	}
	if len(answer.Subscriptions) > 0 {
		s.send(p, &answer)
	}
	for _, prune := range rpc.GetControl().GetPrune() {
		s.mu.Lock()
		delay := regraftAfter + time.Duration(s.rand.Int64N(int64(regraftDelay)))
		s.mu.Unlock()
		time.AfterFunc(delay, func() {
			if ctx.Err() == nil {
				s.send(p, &pb.RPC{Control: &pb.ControlMessage{Graft: []*pb.ControlGraft{{TopicID: prune.TopicID}}}})
			}
		})
	}
}

// forward passes a message on to all other peers, if it likes it.
func (s *sybil) forward(from peer.ID, m *pb.Message) {
	r := s.world.ofFrame(m.GetData())
	if r == nil || s.forwards == nil || !s.forwards(r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[string(r.element)] {
		return
	}
	s.seen[string(r.element)] = true
	rpc := &pb.RPC{Publish: []*pb.Message{m}}
	for p, ch := range s.out {
		if p != from {
			select {
			case ch <- rpc:
			default:
			}
		}
	}
}

// spam sends every peer rubbish: invalid messages, and all kinds of control
// messages about messages that do not exist.
func (s *sybil) spam(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	topic := gossip.TopicRecords
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		var ids []string
		for i := range 20 {
			ids = append(ids, fmt.Sprintf("%020d", 20*n+i))
		}
		s.mu.Lock()
		for p, ch := range s.out {
			rpc := &pb.RPC{
				Publish: []*pb.Message{{Topic: &topic, Data: fmt.Appendf(nil, "rubbish %d %s %s %0400d", n, s.host.ID(), p, 0)}},
				Control: &pb.ControlMessage{
					Ihave:     []*pb.ControlIHave{{TopicID: &topic, MessageIDs: ids}},
					Iwant:     []*pb.ControlIWant{{MessageIDs: ids}},
					Graft:     []*pb.ControlGraft{{TopicID: &topic}},
					Idontwant: []*pb.ControlIDontWant{{MessageIDs: ids}},
				},
			}
			select {
			case ch <- rpc:
				s.sent++
			default:
			}
		}
		s.mu.Unlock()
	}
}
