package projectcmd

import (
	"context"
	"errors"

	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/records"
)

// resolver answers install's questions from the index, as this user trusts it.
type resolver struct{ *session }

// Resolve implements install.Resolver.
func (r *resolver) Resolve(ctx context.Context, name records.Name, spec install.Spec) (*install.Resolution, error) {
	if r.distrust != nil {
		return nil, r.distrust
	}
	from := resolve.New(r.home.Index())
	res, err := r.checked(ctx, from, name, spec.Constraint())
	if r.news != nil && resolve.PeersMayKnow(spec.Kind == packagejson.Version, err) {
		asked, failed := r.news.Get(ctx, errors.As(err, new(*resolve.NotFoundError)))
		if failed == nil && asked {
			failed = r.look()
		}
		if failed != nil {
			return nil, failed
		}
		if asked {
			res, err = r.checked(ctx, from, name, spec.Constraint())
		}
	}
	if err != nil {
		return nil, err
	}
	found := resolution(res.Release)
	found.Signer = res.Decision.Signer
	others, err := from.Cosigned(ctx, res)
	if err != nil {
		return nil, err
	}
	for _, other := range others {
		also := resolution(other.Release)
		also.Signer = other.Signer
		found.Others = append(found.Others, also)
	}
	return found, nil
}

// checked resolves, and unpacks first what a registry signed and was not looked at here.
func (r *resolver) checked(ctx context.Context, from *resolve.Resolver, name records.Name, constraint string) (resolve.Resolution, error) {
	for {
		from.Failed = r.tarballs.failures()
		res, err := from.Resolve(ctx, name, constraint, r.evaluator)
		var unchecked *resolve.UncheckedError
		if !errors.As(err, &unchecked) {
			return res, err
		}
		if err := r.tarballs.check(ctx, unchecked); err != nil {
			return res, err
		}
	}
}

func resolution(r index.Release) *install.Resolution {
	return &install.Resolution{Release: *r.Body, Record: r.ID, Signer: r.Author, Invalid: r.Invalid}
}

// fetcher gets modules from other peers.
type fetcher struct {
	join func(context.Context) (api.Network, error)
	bar  *ui.Progress
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
