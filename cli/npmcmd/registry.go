package npmcmd

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/npm/registry"
	"github.com/everythingstays/es/npm/upstream"
)

// registries are where packages come from: what npm is configured for in a project, or
// the one that a flag names.
type registries struct {
	*upstream.Registries
	client *registry.Client
	full   bool // packuments are asked for with the times of versions
}

// openRegistries reads npm's configuration for a directory.
func openRegistries(a cli.App, dir, named string) (*registries, error) {
	from, err := upstream.Open(upstream.Options{Dir: dir, Named: named, Environ: os.Environ(), Getenv: a.Getenv, Agent: "es/" + cli.Version})
	if err != nil {
		return nil, err
	}
	warnOfRegistries(a, from)
	return &registries{Registries: from, client: from.Client()}, nil
}

// warnOfRegistries tells what of npm's configuration is not as its user may think.
func warnOfRegistries(a cli.App, from *upstream.Registries) {
	for _, i := range from.Ignored() {
		a.Warn("%q of the project's .npmrc is not taken: %s", i.Key, i.Why)
	}
	if from.Insecure() {
		a.Warn("strict-ssl is false: the registry's certificate is not checked")
	}
}

// base is the URL of the registry that a package comes from, with a slash at its end.
func (r *registries) base(ctx context.Context, name string) (string, error) {
	base, err := r.Base(ctx, name)
	if errors.Is(err, upstream.ErrNone) {
		return "", ui.Hinted(err, "say it with --registry URL, or to npm: npm config set registry URL")
	}
	return base, err
}

// Packument asks the registry of a package.
func (r *registries) Packument(ctx context.Context, name string) (*registry.Packument, error) {
	base, err := r.base(ctx, name)
	if err != nil {
		return nil, err
	}
	return r.client.Packument(ctx, base, name, registry.Form(r.full), registry.Validators{})
}

// hosts are those of the registries that packages came from, for people.
func (r *registries) hosts(ctx context.Context, names []string) string {
	var hosts []string
	for _, name := range names {
		base, err := r.base(ctx, name)
		if err != nil {
			continue
		}
		_, host, _ := strings.Cut(strings.TrimSuffix(base, "/"), "://")
		hosts = append(hosts, host)
	}
	slices.Sort(hosts)
	return strings.Join(slices.Compact(hosts), ", ")
}
