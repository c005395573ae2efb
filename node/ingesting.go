package node

import (
	"context"
	"errors"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/ingest"
	"github.com/everythingstays/es/node/swarm"
	"github.com/everythingstays/es/reconcile"
	"github.com/everythingstays/es/records"
)

// fromGossip returns what gossip asks about each message: its own at once, those of
// others with what comes at the same time.
func fromGossip(s *swarm.Swarm, g *ingest.Ingester, q *ingest.Queue) func(context.Context, gossip.Message) gossip.Outcome {
	return func(ctx context.Context, m gossip.Message) gossip.Outcome {
		it := ingest.Item{Kind: ingest.Frame, Data: m.Data, Source: ingest.Source{Peer: m.From.String(), Origin: s.OriginOf(m.From), Own: m.Local}}
		if m.Topic == gossip.TopicKeys {
			it.Kind = ingest.KeyBlock
		}
		if !m.Local {
			return gossipOutcome(q.Add(ctx, it))
		}
		results, err := g.Batch(ctx, []ingest.Item{it})
		if err != nil {
			return gossip.Ignore
		}
		return gossipOutcome(results[0])
	}
}

func gossipOutcome(r ingest.Result) gossip.Outcome {
	switch {
	case r.Outcome == ingest.Malformed:
		return gossip.Reject
	case r.Relay:
		return gossip.Accept
	}
	return gossip.Ignore
}

// pulled is what one pull from a peer brings.
type pulled struct {
	ingester *ingest.Ingester
	swarm    *swarm.Swarm
	from     peer.ID
	session  ingest.Session
}

// Ingest implements pull.Session.
func (s *pulled) Ingest(ctx context.Context, items []records.Item) (reconcile.IngestResult, error) {
	return ingestPulled(ctx, s.ingester, s.from, s.swarm.OriginOf(s.from), &s.session, items)
}

// Announce implements pull.Session.
func (s *pulled) Announce() []cid.Cid { return s.session.Announce() }

// ingestPulled has an ingester take what a peer answers in a session. The error is a
// *reconcile.OffenceError when the bytes are wrong for ever.
func ingestPulled(ctx context.Context, g *ingest.Ingester, from peer.ID, origin string, session *ingest.Session, items []records.Item) (reconcile.IngestResult, error) {
	batch := make([]ingest.Item, len(items))
	for i, it := range items {
		kind := ingest.Envelope
		if it.Element.Kind() == records.ElementKey {
			kind = ingest.KeyBlock
		}
		batch[i] = ingest.Item{Kind: kind, Data: it.Bytes, Author: it.Element.Author(),
			Source: ingest.Source{Peer: from.String(), Origin: origin, Session: session}}
	}
	var taken reconcile.IngestResult
	results, err := g.Batch(ctx, batch)
	if errors.As(err, new(*ingest.MalformedError)) {
		return taken, &reconcile.OffenceError{Peer: from, Err: err}
	}
	if err != nil {
		return taken, err
	}
	for i, r := range results {
		switch {
		case r.Outcome == ingest.Refused:
			taken.Refused++
		case r.Outcome == ingest.Stored && batch[i].Kind == ingest.KeyBlock:
			taken.Keys++
		case r.Outcome == ingest.Stored:
			taken.Records++
		}
	}
	return taken, nil
}
