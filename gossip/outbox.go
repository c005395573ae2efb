package gossip

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/everythingstays/es/internal/broadcast"
)

const (
	outboundQueue = 256               // messages that pubsub holds for a peer
	ownBacklog    = outboundQueue / 2 // of these, what this node publishes itself
)

func (g *Gossip) publish(ctx context.Context, topic string, data []byte) (int, error) {
	if len(data) == 0 || len(data) > maxData(topic) {
		return 0, fmt.Errorf("it has %d bytes, it must have 1 to %d", len(data), maxData(topic))
	}
	if err := g.await(ctx, g.started); err != nil {
		return 0, err
	}
	select {
	case <-g.stopped:
		return 0, errStopped
	default:
	}
	if g.wire.isLeaving() {
		return 0, errStopped
	}
	if ok, err := g.room(ctx, topic); !ok {
		return 0, err
	}
	id := messageID(&pb.Message{Topic: &topic, Data: data})
	p, ok := g.outbox.begin(id)
	if !ok {
		return 0, ErrAnnounced
	}
	defer g.outbox.end(id)
	if err := g.joined[topic].Publish(ctx, data); err != nil {
		if v := (pubsub.ValidationError{}); errors.As(err, &v) {
			return 0, fmt.Errorf("this node does not accept it: %v", v.Reason)
		}
		return 0, err
	}
	if !g.outbox.wasValidated(p) {
		// pubsub says nothing about a message that it passed on before.
		return 0, ErrAnnounced
	}
	if err := g.await(ctx, p.reached); err != nil {
		return 0, err
	}
	// Sending began in pubsub's loop before p.reached was closed, and has ended
	// when the loop answers the next question.
	g.pubsub.GetTopics()
	return g.outbox.recipients(p), nil
}

// room waits until the queue of a peer in the topic has room. It returns false
// when there is no peer.
func (g *Gossip) room(ctx context.Context, topic string) (bool, error) {
	for {
		change := g.changed.Wait()
		peers := g.Peers(topic)
		if len(peers) == 0 || g.outbox.room(peers) {
			return len(peers) > 0, nil
		}
		if err := g.await(ctx, change); err != nil {
			return false, err
		}
	}
}

// flush waits until all that was published here has been written to the
// streams of the peers it was queued for, or those are closed.
func (g *Gossip) flush(ctx context.Context) error {
	for {
		change := g.changed.Wait()
		if g.outbox.empty() {
			return nil
		}
		if err := g.await(ctx, change); err != nil {
			return err
		}
	}
}

// An outbox follows what this node publishes until it is written out.
type outbox struct {
	changed *broadcast.Signal

	mu       sync.Mutex
	messages map[string]*outgoing // by message id
	streams  map[peer.ID]int      // open ones
	informed map[peer.ID]bool     // peers that something was written to
}

// An outgoing is one message on its way to the streams of some peers.
type outgoing struct {
	validated bool
	reached   chan struct{} // closed when pubsub begins to send it
	isOut     bool          // reached is closed
	ended     bool          // publish has returned: nobody is added any more
	// A stream can be faster than the trace that says it was queued.
	queued, written map[peer.ID]bool
}

func newOutbox(changed *broadcast.Signal) *outbox {
	return &outbox{
		changed:  changed,
		messages: make(map[string]*outgoing),
		streams:  make(map[peer.ID]int),
		informed: make(map[peer.ID]bool),
	}
}

// begin follows a message. It returns false when that one is on its way.
func (o *outbox) begin(id string) (*outgoing, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.messages[id]; ok {
		return nil, false
	}
	p := &outgoing{
		reached: make(chan struct{}),
		queued:  make(map[peer.ID]bool),
		written: make(map[peer.ID]bool),
	}
	o.messages[id] = p
	return p, true
}

func (o *outbox) validated(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p, ok := o.messages[id]; ok {
		p.validated = true
	}
}

func (o *outbox) wasValidated(p *outgoing) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return p.validated
}

func (o *outbox) sending(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p, ok := o.messages[id]; ok && !p.isOut {
		p.isOut = true
		close(p.reached)
	}
}

// queued notes what waits for the stream to a peer. pubsub also fills the
// queue of a peer whose stream is not open yet, or never will be.
func (o *outbox) queued(to peer.ID, messages []*pb.Message) {
	o.mark(to, messages, func(p *outgoing) {
		if !p.ended && o.streams[to] > 0 {
			p.queued[to] = true
		}
	})
}

func (o *outbox) mark(to peer.ID, messages []*pb.Message, mark func(*outgoing)) {
	if len(messages) == 0 || o.empty() {
		return
	}
	o.mu.Lock()
	for _, m := range messages {
		id := messageID(m)
		if p, ok := o.messages[id]; ok {
			mark(p)
			o.forgetIfWritten(id, p)
		}
	}
	o.mu.Unlock()
	o.changed.Notify()
}

// wrote notes the bytes of one message between peers after they were written.
func (o *outbox) wrote(to peer.ID, b []byte) {
	if o.empty() {
		return
	}
	_, n := binary.Uvarint(b)
	var rpc pb.RPC
	if n <= 0 || proto.Unmarshal(b[n:], &rpc) != nil {
		return
	}
	o.mark(to, rpc.GetPublish(), func(p *outgoing) {
		p.written[to] = true
		o.informed[to] = true
	})
}

func (o *outbox) opened(to peer.ID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.streams[to]++
}

// closed gives up what waits for a stream that was closed.
func (o *outbox) closed(to peer.ID) {
	o.mu.Lock()
	if o.streams[to]--; o.streams[to] == 0 {
		delete(o.streams, to)
	}
	delete(o.informed, to)
	for id, p := range o.messages {
		if p.queued[to] {
			p.written[to] = true
			o.forgetIfWritten(id, p)
		}
	}
	o.mu.Unlock()
	o.changed.Notify()
}

// reachable returns those of peers that have an open stream.
func (o *outbox) reachable(peers []peer.ID) []peer.ID {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.DeleteFunc(peers, func(p peer.ID) bool { return o.streams[p] == 0 })
}

// recipients returns how many peers a message was queued for.
func (o *outbox) recipients(p *outgoing) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(p.queued)
}

func (o *outbox) end(id string) {
	o.mu.Lock()
	if p, ok := o.messages[id]; ok {
		p.ended = true
		o.forgetIfWritten(id, p)
	}
	o.mu.Unlock()
	o.changed.Notify()
}

// forgetIfWritten stops following a message that has been written everywhere.
func (o *outbox) forgetIfWritten(id string, p *outgoing) {
	if !p.ended {
		return
	}
	for to := range p.queued {
		if !p.written[to] {
			return
		}
	}
	delete(o.messages, id)
}

func (o *outbox) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.messages) == 0
}

// room reports whether one of the peers has few of our messages before it.
func (o *outbox) room(peers []peer.ID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, to := range peers {
		n := 0
		for _, p := range o.messages {
			if p.queued[to] && !p.written[to] {
				n++
			}
		}
		if n < ownBacklog {
			return true
		}
	}
	return false
}

func (o *outbox) wasInformed(p peer.ID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.informed[p]
}
