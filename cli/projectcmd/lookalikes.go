package projectcmd

import (
	"context"
	"slices"
	"sync"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/records"
)

// warningResolver is a resolver that tells the user what to look at before what they asked
// for is installed.
type warningResolver struct {
	install.Resolver
	app   cli.App
	known *cli.KnownNames
	news  *cli.News

	mu      sync.Mutex
	typed   []records.Name // names that the user typed and that were not looked at
	signers map[records.Fingerprint]bool
}

// warnWhileResolving makes the session's resolver tell of look-alikes of the names that the user
// typed, and of authors whose news seem to be missing.
func warnWhileResolving(a cli.App, w *session, requests []install.Request) error {
	known, err := cli.ReadKnownNames(w.home, w.evaluator)
	if err != nil {
		return err
	}
	lock, err := w.project.Lockfile()
	if err != nil {
		return err
	}
	if lock != nil {
		for _, p := range lock.Packages {
			known.Written[p.Name] = "which this project has"
		}
	}
	c := &warningResolver{Resolver: w.sources.Resolver, app: a, known: known, news: w.news, signers: map[records.Fingerprint]bool{}}
	for _, r := range requests {
		c.typed = append(c.typed, r.Real())
	}
	w.sources.Resolver = c
	return nil
}

// Resolve implements install.Resolver.
func (c *warningResolver) Resolve(ctx context.Context, name records.Name, spec install.Spec) (*install.Resolution, error) {
	r, err := c.Resolver.Resolve(ctx, name, spec)
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.typed, name); i >= 0 {
		c.typed = slices.Delete(c.typed, i, i+1)
		if err := c.app.WarnLookalikes(ctx, c.known, name); err != nil {
			return nil, err
		}
	}
	if err != nil || r.Signer.IsZero() || c.signers[r.Signer] {
		return r, err
	}
	c.signers[r.Signer] = true
	asked, err := c.news.AskedText(c.known.Home)
	if err != nil {
		return nil, err
	}
	return r, c.app.WarnStale(ctx, c.known.Home, c.known.Evaluator, []records.Fingerprint{r.Signer}, asked)
}
