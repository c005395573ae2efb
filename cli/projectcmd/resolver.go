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
	"github.com/everythingstays/es/trust"
)

// resolver answers install's questions from the index, as this user trusts it.
type resolver struct{ *session }

// Resolve implements install.Resolver.
func (r *resolver) Resolve(ctx context.Context, name records.Name, spec install.Spec) (*install.Resolution, error) {
	if r.distrust != nil {
		return nil, r.distrust
	}
	res, err := resolve.New(r.home.Index()).Resolve(ctx, name, spec.Constraint(), r.view)
	if r.news != nil && worthAsking(spec, err) {
		asked, failed := r.news.Get(ctx, errors.As(err, new(*resolve.NotFoundError)))
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

// worthAsking reports whether peers may know better than the index: they cannot when
// it has exactly the version that is asked for, nor whom the user believes about a
// name.
func worthAsking(spec install.Spec, err error) bool {
	if err == nil {
		return spec.Kind != packagejson.Version
	}
	var untrusted *resolve.UntrustedError
	if errors.As(err, &untrusted) {
		return untrusted.Decision.Rule.Scope != ""
	}
	return errors.As(err, new(*resolve.NotFoundError))
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
