package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// resolver answers install's questions from the index, as this user trusts it.
type resolver struct{ *work }

// Resolve implements install.Resolver.
func (r *resolver) Resolve(ctx context.Context, name records.Name, spec install.Spec) (*install.Resolution, error) {
	if r.distrust != nil {
		return nil, r.distrust
	}
	res, err := resolve.New(r.home.Index()).Resolve(ctx, name, spec.Constraint(), r.view)
	if r.news != nil && r.news.wanted(spec, err) {
		asked, failed := r.news.get(ctx, errors.As(err, new(*resolve.NotFoundError)))
		if failed == nil && asked {
			failed = r.look()
		}
		if failed != nil {
			return nil, failed
		}
		if asked {
			res, err = resolve.New(r.home.Index()).Resolve(ctx, name, spec.Constraint(), r.view)
		}
	}
	if err != nil {
		return nil, err
	}
	found := resolution(res.Release)
	for _, c := range res.Decision.Claims {
		if c.Effect == trust.Counts && c.Endorse == "" && c.Module == found.Module && c.Author != found.Signer {
			other, err := r.home.Index().Release(ctx, c.Record)
			if err != nil {
				return nil, err
			}
			found.Others = append(found.Others, resolution(other))
		}
	}
	return found, nil
}

func resolution(r index.Release) *install.Resolution {
	return &install.Resolution{Release: *r.Body, Record: r.ID, Signer: r.Author, Void: r.Invalid}
}

// When what a home was told counts as old, and how long a command waits for peers to
// tell it more.
const (
	newsFresh   = 10 * time.Minute
	newsWait    = 2 * time.Second
	missingWait = 10 * time.Second // when it cannot go on without
)

// news asks peers for records, once for a command, when what the home knows may
// be out of date.
type news struct {
	app     *app
	home    *home.Home
	network *joined

	mu    sync.Mutex
	asked bool // with as much patience as there is
	tried bool
	peers int // that answered
}

// wanted reports whether peers may know better than the index: they cannot when
// it has exactly the version that is asked for, nor whom the user believes about a
// name.
func (n *news) wanted(spec install.Spec, err error) bool {
	if err == nil {
		return spec.Kind != packagejson.Version
	}
	var untrusted *resolve.UntrustedError
	if errors.As(err, &untrusted) {
		return untrusted.Decision.Rule.Scope != ""
	}
	return errors.As(err, new(*resolve.NotFoundError))
}

// get asks for news, once in a command, and reports whether it did. That nobody
// answers is no error: it is said.
func (n *news) get(ctx context.Context, missing bool) (asked bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked || n.tried && !missing {
		return false, nil
	}
	n.tried, n.asked = true, n.asked || missing
	last, err := n.home.Synced()
	if err != nil {
		return false, err
	}
	network, err := n.network.join(ctx)
	if err != nil {
		return false, err
	}
	wait := newsWait
	if missing {
		wait = missingWait
	}
	asking, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	s, err := network.Sync(asking, api.SyncOptions{}, nil)
	n.peers = s.Peers
	switch {
	case ctx.Err() != nil:
		return true, ctx.Err()
	case err != nil && asking.Err() == nil:
		return false, err
	case s.Records > 0:
		n.app.Note("%s from %s", newRecords(s), ui.Plural(int64(s.Peers), "peer"))
	case s.Peers == 0 && s.Crowded > 0:
		n.app.Warn("%v; try again in a minute", nobodyAnswered(s))
	case s.Peers == 0 && !last.IsZero():
		n.app.Note("no peer could be asked for new records; the last time was %s", dateTime(last))
	case s.Peers == 0 && !missing:
		n.app.Note("nobody could be asked for news, and nobody was asked before")
	}
	return true, nil
}

// joined is the network, which a command joins when it first needs it: what is at
// hand needs none.
type joined struct {
	app  *app
	home *home.Home

	once    sync.Once
	network api.Network
	err     error
}

func (j *joined) join(ctx context.Context) (api.Network, error) {
	j.once.Do(func() { j.network, j.err = j.app.join(ctx, j.home) })
	if j.err != nil {
		return nil, fmt.Errorf("join the network: %w", j.err)
	}
	return j.network, nil
}

func (j *joined) close() {
	if j.network != nil {
		j.network.Close()
	}
}

// fetcher gets modules from other peers.
type fetcher struct {
	*joined
	bar *ui.Progress
}

// Fetch implements install.Fetcher.
func (f *fetcher) Fetch(ctx context.Context, name records.Name, want records.Target) error {
	network, err := f.join(ctx)
	if err != nil {
		return err
	}
	err = network.Fetch(ctx, want, func(p api.Progress) {
		f.bar.Fetched(string(name), ui.Transfer{Bytes: p.Bytes, Received: p.Received, From: p.From, Peers: p.Peers})
	})
	var unreachable *api.UnreachableError
	if errors.As(err, &unreachable) {
		return ui.Hinted(err, "es peers shows who is connected; es connect ADDR meets somebody who has it")
	}
	return err
}
