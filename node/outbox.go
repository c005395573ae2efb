package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"golang.org/x/time/rate"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/ingest"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// Peers take 50 records a second and 500 at once from another; announcing stays
// below that.
const (
	announceRate  = 40.0
	announceBurst = 400

	outboxEvery = 5 * time.Second // other processes may add records
	meetTimeout = 2 * time.Second // for a connected peer to show that it takes records
	meetMore    = 250 * time.Millisecond
)

// outbox announces records.
type outbox struct {
	live  *live
	proof chan cid.Cid // a record that completed a proof of equivocation
	again chan cid.Cid // a record that others may have missed

	mu   sync.Mutex
	pace *rate.Limiter
	sent []cid.Cid // by a node for one command, not confirmed yet
}

func newOutbox(l *live) *outbox {
	return &outbox{live: l, proof: make(chan cid.Cid, 64), again: make(chan cid.Cid, 2*ingest.MaxAnnounced), pace: rate.NewLimiter(announceRate, announceBurst)}
}

// run announces own records that wait, whenever there is somebody to tell.
func (o *outbox) run(ctx context.Context) {
	tick := time.NewTicker(outboxEvery)
	defer tick.Stop()
	for o.live.gossip.Ready(ctx) == nil {
		if err := o.flush(ctx); err != nil && ctx.Err() == nil {
			o.live.log.Error("announce waiting records", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case id := <-o.proof:
			if err := o.announceProof(ctx, id); err != nil && ctx.Err() == nil {
				o.live.log.Error("announce proofs of equivocation", "err", err)
			}
		case id := <-o.again:
			if err := o.announceAgain(ctx, id); err != nil && ctx.Err() == nil {
				o.live.log.Error("announce what was pulled", "err", err)
			}
		}
	}
}

// flush announces what waits in the outbox.
func (o *outbox) flush(ctx context.Context) error {
	pending, err := o.live.home.Index().Pending(ctx)
	if err != nil {
		return err
	}
	for _, s := range pending {
		if o.isSent(s.ID) {
			continue
		}
		if _, err := o.publish(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// announce implements Network.Announce.
func (l *live) announce(ctx context.Context, ids []cid.Cid) (api.Announced, error) {
	if err := l.meet(ctx); err != nil {
		return api.Announced{}, err
	}
	least := -1
	for _, id := range ids {
		envelope, key, err := l.home.Index().Envelope(ctx, id)
		if err != nil {
			return api.Announced{}, fmt.Errorf("announce record: %w", err)
		}
		n, err := l.outbox.publish(ctx, index.Sealed{ID: id, Envelope: envelope, Key: key})
		if err != nil {
			return api.Announced{}, err
		}
		if least < 0 || n < least {
			least = n
		}
		if r, err := l.home.Index().Release(ctx, id); err == nil {
			l.find.offers.have(r.Body.Module)
		}
	}
	return api.Announced{Peers: max(least, 0)}, nil
}

// announceKey implements Network.AnnounceKey.
func (l *live) announceKey(ctx context.Context, f records.Fingerprint) (api.Announced, error) {
	key, err := l.home.Index().Key(ctx, f)
	if err != nil {
		return api.Announced{}, err
	}
	if key == nil {
		return api.Announced{}, &sign.UnknownKeyError{Fingerprint: f}
	}
	if err := l.meet(ctx); err != nil {
		return api.Announced{}, err
	}
	n, err := l.gossip.PublishKey(ctx, key.Block())
	if errors.Is(err, gossip.ErrAnnounced) {
		n, err = len(l.gossip.Peers(gossip.TopicKeys)), nil
	}
	if err != nil {
		return api.Announced{}, fmt.Errorf("announce key %s: %w", f, err)
	}
	l.served.set()
	return api.Announced{Peers: n}, nil
}

// meet waits a moment for a peer that takes records, when there may be one.
func (l *live) meet(ctx context.Context) error {
	if len(l.gossip.Peers(gossip.TopicRecords)) > 0 {
		return nil
	}
	if _, ok := l.awaitPeers(ctx); !ok && !l.find.seek(ctx) {
		return ctx.Err()
	}
	wait, cancel := context.WithTimeout(ctx, meetTimeout)
	defer cancel()
	if l.gossip.Ready(wait) != nil {
		return ctx.Err()
	}
	select { // others may be about to arrive
	case <-l.dialled:
	case <-time.After(meetMore):
	case <-ctx.Done():
	}
	return ctx.Err()
}

// publish announces one record and returns how many peers it was sent to. A
// record that nobody took stays in the outbox.
func (o *outbox) publish(ctx context.Context, s index.Sealed) (int, error) {
	frame, err := records.EncodeFrame(records.Frame{Key: s.Key, Envelope: s.Envelope})
	if err != nil {
		return 0, fmt.Errorf("announce record %s: %w", s.ID, err)
	}
	if err := o.await(ctx); err != nil {
		return 0, err
	}
	n, err := o.live.gossip.PublishRecord(ctx, frame)
	if errors.Is(err, gossip.ErrAnnounced) {
		n, err = len(o.live.gossip.Peers(gossip.TopicRecords)), nil
	}
	if err != nil {
		return 0, fmt.Errorf("announce record %s: %w", s.ID, err)
	}
	if n == 0 {
		return 0, nil
	}
	if o.live.node.cfg.Ephemeral {
		// Queued is not sent: leave says what arrived.
		o.mu.Lock()
		o.sent = append(o.sent, s.ID)
		o.mu.Unlock()
		o.live.served.set()
		return n, nil
	}
	if err := o.live.home.Index().Announced(ctx, s.ID); err != nil {
		return n, fmt.Errorf("announce record %s: %w", s.ID, err)
	}
	return n, nil
}

// await keeps announcing below what peers take.
func (o *outbox) await(ctx context.Context) error { return o.pace.Wait(ctx) }

func (o *outbox) isSent(id cid.Cid) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Contains(o.sent, id)
}

// confirm takes out of the outbox what a node for one command has sent.
func (o *outbox) confirm(ctx context.Context) error {
	o.mu.Lock()
	sent := o.sent
	o.sent = nil
	o.mu.Unlock()
	if len(sent) == 0 {
		return nil
	}
	return o.live.home.Index().Announced(ctx, sent...)
}

// spreadProof has the other half of the proof of equivocation that record id
// completed announced, once: many peers know only one half.
func (o *outbox) spreadProof(id cid.Cid) {
	select {
	case o.proof <- id:
	default: // a flood of them: whoever asks gets them from the index
	}
}

// spread has records that others may have missed announced.
func (o *outbox) spread(ids []cid.Cid) {
	for _, id := range ids {
		select {
		case o.again <- id:
		default: // others pull
		}
	}
}

func (o *outbox) announceAgain(ctx context.Context, id cid.Cid) error {
	envelope, key, err := o.live.home.Index().Envelope(ctx, id)
	if err != nil {
		return err
	}
	_, err = o.publish(ctx, index.Sealed{ID: id, Envelope: envelope, Key: key})
	return err
}

func (o *outbox) announceProof(ctx context.Context, id cid.Cid) error {
	proofs, err := o.live.home.Index().Equivocations(ctx)
	if err != nil {
		return err
	}
	for _, p := range proofs {
		if !slices.ContainsFunc(p.Records, func(s index.Sealed) bool { return s.ID == id }) {
			continue
		}
		for _, s := range p.Records {
			if _, err := o.publish(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// Times that a node for one command stays to serve what it has announced.
const (
	lingerQuiet = time.Second // without a block being asked for
	lingerMost  = time.Minute
)

// linger stays while peers fetch what was just announced: they may be the only
// ones to have it tomorrow.
func (l *live) linger(ctx context.Context) {
	end := time.After(lingerMost)
	for {
		quiet := time.Until(l.served.get().Add(l.patience.quiet))
		if quiet <= 0 || len(connected(l.host)) == 0 {
			return
		}
		select {
		case <-time.After(quiet):
		case <-end:
			return
		case <-ctx.Done():
			return
		}
	}
}
