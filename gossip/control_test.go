package gossip

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"
)

// An impostor is in the victim's mesh, writes what it likes and counts what it
// gets.
type impostor struct {
	rawPeer

	mu       sync.Mutex
	messages map[string]int // by data
	wanted   map[string]int // message ids in IWANT
	prunes   int
}

func dialImpostor(t *testing.T, from, to host.Host) *impostor {
	t.Helper()
	i := &impostor{messages: make(map[string]int), wanted: make(map[string]int)}
	from.SetStreamHandler(pubsub.GossipSubID_v12, i.read)
	settle(0) // until identify hears of the protocol
	i.rawPeer = dialRaw(t, from, to)
	rpc := &pb.RPC{Control: &pb.ControlMessage{}}
	for _, topic := range topics {
		rpc.Subscriptions = append(rpc.Subscriptions, &pb.RPC_SubOpts{Topicid: &topic, Subscribe: proto.Bool(true)})
		rpc.Control.Graft = append(rpc.Control.Graft, &pb.ControlGraft{TopicID: &topic})
	}
	i.send(rpc)
	settle(time.Second)
	return i
}

func (i *impostor) read(s network.Stream) {
	defer s.Reset()
	for r := bufio.NewReader(s); ; {
		size, err := binary.ReadUvarint(r)
		if err != nil {
			return
		}
		b := make([]byte, size)
		var rpc pb.RPC
		if _, err := io.ReadFull(r, b); err != nil || proto.Unmarshal(b, &rpc) != nil {
			return
		}
		i.mu.Lock()
		for _, m := range rpc.GetPublish() {
			i.messages[string(m.GetData())]++
		}
		for _, w := range rpc.GetControl().GetIwant() {
			for _, id := range w.GetMessageIDs() {
				i.wanted[id]++
			}
		}
		i.prunes += len(rpc.GetControl().GetPrune())
		i.mu.Unlock()
	}
}

func (i *impostor) got(data string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.messages[data]
}

// asked returns how many ids were asked for since it was called last.
func (i *impostor) asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := len(i.wanted)
	clear(i.wanted)
	return n
}

func (i *impostor) pruned() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.prunes
}

func control(c *pb.ControlMessage) *pb.RPC { return &pb.RPC{Control: c} }

func ids(from, n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("%020d", from+i))
	}
	return out
}

// besiege runs f with a victim and an impostor.
func besiege(t *testing.T, f func(t *testing.T, victim *node, i *impostor)) {
	t.Helper()
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		victim := start(t, hosts[0], Config{})
		defer victim.stop()
		f(t, victim, dialImpostor(t, hosts[1], hosts[0]))
	})
}

// SPEC G16. Threat 30: what gossipsub's own tests do to it, done to ours, which has
// other parameters. (Its test of invalid messages is TestThreat26.)
func TestThreat30Control(t *testing.T) {
	topic := TopicRecords
	t.Run("IWANT", func(t *testing.T) {
		besiege(t, func(t *testing.T, victim *node, i *impostor) {
			if got := victim.publish(t, "hello"); got != 1 {
				t.Fatalf("queued for %d peers", got)
			}
			id := messageID(message(topic, "hello"))
			for range 100 {
				i.send(control(&pb.ControlMessage{Iwant: []*pb.ControlIWant{{MessageIDs: []string{id}}}}))
				settle(10 * time.Millisecond)
			}
			settle(5 * time.Second)
			if got := i.got("hello"); got != 1+3 {
				t.Errorf("a message was sent %d times, want once and 3 times again", got)
			}
		})
	})
	t.Run("IHAVE", func(t *testing.T) {
		besiege(t, func(t *testing.T, _ *node, i *impostor) {
			const beats = 30
			var asked []int
			for beat := range beats {
				for n := range 30 {
					i.send(control(&pb.ControlMessage{Ihave: []*pb.ControlIHave{{TopicID: &topic, MessageIDs: ids(beat*30_000+n*1000, 1000)}}}))
				}
				settle(time.Second)
				asked = append(asked, i.asked())
			}
			most, total := 0, 0
			for _, n := range asked {
				most, total = max(most, n), total+n
			}
			if most == 0 || most > 2*1000 { // a second can touch two heartbeats
				t.Errorf("%d ids were asked for within a second, want 1 to 2000", most)
			}
			if late := asked[beats-1]; late != 0 {
				t.Errorf("%d ids are still asked for in the last second, of a peer that never sent one of %d", late, total)
			}
			t.Logf("%d ids were advertised, %d asked for", beats*30_000, total)
		})
	})
	t.Run("GRAFT elsewhere", func(t *testing.T) {
		besiege(t, func(t *testing.T, _ *node, i *impostor) {
			other := "/es/1/other"
			for range 100 {
				i.send(control(&pb.ControlMessage{Graft: []*pb.ControlGraft{{TopicID: &other}}}))
			}
			settle(time.Second)
			if got := i.pruned(); got != 0 {
				t.Errorf("%d prunes for a topic that does not exist", got)
			}
		})
	})
	t.Run("GRAFT too early", func(t *testing.T) {
		besiege(t, func(t *testing.T, victim *node, i *impostor) {
			if len(victim.Mesh(topic)) != 1 {
				t.Fatal("the impostor is not in the mesh")
			}
			i.send(control(&pb.ControlMessage{Prune: []*pb.ControlPrune{{TopicID: &topic}}}))
			settle(time.Second)
			for range 100 {
				i.send(control(&pb.ControlMessage{Graft: []*pb.ControlGraft{{TopicID: &topic}}}))
				settle(100 * time.Millisecond)
			}
			if got := i.pruned(); got == 0 || got > 22 {
				t.Errorf("100 grafts after a prune were answered %d times, want 1 to 22", got)
			}
			if len(victim.Mesh(topic)) != 0 {
				t.Error("the impostor is in the mesh again")
			}
			i.send(&pb.RPC{Publish: []*pb.Message{message(topic, "hello")}})
			settle(time.Second)
			if victim.saw(topic+" hello") != 0 {
				t.Error("the impostor is still heard")
			}
		})
	})
	t.Run("IDONTWANT", func(t *testing.T) {
		besiege(t, func(t *testing.T, victim *node, i *impostor) {
			unwanted := func(data string) *pb.RPC {
				return control(&pb.ControlMessage{Idontwant: []*pb.ControlIDontWant{{MessageIDs: []string{messageID(message(topic, data))}}}})
			}
			before := heap()
			count := 2000
			if full {
				count = 20_000
			}
			for n := range count {
				i.send(control(&pb.ControlMessage{Idontwant: []*pb.ControlIDontWant{{MessageIDs: ids(100*n, 100)}}}))
			}
			// This one comes after the thousand that count, and so does not.
			i.send(unwanted("first"))
			settle(100 * time.Millisecond)
			if grown := heap() - before; grown > 4<<20 {
				t.Errorf("%d unwanted ids take %d bytes", 100*count, grown)
			}
			victim.publish(t, "first")
			settle(5 * time.Second)
			if got := i.got("first"); got != 1 {
				t.Errorf("the message was sent %d times, want once: too many were unwanted", got)
			}
		})
	})
}

// counting is a host that counts what is written to the streams it opens.
type counting struct {
	host.Host
	mu    sync.Mutex
	bytes int
}

func (h *counting) NewStream(ctx context.Context, p peer.ID, protocols ...protocol.ID) (network.Stream, error) {
	s, err := h.Host.NewStream(ctx, p, protocols...)
	if err != nil {
		return nil, err
	}
	return &countingStream{s, h}, nil
}

type countingStream struct {
	network.Stream
	h *counting
}

func (s *countingStream) Write(b []byte) (int, error) {
	n, err := s.Stream.Write(b)
	s.h.mu.Lock()
	s.h.bytes += n
	s.h.mu.Unlock()
	return n, err
}

// replay returns what an honest node with five honest peers writes to all its
// peers while three others replay so many old records, each of some size.
func replay(t *testing.T, count, size int) (bytes int) {
	t.Helper()
	simulate(t, 9, func(t *testing.T, hosts []host.Host) {
		old := func(_ context.Context, m Message) Outcome {
			if strings.HasPrefix(string(m.Data), "old") {
				return Ignore
			}
			return Accept
		}
		h := &counting{Host: hosts[0]}
		victim := start(t, h, Config{Accept: old})
		defer victim.stop()
		var others []*node
		for _, h := range hosts[1:6] {
			n := start(t, h, Config{Accept: old})
			defer n.stop()
			others = append(others, n)
			connect(t, h, hosts[0])
		}
		var raw []*impostor
		for _, h := range hosts[6:] {
			raw = append(raw, dialImpostor(t, h, hosts[0]))
		}
		settle(5 * time.Second)
		// Honest traffic: a record a second, as long as the replay takes at 150 a
		// second, beginning with those that may come at once.
		const minutes = 1
		for i := range minutes * 60 {
			others[i%len(others)].publish(t, fmt.Sprintf("new %d %s", i, strings.Repeat("x", 800)))
			for n := i * count / 60; n < (i+1)*count/60; n++ {
				raw[n%len(raw)].send(&pb.RPC{Publish: []*pb.Message{message(TopicRecords, fmt.Sprintf("old %d %s", n, strings.Repeat("x", size)))}})
			}
			settle(time.Second)
		}
		if got := victim.sawPrefix(TopicRecords + " new"); got != minutes*60 {
			t.Errorf("%d of %d new records arrived", got, minutes*60)
		}
		if got := victim.sawPrefix(TopicRecords + " old"); got < count/2 {
			t.Errorf("only %d of %d old records were validated: the test shows nothing", got, count)
		}
		h.mu.Lock()
		bytes = h.bytes
		h.mu.Unlock()
	})
	return bytes
}

// SPEC G8. Threat 28: old records are not passed on, whoever replays them.
func TestThreat28Replay(t *testing.T) {
	count := 1000
	if full {
		count = 10_000
	}
	for _, size := range []int{500, 5000} {
		idle := replay(t, 0, size)
		busy := replay(t, count, size)
		t.Logf("%d old records of %d bytes: %d bytes are sent, %d without them: %.2f times", count, size, busy, idle, float64(busy)/float64(idle))
		if float64(busy) > 1.1*float64(idle) {
			t.Errorf("%d old records of %d bytes: %d bytes are sent, %d without them", count, size, busy, idle)
		}
	}
}
