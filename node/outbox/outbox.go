package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"golang.org/x/time/rate"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/swarm"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// Peers take 50 records a second and 500 at once from another; announcing stays
// below that.
const (
	maxAgain = 64 // records that others may have missed, which wait to be announced
	maxRate  = 40.0
	maxBurst = 400

	pollInterval  = 5 * time.Second // other processes may add records
	peerTimeout   = 2 * time.Second // for a connected peer to show that it takes records
	settleTimeout = 250 * time.Millisecond
)

// Config says what an Outbox works with. All is required.
type Config struct {
	Swarm     *swarm.Swarm
	Gossip    *gossip.Gossip
	Index     *index.Index
	Ephemeral bool   // for one command: what is sent stays in the outbox until peers confirm it
	Sent      func() // is told when peers may be about to ask for what was announced
	Log       *slog.Logger
}

// Outbox announces records.
type Outbox struct {
	cfg   Config
	proof chan cid.Cid // a record that completed a proof of equivocation
	again chan cid.Cid // a record that others may have missed
	pace  *rate.Limiter

	mu   sync.Mutex
	sent []cid.Cid // by a node for one command, not confirmed yet
}

// New makes an Outbox. Nothing is announced before Run or Announce.
func New(cfg Config) *Outbox {
	return &Outbox{cfg: cfg, proof: make(chan cid.Cid, 64), again: make(chan cid.Cid, maxAgain), pace: rate.NewLimiter(maxRate, maxBurst)}
}

// Run announces own records that wait, whenever there is somebody to tell.
func (o *Outbox) Run(ctx context.Context) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for o.cfg.Gossip.Ready(ctx) == nil {
		if err := o.flush(ctx); err != nil && ctx.Err() == nil {
			o.cfg.Log.Error("announce waiting records", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case id := <-o.proof:
			if err := o.announceProof(ctx, id); err != nil && ctx.Err() == nil {
				o.cfg.Log.Error("announce proofs of equivocation", "err", err)
			}
		case id := <-o.again:
			if err := o.announceAgain(ctx, id); err != nil && ctx.Err() == nil {
				o.cfg.Log.Error("announce what was pulled", "err", err)
			}
		}
	}
	return nil
}

// flush announces what waits in the outbox.
func (o *Outbox) flush(ctx context.Context) error {
	pending, err := o.cfg.Index.Pending(ctx)
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

// Announce sends records of the index to the peers that are there.
func (o *Outbox) Announce(ctx context.Context, ids []cid.Cid) (api.Announced, error) {
	if err := o.awaitPeers(ctx); err != nil {
		return api.Announced{}, err
	}
	least := -1
	for _, id := range ids {
		envelope, key, err := o.cfg.Index.Envelope(ctx, id)
		if err != nil {
			return api.Announced{}, fmt.Errorf("announce record: %w", err)
		}
		n, err := o.publish(ctx, index.SignedRecord{ID: id, Envelope: envelope, Key: key})
		if err != nil {
			return api.Announced{}, err
		}
		if least < 0 || n < least {
			least = n
		}
		if r, err := o.cfg.Index.Release(ctx, id); err == nil {
			o.cfg.Swarm.Provide(r.Body.Module)
		}
	}
	return api.Announced{Peers: max(least, 0)}, nil
}

// AnnounceKey sends what the index knows of a key to the peers that are there.
func (o *Outbox) AnnounceKey(ctx context.Context, f records.Fingerprint) (api.Announced, error) {
	key, err := o.cfg.Index.Key(ctx, f)
	if err != nil {
		return api.Announced{}, err
	}
	if key == nil {
		return api.Announced{}, &sign.UnknownKeyError{Fingerprint: f}
	}
	if err := o.awaitPeers(ctx); err != nil {
		return api.Announced{}, err
	}
	n, err := o.cfg.Gossip.PublishKey(ctx, key.Block())
	if errors.Is(err, gossip.ErrAnnounced) {
		n, err = len(o.cfg.Gossip.Peers(gossip.TopicKeys)), nil
	}
	if err != nil {
		return api.Announced{}, fmt.Errorf("announce key %s: %w", f, err)
	}
	o.cfg.Sent()
	return api.Announced{Peers: n}, nil
}

// awaitPeers waits a moment for a peer that takes records, when there may be one.
func (o *Outbox) awaitPeers(ctx context.Context) error {
	if len(o.cfg.Gossip.Peers(gossip.TopicRecords)) > 0 {
		return nil
	}
	if _, ok := o.cfg.Swarm.AwaitPeers(ctx); !ok && !o.cfg.Swarm.FindAnybody(ctx) {
		return ctx.Err()
	}
	wait, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	if o.cfg.Gossip.Ready(wait) != nil {
		return ctx.Err()
	}
	select { // others may be about to arrive
	case <-o.cfg.Swarm.Dialled():
	case <-time.After(settleTimeout):
	case <-ctx.Done():
	}
	return ctx.Err()
}

// publish announces one record and returns how many peers it was sent to. A
// record that nobody took stays in the outbox.
func (o *Outbox) publish(ctx context.Context, s index.SignedRecord) (int, error) {
	frame, err := records.EncodeFrame(records.Frame{Key: s.Key, Envelope: s.Envelope})
	if err != nil {
		return 0, fmt.Errorf("announce record %s: %w", s.ID, err)
	}
	if err := o.await(ctx); err != nil {
		return 0, err
	}
	n, err := o.cfg.Gossip.PublishRecord(ctx, frame)
	if errors.Is(err, gossip.ErrAnnounced) {
		n, err = len(o.cfg.Gossip.Peers(gossip.TopicRecords)), nil
	}
	if err != nil {
		return 0, fmt.Errorf("announce record %s: %w", s.ID, err)
	}
	if n == 0 {
		return 0, nil
	}
	if o.cfg.Ephemeral {
		// Queued is not sent: leave says what arrived.
		o.mu.Lock()
		o.sent = append(o.sent, s.ID)
		o.mu.Unlock()
		o.cfg.Sent()
		return n, nil
	}
	if err := o.cfg.Index.Announced(ctx, s.ID); err != nil {
		return n, fmt.Errorf("announce record %s: %w", s.ID, err)
	}
	return n, nil
}

// await keeps announcing below what peers take.
func (o *Outbox) await(ctx context.Context) error { return o.pace.Wait(ctx) }

func (o *Outbox) isSent(id cid.Cid) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Contains(o.sent, id)
}

// Confirm takes out of the outbox what a node for one command has sent.
func (o *Outbox) Confirm(ctx context.Context) error {
	o.mu.Lock()
	sent := o.sent
	o.sent = nil
	o.mu.Unlock()
	if len(sent) == 0 {
		return nil
	}
	return o.cfg.Index.Announced(ctx, sent...)
}

// AnnounceProof has the other half of the proof of equivocation that record id
// completed announced, once: many peers know only one half.
func (o *Outbox) AnnounceProof(id cid.Cid) {
	select {
	case o.proof <- id:
	default: // a flood of them: whoever asks gets them from the index
	}
}

// AnnounceAgain has records that others may have missed announced.
func (o *Outbox) AnnounceAgain(ids []cid.Cid) {
	for _, id := range ids {
		select {
		case o.again <- id:
		default: // others pull
		}
	}
}

func (o *Outbox) announceAgain(ctx context.Context, id cid.Cid) error {
	envelope, key, err := o.cfg.Index.Envelope(ctx, id)
	if err != nil {
		return err
	}
	_, err = o.publish(ctx, index.SignedRecord{ID: id, Envelope: envelope, Key: key})
	return err
}

func (o *Outbox) announceProof(ctx context.Context, id cid.Cid) error {
	proofs, err := o.cfg.Index.Equivocations(ctx)
	if err != nil {
		return err
	}
	for _, p := range proofs {
		if !slices.ContainsFunc(p.Records, func(s index.SignedRecord) bool { return s.ID == id }) {
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
