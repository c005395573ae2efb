package gossip

import (
	"context"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

// join starts pubsub and enters the topics. Everything it starts ends with ctx.
func (g *Gossip) join(ctx context.Context) error {
	ps, err := pubsub.NewGossipSub(ctx, g.wire, g.options()...)
	if err != nil {
		return err
	}
	g.pubsub = ps
	g.joined = make(map[string]*pubsub.Topic)
	for _, name := range topics {
		// Inline, so that messages wait for a worker in the validation queue,
		// where a message that finds no place is not marked as seen and can
		// still come from another peer. A validator of its own goroutine waits
		// behind a throttle that loses messages for as long as they are seen.
		if err := ps.RegisterTopicValidator(name, g.validate,
			pubsub.WithValidatorInline(true), pubsub.WithValidatorTimeout(validateTimeout)); err != nil {
			return err
		}
		t, err := ps.Join(name)
		if err != nil {
			return err
		}
		// Accept has seen each message already. The subscription is there to
		// be in the topic, and its filter to know when pubsub sends.
		if _, err := t.Subscribe(pubsub.WithMessageFilter(g.sending)); err != nil {
			return err
		}
		g.joined[name] = t
	}
	return nil
}

// sending is called in pubsub's loop, right before it sends m to peers.
func (g *Gossip) sending(m *pubsub.Message) bool {
	g.outbox.sending(messageID(m.Message))
	return false
}

var results = map[Outcome]pubsub.ValidationResult{
	Accept: pubsub.ValidationAccept,
	Ignore: pubsub.ValidationIgnore,
	Reject: pubsub.ValidationReject,
}

func (g *Gossip) validate(ctx context.Context, from peer.ID, pm *pubsub.Message) pubsub.ValidationResult {
	if !g.enter() {
		return pubsub.ValidationIgnore
	}
	defer g.validating.Done()
	m := Message{From: from, Local: from == g.wire.ID(), Topic: pm.GetTopic(), Data: pm.GetData()}
	if m.Local {
		g.outbox.validated(messageID(pm.Message))
		return results[g.validateMessage(ctx, m)]
	}
	// pubsub and inspect look at what a peer did before its message enters the
	// queue, so thousands can be in it when the first is found to be invalid.
	if g.peers.isGraylisted(from, time.Now()) {
		g.drops.add(func(d *Drops) { d.Graylisted++ })
		return pubsub.ValidationIgnore
	}
	outcome := g.validateMessage(ctx, m)
	if outcome == Reject {
		g.peers.rejected(from, m.Topic, time.Now())
	}
	return results[outcome]
}

// enter counts a running validation, unless Run is about to return.
func (g *Gossip) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return false
	}
	g.validating.Add(1)
	return true
}

func (g *Gossip) validateMessage(ctx context.Context, m Message) Outcome {
	if len(m.Data) == 0 || len(m.Data) > maxData(m.Topic) {
		return Reject
	}
	return g.cfg.Accept(ctx, m)
}
