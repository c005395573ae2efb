package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index/search"
	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// acquaintance is what a user knows names from, for telling look-alikes (SPEC.md
// section 3.6).
type acquaintance struct {
	home    *home.Home
	view    *trust.View
	written map[records.Name]string // what spells a name out: "which ... names"
}

// acquainted gathers the names that the trust files spell out, and those of the
// project, if there is one.
func acquainted(h *home.Home, view *trust.View, p *install.Project) (*acquaintance, error) {
	k := &acquaintance{home: h, view: view, written: map[records.Name]string{}}
	file, err := h.Trust()
	if errors.As(err, new(*trust.SyntaxError)) { // whoever needs trust finds out by themselves
		file, err = &trust.File{}, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range file.Entries() {
		for _, s := range e.Scopes {
			if name, err := records.ParseName(string(s)); err == nil && !e.Expired(time.Now()) {
				k.written[name] = fmt.Sprintf("which line %d of your trust file names", e.Line)
			}
		}
	}
	if p == nil {
		return k, nil
	}
	lock, err := p.Lockfile()
	if err != nil {
		return nil, err
	}
	if lock != nil {
		for _, p := range lock.Packages {
			k.written[p.Name] = "which this project has"
		}
	}
	return k, nil
}

// nearJSON is a name that another looks like.
type nearJSON struct {
	Name    records.Name          `json:"name"`
	Signers []records.Fingerprint `json:"signers,omitempty"`

	text string // why the user knows it
}

// near returns the known names that name looks like, or none when it is known as well.
func (k *acquaintance) near(ctx context.Context, name records.Name) ([]nearJSON, error) {
	if k.written[name] != "" {
		return nil, nil
	}
	found, err := search.New(k.home.Index()).Lookalikes(ctx, name, k.view)
	if err != nil {
		return nil, err
	}
	var all []nearJSON
	seen := map[records.Name]bool{}
	for _, n := range found {
		who := n.Signers[0].String()
		if label := k.view.Label(n.Signers[0]); label != "" {
			who = fmt.Sprintf("%s (%s)", ui.Safe(label), n.Signers[0])
		}
		all = append(all, nearJSON{n.Name, n.Signers, "which " + who + " signs"})
		seen[n.Name] = true
	}
	for _, known := range slices.Sorted(maps.Keys(k.written)) {
		if seen[known] || !name.LooksLike(known) {
			continue
		}
		// Who has released both is no impostor.
		if same, err := k.sameAuthor(ctx, name, known); err != nil {
			return nil, err
		} else if !same {
			all = append(all, nearJSON{known, nil, k.written[known]})
		}
	}
	return all, nil
}

// sameAuthor reports whether a key that decides about the known name has released
// both.
func (k *acquaintance) sameAuthor(ctx context.Context, name, known records.Name) (bool, error) {
	ruling, err := k.view.Ruling(ctx, known)
	if err != nil {
		return false, err
	}
	for _, g := range ruling.Deciders() {
		both, err := k.home.Index().Released(ctx, g.Key, name, known)
		if err != nil || both {
			return both, err
		}
	}
	return false, nil
}

// warnNear says which known names the names look like.
func (a *app) warnNear(ctx context.Context, k *acquaintance, names ...records.Name) error {
	for _, name := range names {
		near, err := k.near(ctx, name)
		if err != nil {
			return err
		}
		for _, n := range near {
			a.Warn("%s looks like %s, %s", name, n.Name, n.text)
		}
	}
	return nil
}

// warnNearScopes says which known names look like those that a trust line is about to
// spell out.
func (a *app) warnNearScopes(ctx context.Context, h *home.Home, scopes []records.Scope) error {
	view, err := h.View(time.Now())
	if err != nil {
		return err
	}
	known, err := acquainted(h, view, nil)
	if err != nil {
		return err
	}
	for _, s := range scopes {
		if name, err := records.ParseName(string(s)); err == nil {
			if err := a.warnNear(ctx, known, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// careful is a resolver that tells the user what to look at before what they asked
// for is installed.
type careful struct {
	install.Resolver
	app   *app
	known *acquaintance
	news  *news

	mu      sync.Mutex
	typed   []records.Name // names that the user typed and that were not looked at
	signers map[records.Fingerprint]bool
}

// careful makes the work's resolver tell of look-alikes of the names that the user
// typed, and of authors whose news seem to be missing.
func (a *app) careful(w *work, requests []install.Request) error {
	known, err := acquainted(w.home, w.view, w.project)
	if err != nil {
		return err
	}
	c := &careful{Resolver: w.sources.Resolver, app: a, known: known, news: w.news, signers: map[records.Fingerprint]bool{}}
	for _, r := range requests {
		c.typed = append(c.typed, r.Real())
	}
	w.sources.Resolver = c
	return nil
}

// Resolve implements install.Resolver.
func (c *careful) Resolve(ctx context.Context, name records.Name, spec install.Spec) (*install.Resolution, error) {
	r, err := c.Resolver.Resolve(ctx, name, spec)
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.typed, name); i >= 0 {
		c.typed = slices.Delete(c.typed, i, i+1)
		if err := c.app.warnNear(ctx, c.known, name); err != nil {
			return nil, err
		}
	}
	if err != nil || r.Signer.IsZero() || c.signers[r.Signer] {
		return r, err
	}
	c.signers[r.Signer] = true
	asked, err := c.news.askedText(c.known.home)
	if err != nil {
		return nil, err
	}
	return r, c.app.warnStale(ctx, c.known.home, c.known.view, []records.Fingerprint{r.Signer}, asked)
}
