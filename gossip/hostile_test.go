package gossip

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/proto"

	"github.com/everythingstays/es/records"
)

// spam runs a victim between an honest publisher and a spammer, and returns how
// many invalid messages the victim validated.
func spam(t *testing.T, count int, pause time.Duration) int {
	t.Helper()
	var validated int
	simulate(t, 3, func(t *testing.T, hosts []host.Host) {
		victim := start(t, hosts[0], Config{Workers: 4, Accept: func(ctx context.Context, m Message) Outcome {
			time.Sleep(150 * time.Microsecond) // a signature
			return validateText(ctx, m)
		}})
		defer victim.stop()
		honest := start(t, hosts[1], Config{})
		defer honest.stop()
		spammer := startHostile(t, hosts[2])
		defer spammer.stop()
		connect(t, hosts[0], hosts[1])
		connect(t, hosts[0], hosts[2])
		settle(2 * time.Second)
		if n := len(honest.Peers(TopicRecords)); n != 1 {
			t.Fatalf("the honest peer has %d peers", n)
		}

		const good = 100
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range good {
				honest.publish(t, fmt.Sprintf("good %d", i))
				time.Sleep(max(time.Millisecond, time.Duration(count)*pause/good))
			}
		}()
		for i := range count {
			spammer.send(t, "%s %d", bad, i)
			time.Sleep(pause)
		}
		<-done
		settle(5 * time.Second)
		if got := victim.sawPrefix(TopicRecords + " good"); got != good {
			t.Errorf("%d of %d honest records arrived", got, good)
		}
		validated = victim.sawPrefix(TopicRecords + " " + bad)
	})
	return validated
}

// SPEC G11. Threat 26: a spammer is ignored after a handful of invalid messages,
// and all that is honest arrives meanwhile.
func TestThreat26InvalidSpam(t *testing.T) {
	if got := spam(t, 2000, 0); got == 0 || got > 64 {
		t.Errorf("2,000 invalid messages sent fast: %d were validated, want 1 to 64", got)
	} else {
		t.Logf("2,000 fast: %d validated", got)
	}
	if got := spam(t, 40, 100*time.Millisecond); got == 0 || got > 8 {
		t.Errorf("40 invalid messages sent at 10/s: %d were validated, want 1 to 8", got)
	} else {
		t.Logf("40 at 10/s: %d validated", got)
	}
}

// SPEC G3. Threat 3: a hundred bad copies that come first never keep the good record
// out, 1,000 times of 1,000.
func TestThreat3BadCopiesFirst(t *testing.T) {
	const copies, good = 100, 1000
	simulate(t, 3, func(t *testing.T, hosts []host.Host) {
		victim, honest := start(t, hosts[0], Config{RecordRate: 1e9, RecordBurst: 1e9}), start(t, hosts[1], Config{})
		defer victim.stop()
		defer honest.stop()
		spammer := startHostile(t, hosts[2])
		defer spammer.stop()
		connect(t, hosts[0], hosts[1])
		connect(t, hosts[0], hosts[2])
		settle(2 * time.Second)
		for i := range good {
			for j := range copies {
				// The record with another signature each time.
				spammer.send(t, "%s copy %d of %d", bad, j, i)
			}
			settle(50 * time.Millisecond)
			honest.publish(t, fmt.Sprintf("good %d", i))
		}
		settle(5 * time.Second)
		if got := victim.sawPrefix(TopicRecords + " good"); got != good {
			t.Errorf("%d of %d records arrived", got, good)
		}
		if victim.sawPrefix(TopicRecords+" "+bad) == 0 {
			t.Error("no bad copy was validated: the test shows nothing")
		}
	})
}

// Bursts wait in the validation queue: with pubsub's own queues 2,067 of these
// arrive.
func TestBurst(t *testing.T) {
	const count = 5000
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		slow := Config{
			Workers:    4,
			RecordRate: 1, RecordBurst: count,
			Accept: func(context.Context, Message) Outcome {
				time.Sleep(150 * time.Microsecond)
				return Accept
			},
		}
		a, b := start(t, hosts[0], Config{}), start(t, hosts[1], slow)
		defer a.stop()
		defer b.stop()
		connect(t, hosts[0], hosts[1])
		if err := a.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range count {
			if got := a.publish(t, fmt.Sprintf("record %d %0600d", i, 0)); got != 1 {
				t.Fatalf("record %d was queued for %d peers, want 1", i, got)
			}
		}
		settle(10 * time.Second)
		if got := b.sawPrefix(TopicRecords + " record"); got != count {
			t.Errorf("%d of %d records arrived, dropped %+v", got, count, b.dropped())
		}
	})
}

// SPEC G10 and G14. A peer above its rate loses messages, and they are counted; another
// peer's copy of a lost message still counts.
func TestRate(t *testing.T) {
	const count = 1000
	simulate(t, 3, func(t *testing.T, hosts []host.Host) {
		victim, honest := start(t, hosts[0], Config{}), start(t, hosts[1], Config{})
		defer victim.stop()
		defer honest.stop()
		flood := startHostile(t, hosts[2])
		defer flood.stop()
		connect(t, hosts[0], hosts[1])
		connect(t, hosts[0], hosts[2])
		settle(2 * time.Second)
		for i := range count {
			flood.send(t, "valid %d", i)
		}
		// The flooding peer also sends, first, a record that is not its own.
		flood.send(t, "good")
		settle(100 * time.Millisecond)
		if victim.saw(TopicRecords+" good") != 0 {
			t.Fatal("the flooding peer is not limited: the test shows nothing")
		}
		honest.publish(t, "good")
		settle(time.Second)
		if victim.saw(TopicRecords+" good") != 1 {
			t.Error("the flood kept an honest record out")
		}
		got := victim.sawPrefix(TopicRecords + " valid")
		if got < recordBurst || got > recordBurst+2*recordRate {
			t.Errorf("%d messages were validated, want %d to %d", got, recordBurst, recordBurst+2*recordRate)
		}
		if d := victim.dropped(); d.Limited != uint64(count+1-got) || d != (Drops{Limited: d.Limited}) {
			t.Errorf("%d of %d were validated, dropped %+v", got, count, d)
		}
	})
}

// SPEC G5. Larger messages are rejected unread, and count against the peer.
func TestOversizeFrames(t *testing.T) {
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		victim := start(t, hosts[0], Config{})
		defer victim.stop()
		peer := startHostile(t, hosts[1])
		defer peer.stop()
		connect(t, hosts[0], hosts[1])
		settle(2 * time.Second)
		exact := strings.Repeat("x", records.MaxFrame)
		peer.send(t, "%s", exact)
		for i := range 6 {
			peer.send(t, "%d%s", i, exact)
			settle(100 * time.Millisecond)
		}
		settle(time.Second)
		if got := victim.sawPrefix(""); got != 1 || victim.saw(TopicRecords+" "+exact) != 1 {
			t.Errorf("%d messages were validated, want the one of %d bytes", got, len(exact))
		}
		peer.send(t, "hello")
		settle(time.Second)
		if got := victim.saw(TopicRecords + " hello"); got != 0 {
			t.Error("after six messages that are too large the peer is still heard")
		}
	})
}

// A rawPeer writes what it likes to the victim's gossip stream.
type rawPeer struct {
	t *testing.T
	s network.Stream
}

func dialRaw(t *testing.T, from, to host.Host) rawPeer {
	t.Helper()
	connect(t, from, to)
	s, err := from.NewStream(t.Context(), to.ID(), pubsub.GossipSubID_v12)
	if err != nil {
		t.Fatal(err)
	}
	return rawPeer{t, s}
}

func (p rawPeer) send(rpc *pb.RPC) {
	p.t.Helper()
	b, err := proto.Marshal(rpc)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.s.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...)); err != nil {
		p.t.Fatal(err)
	}
}

func subscriptions(from, count int) *pb.RPC {
	rpc := new(pb.RPC)
	for i := range count {
		rpc.Subscriptions = append(rpc.Subscriptions, &pb.RPC_SubOpts{
			Topicid: proto.String(fmt.Sprintf("/flood/%040d", from+i)), Subscribe: proto.Bool(true)})
	}
	return rpc
}

// SPEC G9. Threat 29: topics of others cost nothing.
func TestThreat29TopicFlood(t *testing.T) {
	peers, each := 5, 20_000
	if full {
		peers, each = 50, 20_000
	}
	simulate(t, peers+1, func(t *testing.T, hosts []host.Host) {
		victim := start(t, hosts[0], Config{})
		defer victim.stop()
		before := heap()
		var raw []rawPeer
		for _, h := range hosts[1:] {
			raw = append(raw, dialRaw(t, h, hosts[0]))
		}
		for i, p := range raw {
			for sent := 0; sent < each; sent += maxSubscriptions {
				p.send(subscriptions(i*each+sent, maxSubscriptions))
			}
		}
		settle(10 * time.Second)
		// pubsub alone keeps about 317 bytes for each: 31 MB.
		if grown := heap() - before; grown > 10<<20 {
			t.Errorf("%d topics of %d peers take %d bytes", peers*each, peers, grown)
		}
		for _, h := range hosts[1:] {
			h.Network().Close()
		}
		settle(time.Minute)
		grown := heap() - before
		if grown > 10<<20 {
			t.Errorf("%d topics of %d peers that are gone take %d bytes", peers*each, peers, grown)
		}
		t.Logf("%d topics of %d peers that are gone take %d bytes", peers*each, peers, grown)
	})
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// SPEC G9. More than 16 subscriptions at once count like an invalid message.
func TestTooManySubscriptions(t *testing.T) {
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		victim := start(t, hosts[0], Config{})
		defer victim.stop()
		p := dialRaw(t, hosts[1], hosts[0])
		publish := func(data string) *pb.RPC {
			return &pb.RPC{Publish: []*pb.Message{message(TopicRecords, data)}}
		}
		for range 5 {
			p.send(subscriptions(0, maxSubscriptions+1))
			settle(100 * time.Millisecond)
		}
		p.send(publish("after five"))
		settle(time.Second)
		p.send(subscriptions(0, maxSubscriptions+1))
		settle(time.Second)
		p.send(publish("after six"))
		settle(time.Second)
		if got := victim.saw(TopicRecords + " after five"); got != 1 {
			t.Error("the peer is ignored too early")
		}
		if got := victim.saw(TopicRecords + " after six"); got != 0 {
			t.Error("the peer is not ignored")
		}
	})
}

// SPEC G7
func TestCopies(t *testing.T) {
	simulate(t, 3, func(t *testing.T, hosts []host.Host) {
		victim := start(t, hosts[0], Config{})
		defer victim.stop()
		a, b := dialRaw(t, hosts[1], hosts[0]), dialRaw(t, hosts[2], hosts[0])
		rpc := &pb.RPC{Publish: []*pb.Message{message(TopicRecords, "hello")}}
		for _, c := range []struct {
			pause time.Duration
			want  int
		}{{0, 1}, {9 * time.Minute, 1}, {3 * time.Minute, 2}} {
			settle(c.pause)
			a.send(rpc)
			b.send(rpc)
			settle(time.Second)
			if got := victim.saw(TopicRecords + " hello"); got != c.want {
				t.Errorf("validated %d times, want %d", got, c.want)
			}
		}
	})
}

// SPEC G6
func TestOversizeRPC(t *testing.T) {
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		victim := start(t, hosts[0], Config{})
		defer victim.stop()
		p := dialRaw(t, hosts[1], hosts[0])
		two := func(size int) *pb.RPC {
			half := strings.Repeat("x", size)
			return &pb.RPC{Publish: []*pb.Message{message(TopicRecords, "a"+half), message(TopicRecords, "b"+half)}}
		}
		p.send(two(32_700))
		settle(time.Second)
		if got := victim.sawPrefix(TopicRecords); got != 2 {
			t.Errorf("%d of 2 messages in an RPC of %d bytes were validated", got, proto.Size(two(32_700)))
		}
		p.send(two(32_760))
		settle(time.Second)
		if got := victim.sawPrefix(TopicRecords); got != 2 {
			t.Errorf("an RPC of %d bytes was read", proto.Size(two(32_760)))
		}
		if _, err := p.s.Write([]byte{0}); err == nil {
			t.Error("the stream is still open")
		}
	})
}

// SPEC G4. Messages that name an author, a sequence number or a signature are not ours.
func TestAuthoredMessages(t *testing.T) {
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		victim := start(t, hosts[0], Config{})
		defer victim.stop()
		p := dialRaw(t, hosts[1], hosts[0])
		topic := TopicRecords
		for i, m := range []*pb.Message{
			{From: []byte("me")}, {Seqno: []byte{1}}, {Signature: []byte{1}}, {Key: []byte{1}}, {},
		} {
			m.Topic, m.Data = &topic, fmt.Appendf(nil, "message %d", i)
			p.send(&pb.RPC{Publish: []*pb.Message{m}})
		}
		settle(time.Second)
		if got := victim.sawPrefix(TopicRecords); got != 1 || victim.saw(TopicRecords+" message 4") != 1 {
			t.Errorf("%d messages were validated, want only the one without author", got)
		}
	})
}

// SPEC G11. pubsub scores only peers that it has a stream to; here the spammer has
// none.
func TestSpamOneWay(t *testing.T) {
	simulate(t, 3, func(t *testing.T, hosts []host.Host) {
		victim, honest := start(t, hosts[0], Config{}), start(t, hosts[1], Config{})
		defer victim.stop()
		defer honest.stop()
		connect(t, hosts[0], hosts[1])
		honest.meet(t, 1)
		p := dialRaw(t, hosts[2], hosts[0])
		topic := TopicRecords
		for i := range 100 {
			p.send(&pb.RPC{Publish: []*pb.Message{{Topic: &topic, Data: fmt.Appendf(nil, "%s %d", bad, i)}}})
			settle(10 * time.Millisecond)
		}
		if got := victim.sawPrefix(TopicRecords); got == 0 || got > 8 {
			t.Errorf("%d invalid messages were validated, want 1 to 8", got)
		}
		// What it says now is not heard, and does not keep out what others say.
		p.send(&pb.RPC{Publish: []*pb.Message{{Topic: &topic, Data: []byte("good")}}})
		settle(time.Second)
		if victim.saw(TopicRecords+" good") != 0 {
			t.Error("the spammer is still heard")
		}
		honest.publish(t, "good")
		settle(time.Second)
		if victim.saw(TopicRecords+" good") != 1 {
			t.Error("the spammer kept an honest record out")
		}
		settle(10 * time.Minute)
		p.send(&pb.RPC{Publish: []*pb.Message{{Topic: &topic, Data: []byte("better")}}})
		settle(time.Second)
		if victim.saw(TopicRecords+" better") != 1 {
			t.Error("the peer is not forgiven after ten minutes")
		}
	})
}

// SPEC G8. A verdict of Ignore costs a peer nothing.
func TestIgnoreIsFree(t *testing.T) {
	simulate(t, 3, func(t *testing.T, hosts []host.Host) {
		ignore := func(_ context.Context, m Message) Outcome {
			if strings.HasPrefix(string(m.Data), "old") {
				return Ignore
			}
			return Accept
		}
		a := start(t, hosts[0], Config{})
		b := start(t, hosts[1], Config{Accept: ignore})
		c := start(t, hosts[2], Config{})
		for _, n := range []*node{a, b, c} {
			defer n.stop()
		}
		connect(t, hosts[0], hosts[1])
		connect(t, hosts[1], hosts[2])
		settle(2 * time.Second)
		for i := range 100 {
			a.publish(t, fmt.Sprintf("old %d", i))
		}
		synctest.Wait()
		settle(time.Second)
		a.publish(t, "new")
		settle(time.Second)
		if got := b.sawPrefix(TopicRecords + " old"); got != 100 {
			t.Errorf("%d of 100 messages were validated", got)
		}
		if got := c.sawPrefix(TopicRecords + " old"); got != 0 {
			t.Errorf("%d ignored messages were passed on", got)
		}
		if c.saw(TopicRecords+" new") != 1 {
			t.Error("after a hundred ignored messages the peer is not heard any more")
		}
	})
}
