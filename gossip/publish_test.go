package gossip

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/everythingstays/es/internal/broadcast"
	"github.com/everythingstays/es/internal/vectors"
	"github.com/everythingstays/es/records"
)

// SPEC G3
func TestMessageID(t *testing.T) {
	for _, v := range vectors.Read(t, "../testdata/gossip/id-*.txtar") {
		if v.Expect != "ok" || len(v.Files) != 3 {
			t.Fatalf("%s: expected something else than ok, or not three sections", v.Name)
		}
		section := func(i int, name string) string {
			if v.Files[i].Name != name {
				t.Fatalf("%s: section %d is %s, want %s", v.Name, i, v.Files[i].Name, name)
			}
			return strings.TrimSpace(string(v.Files[i].Data))
		}
		data, err := hex.DecodeString(section(1, "data.hex"))
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		want := section(2, "id.hex")
		if got := hex.EncodeToString([]byte(messageID(message(section(0, "topic"), string(data))))); got != want {
			t.Errorf("%s: the id is %s, want %s", v.Name, got, want)
		}
	}
}

// SPEC G12
func TestPublishWithoutPeers(t *testing.T) {
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		a := start(t, hosts[0], Config{})
		defer a.stop()
		if got := a.publish(t, "hello"); got != 0 {
			t.Errorf("the record was queued for %d peers, want 0", got)
		}

		// A publish that reached nobody must not stop the one that does.
		b := start(t, hosts[1], Config{})
		defer b.stop()
		connect(t, hosts[0], hosts[1])
		if err := a.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := a.publish(t, "hello"); got != 1 {
			t.Errorf("the record was queued for %d peers, want 1", got)
		}
		settle(time.Second)
		if got := b.saw(TopicRecords + " hello"); got != 1 {
			t.Errorf("the peer validated it %d times, want 1", got)
		}
	})
}

func TestPublishTwice(t *testing.T) {
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		a, b := start(t, hosts[0], Config{}), start(t, hosts[1], Config{})
		defer a.stop()
		defer b.stop()
		connect(t, hosts[0], hosts[1])
		if err := errors.Join(a.Ready(t.Context()), b.Ready(t.Context())); err != nil {
			t.Fatal(err)
		}
		a.publish(t, "hello")
		settle(time.Second)
		for _, n := range []*node{a, b} {
			if peers, err := n.PublishRecord(t.Context(), []byte("hello")); peers != 0 || !errors.Is(err, ErrAnnounced) {
				t.Errorf("published again: %d peers, %v, want 0, %v", peers, err, ErrAnnounced)
			}
		}

		settle(seenTTL + 2*time.Minute)
		if got := a.publish(t, "hello"); got != 1 {
			t.Errorf("after %v the record was queued for %d peers, want 1", seenTTL, got)
		}
	})
}

func TestPublishRefused(t *testing.T) {
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		a, b := start(t, hosts[0], Config{}), start(t, hosts[1], Config{})
		defer a.stop()
		defer b.stop()
		connect(t, hosts[0], hosts[1])
		if err := a.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ data, err string }{
			{bad, "publish record: this node does not accept it: validation failed"},
			{"stale", "publish record: this node does not accept it: validation ignored"},
			{"", "publish record: it has 0 bytes, it must have 1 to 32768"},
			{string(make([]byte, records.MaxFrame+1)), "publish record: it has 32769 bytes, it must have 1 to 32768"},
		} {
			peers, err := a.PublishRecord(t.Context(), []byte(c.data))
			if peers != 0 || err == nil || err.Error() != c.err {
				t.Errorf("published %.10q: %d peers, error %v, want %s", c.data, peers, err, c.err)
			}
		}
		if _, err := a.PublishKey(t.Context(), make([]byte, records.MaxKeyBlock+1)); err == nil {
			t.Error("published a key block that is too large")
		}
		settle(time.Second)
		if got := b.sawPrefix(""); got != 0 {
			t.Errorf("the peer got %d messages, want none", got)
		}
	})
}

// SPEC G13: what a process publishes just before it ends arrives.
func TestLeave(t *testing.T) {
	simulate(t, 4, func(t *testing.T, hosts []host.Host) {
		a := start(t, hosts[0], Config{})
		var others []*node
		for _, h := range hosts[1:] {
			n := start(t, h, Config{})
			defer n.stop()
			others = append(others, n)
			connect(t, hosts[0], h)
		}
		a.meet(t, len(others))
		const count = 100
		for i := range count {
			if got := a.publish(t, fmt.Sprintf("record %03d %s", i, make([]byte, 20_000))); got != len(others) {
				t.Fatalf("record %d was queued for %d peers, want %d", i, got, len(others))
			}
		}
		confirmed, err := a.Leave(t.Context())
		if confirmed != len(others) || err != nil {
			t.Errorf("left with %d peers confirming, %v, want %d", confirmed, err, len(others))
		}
		a.host.Network().Close()
		settle(time.Second)
		for i, n := range others {
			if got := n.sawPrefix(TopicRecords + " record"); got != count {
				t.Errorf("peer %d has %d records, want %d", i, got, count)
			}
		}
		if _, err := a.PublishRecord(t.Context(), []byte("late")); !errors.Is(err, errStopped) {
			t.Errorf("published after leaving: %v, want %v", err, errStopped)
		}
		a.stop()
	})
}

func TestLeaveDoesNotWaitForEver(t *testing.T) {
	simulate(t, 3, func(t *testing.T, hosts []host.Host) {
		a, b := start(t, hosts[0], Config{}), start(t, hosts[1], Config{})
		defer a.stop()
		defer b.stop()
		// A peer that wants to be sent records and never reads one.
		hosts[2].SetStreamHandler(pubsub.GossipSubID_v12, func(network.Stream) {})
		synctest.Wait()
		connect(t, hosts[0], hosts[1])
		rpc := new(pb.RPC)
		for _, topic := range topics {
			rpc.Subscriptions = append(rpc.Subscriptions, &pb.RPC_SubOpts{Topicid: &topic, Subscribe: proto.Bool(true)})
		}
		dialRaw(t, hosts[2], hosts[0]).send(rpc)
		a.meet(t, 2)
		if got := a.publish(t, "hello"); got != 2 {
			t.Fatalf("the record was queued for %d peers, want 2", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		confirmed, err := a.Leave(ctx)
		if confirmed != 1 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d peers confirmed, error %v, want 1, %v", confirmed, err, context.DeadlineExceeded)
		}
		if d := time.Since(began); d != 5*time.Second {
			t.Errorf("leaving took %v, want 5s", d)
		}
	})
}

func TestRunEnds(t *testing.T) {
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		release := make(chan struct{})
		judging := make(chan struct{}, 1)
		a := start(t, hosts[0], Config{})
		b := start(t, hosts[1], Config{Accept: func(ctx context.Context, m Message) Outcome {
			judging <- struct{}{}
			<-release
			return Accept
		}})
		connect(t, hosts[0], hosts[1])
		if err := a.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.publish(t, "hello")
		<-judging

		stopped := make(chan struct{})
		go func() { b.stop(); close(stopped) }()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("Run returned while Accept was running")
		default:
		}
		close(release)
		<-stopped
		if n := len(b.Peers(TopicRecords)); n != 0 {
			t.Errorf("after Run there are %d peers", n)
		}
		if _, err := b.PublishRecord(t.Context(), []byte("late")); !errors.Is(err, errStopped) {
			t.Errorf("published after Run: %v, want %v", err, errStopped)
		}
		if err := b.Ready(t.Context()); err == nil {
			t.Error("ready after Run")
		}
		if protos := a.host.Mux().Protocols(); len(protos) != 4 ||
			!slices.Contains(protos, pubsub.GossipSubID_v12) || !slices.Contains(protos, pubsub.GossipSubID_v11) {
			t.Errorf("a gossiping host speaks %v", protos) // SPEC G2
		}
		if protos := b.host.Mux().Protocols(); len(protos) != 2 { // identify and its push
			t.Errorf("after Run the host speaks %v", protos)
		}
		if err := b.Run(t.Context()); err == nil {
			t.Error("Run ran twice")
		}
		a.stop()
		if _, err := New(hosts[0], Config{}); err == nil {
			t.Error("New without Accept succeeded")
		}
	})
}

// pubsub queues for peers whose stream never opens, and traces a message as
// queued after it was written.
func TestOutboxSettles(t *testing.T) {
	o := newOutbox(new(broadcast.Signal))
	m := message(TopicRecords, "hello")
	id := messageID(m)
	b, err := proto.Marshal(&pb.RPC{Publish: []*pb.Message{m}})
	if err != nil {
		t.Fatal(err)
	}
	b = append(binary.AppendUvarint(nil, uint64(len(b))), b...)

	p, _ := o.begin(id)
	o.opened("a")
	o.opened("b")
	o.wrote("a", b)
	for _, to := range []peer.ID{"a", "b", "never opened"} {
		o.queued(to, []*pb.Message{m})
	}
	if got := o.recipients(p); got != 2 {
		t.Errorf("queued for %d peers, want 2", got)
	}
	o.end(id)
	if o.empty() {
		t.Error("the outbox is empty before b was written to")
	}
	o.closed("b")
	if !o.empty() {
		t.Error("the outbox waits for a stream that is closed, or was never open")
	}
	if !o.wasInformed("a") || o.wasInformed("b") {
		t.Error("only a was informed")
	}
}
