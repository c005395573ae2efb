package ingest

import (
	"context"
	"log/slog"
	"time"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

// Config says what an Ingester works with. Index, Trust and Own are required.
type Config struct {
	Index *index.Index
	// Trust returns the user's trust file as it is now: the same *trust.Policy as long
	// as nothing changes. While it fails, the last file counts.
	Trust func() (*trust.Policy, error)
	// Own returns the user's own keys.
	Own func() ([]records.Fingerprint, error)
	// Stored, when set, is told of every record that is new here, once it is stored;
	// not of those about a frozen version. It must not wait for a batch.
	Stored func(context.Context, sign.Verified, index.Outcome)
	Now    func() time.Time // nil for time.Now
	Log    *slog.Logger     // nil for none
}

// Ingester stores what others signed. Its methods may be called at once.
type Ingester struct {
	cfg       Config
	quota     *quota
	followSet *followSet
	received  *receivedCounts
}

// New makes an Ingester. It starts nothing.
func New(cfg Config) *Ingester {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Stored == nil {
		cfg.Stored = func(context.Context, sign.Verified, index.Outcome) {}
	}
	return &Ingester{cfg: cfg, quota: newQuota(), followSet: newFollowSet(cfg), received: newReceivedCounts()}
}

// Trust returns the user's trust file as it is now, or as it last could be read.
func (g *Ingester) Trust() *trust.Policy { return g.followSet.currentPolicy() }

// Evaluator returns what the user believes, as of a moment ago.
func (g *Ingester) Evaluator(ctx context.Context) (*trust.Evaluator, error) {
	f, err := g.followSet.current(ctx)
	if err != nil {
		return nil, err
	}
	return f.evaluator, nil
}

// Followed returns whom the node follows now, sorted (docs/program.md [N43]).
func (g *Ingester) Followed(ctx context.Context) ([]records.Fingerprint, error) {
	g.followSet.invalidate()
	f, err := g.followSet.current(ctx)
	if err != nil {
		return nil, err
	}
	return f.sorted, nil
}

// Follows reports whether the node follows the author, by what was known a moment ago.
// It does not ask the index.
func (g *Ingester) Follows(author records.Fingerprint) bool { return g.followSet.contains(author) }

// Received returns how many records a peer has sent that were new here, of the peers
// that sent some last.
func (g *Ingester) Received(peer string) int64 { return g.received.by(peer) }
