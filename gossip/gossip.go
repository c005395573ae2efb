package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/internal/broadcast"
	"github.com/everythingstays/es/records"
)

// The topics. A message on TopicRecords is a frame of package records, one on
// TopicKeys a minimal key block.
const (
	TopicRecords = "/es/1/records"
	TopicKeys    = "/es/1/keys"
)

var topics = []string{TopicRecords, TopicKeys}

// maxData returns the largest message of a topic in bytes.
func maxData(topic string) int {
	if topic == TopicKeys {
		return records.MaxKeyBlock
	}
	return records.MaxFrame
}

// An Outcome is a verdict over a message.
type Outcome int

const (
	// Ignore drops the message and blames nobody. It is the verdict whenever
	// the clock, trust, quotas or the state of a key had a part in it: peers
	// that know something else must not be punished for it.
	Ignore Outcome = iota
	// Accept passes the message on to other peers.
	Accept
	// Reject drops the message and lowers the score of the peer that sent it:
	// its bytes are wrong, for everybody and for ever.
	Reject
)

// A Message is what Config.Accept validates.
type Message struct {
	From  peer.ID // the peer that forwarded it, who need not have made it
	Local bool    // published by this node; From is this node
	Topic string  // TopicRecords or TopicKeys
	Data  []byte  // at least one byte and at most what the topic allows; not to be changed
}

// Drops counts messages that were lost here before they were validated.
type Drops struct {
	Queue      uint64 // too many messages were waiting
	Limited    uint64 // the forwarding peer was above its rate
	Graylisted uint64 // the forwarding peer had sent too much that was invalid
	Outbound   uint64 // another peer's queue was full: that peer misses the message
}

func (d Drops) total() uint64 {
	return d.Queue + d.Limited + d.Graylisted + d.Outbound
}

// Config says how a Gossip works. Only Accept is required.
type Config struct {
	// Accept validates a message. Up to Workers calls run at once, and messages of
	// this node's own come in addition. ctx ends after 2 s, or when Run does.
	// Limits per author belong here: only Accept knows who the author is.
	Accept func(ctx context.Context, m Message) Outcome

	// Dropped, when set, is called with what was dropped since it was called last.
	// Calls do not overlap; what is dropped during one is in the next.
	Dropped func(Drops)

	Log *slog.Logger // nil for none

	Workers int // calls of Accept at once; 0 means twice the number of cores

	// DirectPeers are kept connected and get every message, whatever their
	// score is: list only people you know.
	DirectPeers []peer.AddrInfo

	// PeerExchange tells pruned peers about others. For bootstrap nodes.
	PeerExchange bool

	// Score, when set, is added to a peer's score. From 1000 on the peer is
	// believed when it recommends other peers, below -2500 it is ignored.
	Score func(peer.ID) float64

	// SharedAddresses are networks in which many peers may share one address
	// without a penalty. Nil means loopback, private and link-local ones.
	SharedAddresses []*net.IPNet

	// RecordRate and RecordBurst limit the records that one peer may forward,
	// per second and at once. 0 means 50 and 500.
	RecordRate  float64
	RecordBurst int
}

// ErrAnnounced is returned for a message that this node published or passed on
// within the last ten minutes: it is out, and is not sent again.
var ErrAnnounced = errors.New("announced already")

var errStopped = errors.New("gossip has stopped")

// Gossip is one node's part in the two topics.
type Gossip struct {
	cfg        Config
	wire       *wire
	peers      *ledger
	outbox     *outbox
	drops      *dropCounter
	mesh       mesh
	colocation *colocation
	changed    broadcast.Signal

	offences chan peer.ID

	started, stopped chan struct{}
	joined           map[string]*pubsub.Topic // set before started is closed
	pubsub           *pubsub.PubSub           // likewise

	mu         sync.Mutex
	running    bool
	closing    bool
	validating sync.WaitGroup
}

// New prepares the gossip of h. Nothing happens before Run.
func New(h host.Host, cfg Config) (*Gossip, error) {
	if cfg.Accept == nil {
		return nil, errors.New("set up gossip: Config.Accept is missing")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Workers <= 0 {
		cfg.Workers = 2 * runtime.NumCPU()
	}
	if cfg.SharedAddresses == nil {
		cfg.SharedAddresses = localNetworks()
	}
	if cfg.RecordRate <= 0 {
		cfg.RecordRate = recordRate
	}
	if cfg.RecordBurst <= 0 {
		cfg.RecordBurst = recordBurst
	}
	g := &Gossip{
		cfg:      cfg,
		peers:    newLedger(cfg.RecordRate, cfg.RecordBurst),
		drops:    newDropCounter(),
		offences: make(chan peer.ID, 64),
		started:  make(chan struct{}),
		stopped:  make(chan struct{}),
	}
	g.outbox = newOutbox(&g.changed)
	g.wire = newWire(h, g.outbox)
	g.colocation = &colocation{net: h.Network(), exempt: cfg.SharedAddresses}
	return g, nil
}

// Run takes part in the topics until ctx ends, and then returns nil. When it
// has returned, Accept is not called again, no stream of it is open and its
// protocols are no longer offered. It can be called once.
func (g *Gossip) Run(ctx context.Context) error {
	g.mu.Lock()
	again := g.running
	g.running = true
	g.mu.Unlock()
	if again {
		return errors.New("run gossip: Run was called twice")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		g.stopValidating()
		close(g.stopped)
		g.wire.close()
		g.validating.Wait()
	}()
	if err := g.join(ctx); err != nil {
		return fmt.Errorf("run gossip: %w", err)
	}
	close(g.started)
	var reporting sync.WaitGroup
	reporting.Go(func() { g.drops.report(ctx, g.cfg.Dropped) })
	defer reporting.Wait()
	if err := g.maintain(ctx); err != nil {
		return fmt.Errorf("run gossip: %w", err)
	}
	return nil
}

// stopValidating makes every later call of validate an Ignore.
func (g *Gossip) stopValidating() {
	g.mu.Lock()
	g.closing = true
	g.mu.Unlock()
}

// maintain does what cannot be done inside pubsub's own loop.
func (g *Gossip) maintain(ctx context.Context) (err error) {
	repairs, err := newRepairer(g.wire)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repairs.close()) }()
	tick, look := time.NewTicker(time.Minute), time.NewTicker(repairEvery)
	defer tick.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-g.offences:
			if err := g.pubsub.PeerFeedback(TopicRecords, p, pubsub.PeerFeedbackInvalidMessage); err != nil {
				return nil // the context has ended
			}
		case now := <-tick.C:
			g.peers.forget(now)
		case <-look.C:
			if err := repairs.look(slices.Concat(g.pubsub.ListPeers(TopicRecords), g.pubsub.ListPeers(TopicKeys))); err != nil {
				return err
			}
		}
	}
}

// PublishRecord announces a frame and returns how many peers it was queued for.
// It goes through Accept first, and fails when that does not accept it. With no
// peer in the topic it returns 0 and nothing has happened: publish it again
// when there is one. The error is ErrAnnounced for a frame that was announced
// before. It waits while the queues of all peers are full.
//
// That a frame is queued does not mean that it was sent: a process that ends
// soon calls Leave.
func (g *Gossip) PublishRecord(ctx context.Context, frame []byte) (peers int, err error) {
	n, err := g.publish(ctx, TopicRecords, frame)
	if err != nil {
		return n, fmt.Errorf("publish record: %w", err)
	}
	return n, nil
}

// PublishKey announces a key block as PublishRecord announces a frame.
func (g *Gossip) PublishKey(ctx context.Context, block []byte) (peers int, err error) {
	n, err := g.publish(ctx, TopicKeys, block)
	if err != nil {
		return n, fmt.Errorf("publish key: %w", err)
	}
	return n, nil
}

// Peers returns the peers that are in a topic and can be sent to now. There are
// none when Run is not running.
func (g *Gossip) Peers(topic string) []peer.ID {
	select {
	case <-g.started:
		return g.outbox.reachable(g.pubsub.ListPeers(topic))
	default:
		return nil
	}
}

// Mesh returns the peers with which messages of others are exchanged at once:
// what arrives between a peer's coming and its entry here, within a second or
// two, is not passed on to it.
func (g *Gossip) Mesh(topic string) []peer.ID { return g.mesh.list(topic) }

// Ready waits until each topic has a peer.
func (g *Gossip) Ready(ctx context.Context) error {
	for {
		change := g.changed.Wait()
		if len(g.Peers(TopicRecords)) > 0 && len(g.Peers(TopicKeys)) > 0 {
			return nil
		}
		if err := g.await(ctx, change); err != nil {
			return fmt.Errorf("wait for a gossip peer: %w", err)
		}
	}
}

// Leave waits until every peer has read all that was published here for it, and
// says goodbye. It returns how many peers confirmed that they read everything
// they were sent. Nothing can be published afterwards; Run must still be
// running, and is stopped next.
func (g *Gossip) Leave(ctx context.Context) (confirmed int, err error) {
	if err := g.flush(ctx); err != nil {
		return 0, fmt.Errorf("leave gossip: %w", err)
	}
	n, err := g.wire.leave(ctx)
	if err != nil {
		return n, fmt.Errorf("leave gossip: %w", err)
	}
	return n, nil
}

// await waits for change, and fails when ctx or Run ends first.
func (g *Gossip) await(ctx context.Context, change <-chan struct{}) error {
	select {
	case <-change:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-g.stopped:
		return errStopped
	}
}
