package interop

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/reconcile"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/transfer"
)

// claimed is a name that hostile peers say they are at. Nobody may ask for it.
const claimed = "attacker.example.net"

// Ammunition is what hostile peers send.
type ammunition struct {
	Targets []string // where the node is, by each transport, with its peer id
	IP      string   // of these peers on the link, from which they announce
	From    []string // addresses that they listen at and dial from
	First   int      // number of the first one, which chooses what each of them does
	Peers   int      // how many of them this process is
	Old     [][]byte // frames of records that the node has
	Bad     [][]byte // frames that nobody may accept
	Fresh   [][]byte // frames of strangers' new records
	Keys    [][]byte // blocks of the key of an author whom the node trusts, each another
	Blocks  [][]byte // digests of blocks that the node has
	Large   [][]byte // digests of blocks of 1 MiB that the node has
	Modules [][]byte // CIDs of modules that the node has
}

// Attackers are the peers of one address, in a process of its own.
type attackers struct {
	ammunition
	targets []peer.AddrInfo // the same peer, by each transport
	target  peer.AddrInfo

	mu   sync.Mutex
	done map[string]int // how often what was done
	next map[string]int // what of the ammunition comes next
}

// attackMain runs hostile peers until standard input ends. Each second, and then at the
// end, it prints a line with what they have done.
func attackMain() error {
	in := bufio.NewReader(os.Stdin)
	a := attackers{done: map[string]int{}, next: map[string]int{}}
	if err := gob.NewDecoder(in).Decode(&a.ammunition); err != nil {
		return err
	}
	for _, addr := range a.Targets {
		target, err := peer.AddrInfoFromString(addr)
		if err != nil {
			return err
		}
		a.targets = append(a.targets, *target)
	}
	a.target = a.targets[0]
	ctx, stop := context.WithCancel(context.Background())
	roles := []func(context.Context, host.Host) error{a.compare, a.gossip, a.silent, a.take, a.loris, a.fill, a.sip, a.question}
	var all sync.WaitGroup
	for i := range a.Peers {
		role := roles[(a.First+i)%len(roles)]
		wait, limit := time.Duration(0), 30*time.Second
		switch (a.First + i) % len(roles) {
		case 1: // gossips of modules that nobody has, behind which those that fill the disk wait
			wait = 10 * time.Second
		case 5: // fills the disk: its modules are fetched one after the other
			limit = time.Hour
		}
		all.Go(func() {
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
			for life := i; ctx.Err() == nil; life++ { // as a new peer each time: ids cost nothing
				a.peer(ctx, life, limit, role)
			}
		})
	}
	all.Go(func() { a.announce(ctx) })
	all.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for ctx.Err() == nil {
			select {
			case <-tick.C:
				_ = a.print() // who reads has gone: standard input ends next
			case <-ctx.Done():
			}
		}
	})
	_, _ = io.Copy(io.Discard, in)
	stop()
	all.Wait()
	return a.print()
}

func (a *attackers) print() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return json.NewEncoder(os.Stdout).Encode(a.done)
}

func (a *attackers) count(what string, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done[what] += n
}

// load returns what comes next of one kind of ammunition.
func (a *attackers) load(kind string, from [][]byte) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := a.next[kind] + a.First*len(from)/64
	a.next[kind]++
	return from[i%len(from)]
}

// peer lets a new peer that lies about its addresses do what role says, for limit at most.
// Its number of lives chooses the transport.
func (a *attackers) peer(ctx context.Context, life int, limit time.Duration, role func(context.Context, host.Host) error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	said := []ma.Multiaddr{ma.StringCast("/dns4/" + claimed + "/tcp/2223"), ma.StringCast("/dns6/" + claimed + "/udp/2223/quic-v1"), ma.StringCast("/dnsaddr/" + claimed)}
	for _, ip := range []string{"/ip4/127.0.0.1", "/ip4/10.20.30.40", "/ip4/192.168.7.7", "/ip4/169.254.169.254",
		"/ip6/::1", "/ip6/fd00:77::7", "/ip6/::ffff:127.0.0.1", "/ip6/64:ff9b::7f00:1", "/ip6/2002:7f00:1::1"} {
		said = append(said, ma.StringCast(ip+"/tcp/2222"), ma.StringCast(ip+"/udp/2222/quic-v1"))
	}
	from, target := a.From[life%len(a.From)], a.targets[life%len(a.targets)]
	h, err := libp2p.New(libp2p.ListenAddrStrings(from+"/tcp/0", from+"/udp/0/quic-v1"), libp2p.DisableRelay(), libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.AddrsFactory(func([]ma.Multiaddr) []ma.Multiaddr { return said }))
	if err == nil {
		defer h.Close()
		err = h.Connect(ctx, target)
	}
	if err != nil {
		a.count("refused connections", 1)
	} else {
		by := target.Addrs[0].Protocols()
		a.count("connections by "+by[0].Name+" and "+by[len(by)-1].Name, 1)
		err = role(ctx, h)
	}
	if err != nil { // what was refused is tried again, but not as fast as this machine can
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// exchange sends a message of reconciliation and reads the answer to its end.
func exchange(s network.Stream, in *bufio.Reader, body []byte) error {
	_ = s.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := s.Write(append(binary.AppendUvarint(nil, uint64(len(body))), body...)); err != nil {
		return err
	}
	for {
		n, err := binary.ReadUvarint(in)
		if err != nil {
			return err
		}
		answer := make([]byte, min(n, 1<<20))
		if _, err := io.ReadFull(in, answer); err != nil {
			return err
		}
		switch {
		case len(answer) == 0 || answer[0] == 0x1f:
			return fmt.Errorf("refused: %x", answer)
		case answer[0] != 0x12: // items go on
			return nil
		}
	}
}

// compareBody is a compare of 2,048 ranges of one author version, no two alike.
func compareBody() []byte {
	b, last := []byte{0x01, 16}, ""
	bound := func(s string) {
		shared := 0
		for shared < min(len(last), len(s)) && last[shared] == s[shared] {
			shared++
		}
		b = append(binary.AppendUvarint(b, uint64(shared)), byte(len(s)-shared))
		b, last = append(b, s[shared:]...), s
	}
	for i := range 2048 {
		at := i * 32
		bound(string([]byte{4, byte(at >> 8), byte(at)}))
		if at += 32; at == 1<<16 {
			bound("\x05")
		} else {
			bound(string([]byte{4, byte(at >> 8), byte(at)}))
		}
		b = append(b, make([]byte, len(records.RangeFingerprint{}))...)
		_, _ = rand.Read(b[len(b)-len(records.RangeFingerprint{}):])
	}
	return b
}

// sessions opens sessions of reconciliation and asks in each for the same until it
// is refused.
func (a *attackers) sessions(ctx context.Context, h host.Host, what string, body []byte) error {
	s, err := h.NewStream(ctx, a.target.ID, reconcile.Protocol)
	if err != nil {
		return err
	}
	defer s.Reset()
	for in := bufio.NewReader(s); ctx.Err() == nil; a.count(what, 1) {
		if err := exchange(s, in, body); err != nil {
			a.count(what+" that were refused", 1)
			return err
		}
	}
	return nil
}

func (a *attackers) compare(ctx context.Context, h host.Host) error {
	return a.sessions(ctx, h, "compares of 2,048 ranges", compareBody())
}

// take gets all that the node has, as often as it gives it.
func (a *attackers) take(ctx context.Context, h host.Host) error {
	return a.sessions(ctx, h, "gets of everything", []byte{0x02, 0, 0, 0, 1, 0xff})
}

// topics joins what the node gossips about, once the node is there too.
func (a *attackers) topics(ctx context.Context, h host.Host) (map[string]*pubsub.Topic, error) {
	ps, err := pubsub.NewGossipSub(ctx, h, pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
		pubsub.WithPeerOutboundQueueSize(2048), pubsub.WithFloodPublish(true), pubsub.WithMessageIdFn(messageID))
	if err != nil {
		return nil, err
	}
	topics := map[string]*pubsub.Topic{}
	for _, name := range []string{gossip.TopicRecords, gossip.TopicKeys} {
		topic, err := ps.Join(name)
		if err != nil {
			return nil, err
		}
		if _, err := topic.Subscribe(); err != nil {
			return nil, err
		}
		topics[name] = topic
	}
	for len(topics[gossip.TopicRecords].ListPeers()) == 0 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return topics, nil
}

// messageID is that of SPEC.md section 8. Without it all messages have one id, and
// only the first is sent.
func messageID(m *pb.Message) string {
	id := sha256.Sum256(append([]byte(m.GetTopic()+"\x00"), m.GetData()...))
	return string(id[:20])
}

// gossip sends key blocks, old records, strangers' records and bad frames.
func (a *attackers) gossip(ctx context.Context, h host.Host) error {
	topics, err := a.topics(ctx, h)
	if err != nil {
		return err
	}
	tick := time.NewTicker(4 * time.Millisecond)
	defer tick.Stop()
	for i := 0; h.Network().Connectedness(a.target.ID) == network.Connected; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		kind, topic, from := "key blocks", gossip.TopicKeys, a.Keys
		switch i % 8 {
		case 1, 3:
			kind, topic, from = "old records", gossip.TopicRecords, a.Old
		case 5:
			kind, topic, from = "strangers' records", gossip.TopicRecords, a.Fresh
		case 7: // as many as one peer may before the node hangs up, and again
			kind, topic, from = "bad frames", gossip.TopicRecords, a.Bad
		}
		if err := topics[topic].Publish(ctx, a.load(kind, from)); err == nil {
			a.count(kind, 1)
		}
	}
	return nil
}

// silent is there, takes what the node asks by any protocol, and answers nothing.
func (a *attackers) silent(ctx context.Context, h host.Host) error {
	for _, id := range []protocol.ID{reconcile.Protocol, transfer.ID, "/es/has/1", "/es/clock/1", "/ipfs/bitswap/1.2.0"} {
		h.SetStreamHandler(id, func(s network.Stream) {
			a.count("requests left without an answer", 1)
			_, _ = io.Copy(io.Discard, s)
		})
	}
	ps, err := pubsub.NewGossipSub(ctx, h, pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor())
	if err != nil {
		return err
	}
	topic, err := ps.Join(gossip.TopicRecords)
	if err != nil {
		return err
	}
	if _, err := topic.Subscribe(); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// loris opens all streams that it can, says what begins a request, a byte at a
// time, and reads nothing.
func (a *attackers) loris(ctx context.Context, h host.Host) error {
	protocols, err := h.Peerstore().GetProtocols(a.target.ID)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	for _, id := range protocols {
		for range 10 {
			all.Go(func() {
				s, err := h.NewStream(ctx, a.target.ID, id)
				if err != nil {
					return
				}
				defer s.Reset()
				a.count("streams held", 1)
				said := append([]byte{2, 0, 1}, a.load("blocks", a.Blocks)...) // of transfer: a whole request
				for _, b := range said {
					if _, err := s.Write([]byte{b}); err != nil {
						return
					}
					select {
					case <-ctx.Done():
						return
					case <-time.After(time.Second):
					}
				}
			})
		}
	}
	all.Wait()
	return nil
}

// announce floods the link with peers that are nowhere: 5 a packet, 20 packets a
// second, at addresses here, elsewhere and at names.
func (a *attackers) announce(ctx context.Context) {
	conn, err := net.Dial("udp4", "224.0.0.251:5353")
	if err != nil {
		fmt.Fprintln(os.Stderr, "mDNS:", err)
		return
	}
	defer conn.Close()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		packet, n, err := announcement(a.IP)
		if err != nil {
			fmt.Fprintln(os.Stderr, "mDNS:", err)
			return
		}
		if _, err := conn.Write(packet); err == nil {
			a.count("peers announced", n)
		}
	}
}

func announcement(ip string) (packet []byte, n int, err error) {
	service := dnsmessage.MustNewName("_es._udp.local.")
	m := dnsmessage.Message{Header: dnsmessage.Header{Response: true, Authoritative: true}}
	ttl := func(name dnsmessage.Name) dnsmessage.ResourceHeader {
		return dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: 120}
	}
	for n = range 5 {
		_, public, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			return nil, 0, err
		}
		id, err := peer.IDFromPublicKey(public)
		if err != nil {
			return nil, 0, err
		}
		label := strings.ToLower(id.String()[20:])
		instance, there := dnsmessage.MustNewName(label+"._es._udp.local."), dnsmessage.MustNewName(label+".local.")
		var txt []string
		for _, addr := range []string{"/ip4/" + ip + "/tcp/9", "/dns4/" + claimed + "/tcp/2223", "/ip4/10.20.30.40/tcp/2222", "/ip4/127.0.0.1/tcp/2222", "/ip6/::1/udp/2222/quic-v1"} {
			txt = append(txt, "dnsaddr="+addr+"/p2p/"+id.String())
		}
		m.Answers = append(m.Answers,
			dnsmessage.Resource{Header: ttl(service), Body: &dnsmessage.PTRResource{PTR: instance}},
			dnsmessage.Resource{Header: ttl(instance), Body: &dnsmessage.SRVResource{Port: 9, Target: there}},
			dnsmessage.Resource{Header: ttl(instance), Body: &dnsmessage.TXTResource{TXT: txt}},
			dnsmessage.Resource{Header: ttl(there), Body: &dnsmessage.AResource{A: [4]byte(net.ParseIP(ip).To4())}})
	}
	packet, err = m.Pack()
	return packet, n + 1, err
}
