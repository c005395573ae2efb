package gossip

import (
	"fmt"
	"net"
	"testing"
	"time"

	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

var epoch = time.Unix(1_700_000_000, 0)

func message(topic, data string) *pb.Message {
	return &pb.Message{Topic: &topic, Data: []byte(data)}
}

// admitted sends n new messages and returns how many pass.
func admitted(l *ledger, p peer.ID, topic string, n int, at time.Time) int {
	passed := 0
	for i := range n {
		if l.admit(p, message(topic, fmt.Sprint(p, at.UnixNano(), i)), at) {
			passed++
		}
	}
	return passed
}

// SPEC G10
func TestLedgerRate(t *testing.T) {
	l := newLedger(recordRate, recordBurst)
	for _, c := range []struct {
		peer  peer.ID
		topic string
		after time.Duration
		want  int
	}{
		{"a", TopicRecords, 0, 500},
		{"a", TopicKeys, 0, 500}, // the topics do not share
		{"b", TopicRecords, 0, 500},
		{"a", TopicRecords, time.Second, 50},
		{"a", TopicRecords, 3 * time.Second, 100},
		{"a", TopicRecords, time.Hour, 500},
		{"a", TopicKeys, time.Second, 10},
		{"a", "/another/topic", 0, 1000}, // pubsub drops these
	} {
		if got := admitted(l, c.peer, c.topic, 1000, epoch.Add(c.after)); got != c.want {
			t.Errorf("after %v %s may send %d messages to %s, want %d", c.after, c.peer, got, c.topic, c.want)
		}
	}
}

// SPEC G10. Copies cost nothing: every peer forwards what the others do.
func TestLedgerCopies(t *testing.T) {
	l := newLedger(recordRate, recordBurst)
	first := message(TopicRecords, "first")
	if !l.admit("a", first, epoch) {
		t.Fatal("the first message does not pass")
	}
	for i := range 1000 {
		if !l.admit("b", first, epoch.Add(time.Minute)) {
			t.Fatalf("copy %d does not pass", i)
		}
	}
	if got := admitted(l, "b", TopicRecords, 1000, epoch.Add(time.Minute)); got != recordBurst {
		t.Errorf("after copies of others %d messages pass, want %d", got, recordBurst)
	}
	// When pubsub takes it for a new message it costs again.
	if l.admit("b", message(TopicRecords, "x"), epoch.Add(time.Minute)) {
		t.Fatal("b is not above its rate")
	}
	l.seen("", epoch.Add(seenTTL/2+time.Minute))
	l.seen("", epoch.Add(seenTTL+time.Minute))
	if l.seen(messageID(first), epoch.Add(seenTTL+time.Minute)) {
		t.Errorf("a message is remembered for more than %v", seenTTL)
	}
}

// SPEC G11. On the records topic the sixth invalid message is too many, on the keys
// topic, which weighs half, the eighth.
func TestLedgerGraylists(t *testing.T) {
	for topic, limit := range map[string]int{TopicRecords: 6, TopicKeys: 8} {
		l := newLedger(recordRate, recordBurst)
		for i := range limit {
			if l.isGraylisted("a", epoch) {
				t.Errorf("graylisted after %d invalid messages on %s, want %d", i, topic, limit)
			}
			l.rejected("a", topic, epoch)
		}
		if !l.isGraylisted("a", epoch) {
			t.Errorf("not graylisted after %d invalid messages on %s", limit, topic)
		}
		if l.isGraylisted("b", epoch) {
			t.Error("another peer is graylisted")
		}
		l.forget(epoch.Add(time.Minute))
		if !l.isGraylisted("a", epoch.Add(time.Minute)) {
			t.Error("forgiven after a minute")
		}
		if l.isGraylisted("a", epoch.Add(10*time.Minute)) {
			t.Error("not forgiven after ten minutes")
		}
		l.forget(epoch.Add(3 * time.Hour))
		if len(l.accounts) != 0 {
			t.Error("remembered for three hours")
		}
	}
}

func TestLedgerIsBounded(t *testing.T) {
	l := newLedger(recordRate, recordBurst)
	for i := range 3 * maxAccounts {
		p := peer.ID(fmt.Sprint(i))
		l.rejected(p, TopicRecords, epoch)
		for j := range 20 {
			l.admit(p, message(TopicRecords, fmt.Sprint(i, j)), epoch)
		}
	}
	if len(l.accounts) > maxAccounts || len(l.young) > maxSeen || len(l.old) > maxSeen {
		t.Errorf("%d accounts, %d and %d ids", len(l.accounts), len(l.young), len(l.old))
	}
	if len(l.accounts) < maxAccounts {
		t.Errorf("only %d accounts are kept", len(l.accounts))
	}
}

// SPEC G15
func TestSharedAddresses(t *testing.T) {
	for s, want := range map[string]bool{
		"127.0.0.1": true, "::1": true, "192.168.1.2": true, "10.9.8.7": true, "172.31.0.1": true,
		"fd00::1": true, "fe80::1": true, "169.254.1.1": true,
		"8.8.8.8": false, "172.32.0.1": false, "2001:4860:4860::8888": false, "100.64.0.1": false,
	} {
		got := false
		for _, n := range localNetworks() {
			got = got || n.Contains(net.ParseIP(s))
		}
		if got != want {
			t.Errorf("peers may share %s: %v, want %v", s, got, want)
		}
	}
}
