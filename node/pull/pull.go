package pull

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/swarm"
	"github.com/everythingstays/es/reconcile"
	"github.com/everythingstays/es/records"
)

// pull brings what who has and this node lacks, in as many sessions as that takes.
func (p *Puller) pull(ctx context.Context, who peer.ID, o api.SyncOptions, progress func(reconcile.Result)) (reconcile.Result, error) {
	var sum reconcile.Result
	if !p.begin(who) {
		return sum, reconcile.ErrBusy
	}
	defer p.end(who)
	scope, wide, err := p.scope(ctx, o)
	asked := map[records.Range]bool{}
	note(asked, scope)
	for err == nil && len(scope) > 0 {
		var r reconcile.Result
		r, err = p.reconcile.Pull(ctx, who, scope)
		add(&sum, r)
		if progress != nil {
			progress(r)
		}
		if err != nil || r.Items == 0 {
			break // with more that it does not give
		}
		scope = r.Left
		if !wide && len(scope) == 0 {
			scope, err = p.expandScope(ctx, o, asked)
		}
		if full := false; wide && len(scope) > 0 {
			if full, err = p.cfg.Index.StrangersFull(ctx); err == nil && full {
				scope, wide, err = p.scope(ctx, o)
			}
		}
	}
	switch {
	case errors.As(err, new(*reconcile.OffenceError)):
		p.ban(who, offenceBan)
	case err != nil && ctx.Err() == nil && sum.Items == 0 && !errors.Is(err, reconcile.ErrBusy) && p.cfg.Swarm.Rank(who) == swarm.RankOther:
		p.ban(who, silenceBan)
	}
	return sum, err
}

// expandScope returns what is pulled now that nobody was asked for: what has come may name
// delegates and successors.
func (p *Puller) expandScope(ctx context.Context, o api.SyncOptions, asked map[records.Range]bool) (reconcile.Scope, error) {
	scope, wide, err := p.scope(ctx, o)
	if err != nil || wide {
		return nil, err
	}
	return note(asked, scope), nil
}

// note returns the ranges that are not among those asked for, and adds them.
func note(asked map[records.Range]bool, scope reconcile.Scope) (fresh reconcile.Scope) {
	for _, r := range scope {
		if !asked[r] {
			asked[r] = true
			fresh = append(fresh, r)
		}
	}
	return fresh
}

func (p *Puller) ban(who peer.ID, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.banned[who] = time.Now().Add(d)
}

// scope is what this node pulls now, and whether that is wide: not only of authors
// whom it chose: who imports what a registry signed may be anybody. It changes with the trust file, and with how much is kept of
// strangers.
func (p *Puller) scope(ctx context.Context, o api.SyncOptions) (scope reconcile.Scope, wide bool, err error) {
	if len(o.Authors) > 0 {
		return reconcile.Authors(o.Authors...), false, nil
	}
	policy := p.cfg.Ingester.Trust()
	if o.All || p.cfg.Everything || len(policy.Entries()) == 0 || len(policy.Authorities()) > 0 {
		full, err := p.cfg.Index.StrangersFull(ctx)
		if err != nil {
			return nil, false, err
		}
		if !full {
			var denied []records.Fingerprint
			for _, d := range policy.Denials() {
				denied = append(denied, d.Fingerprint)
			}
			return reconcile.Everything().Without(denied...), true, nil
		}
	}
	authors, err := p.cfg.Ingester.Followed(ctx)
	return reconcile.Authors(authors...), false, err
}

func add(sum *reconcile.Result, r reconcile.Result) {
	sum.Records += r.Records
	sum.Keys += r.Keys
	sum.Refused += r.Refused
	sum.Items += r.Items
	sum.Received += r.Received
	sum.Sent += r.Sent
	sum.More = r.More
}
