package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index/lookalike"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// KnownNames is what a user knows names from, for telling look-alikes (SPEC.md
// section 3.6).
type KnownNames struct {
	Home      *home.Home
	Evaluator *trust.Evaluator
	Written   map[records.Name]string // what spells a name out: "which ... names"
}

// ReadKnownNames gathers the names that the trust file spells out.
func ReadKnownNames(h *home.Home, evaluator *trust.Evaluator) (*KnownNames, error) {
	k := &KnownNames{Home: h, Evaluator: evaluator, Written: map[records.Name]string{}}
	policy, err := h.Trust()
	if errors.As(err, new(*trust.SyntaxError)) { // whoever needs trust finds out by themselves
		policy, err = &trust.Policy{}, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range policy.Entries() {
		for _, s := range e.Scopes {
			if name, err := records.ParseName(string(s)); err == nil && !e.Expired(time.Now()) {
				k.Written[name] = fmt.Sprintf("which line %d of your trust file names", e.Line)
			}
		}
	}
	for _, t := range policy.Authorities() {
		for _, s := range t.Scopes {
			if name, err := records.ParseName(string(s)); err == nil && !t.Expired(time.Now()) {
				k.Written[name] = fmt.Sprintf("which line %d of your trust file names", t.Line)
			}
		}
	}
	return k, nil
}

// LookalikeJSON is a name that another looks like.
type LookalikeJSON struct {
	Name    records.Name          `json:"name"`
	Signers []records.Fingerprint `json:"signers,omitempty"`

	text string // why the user knows it
}

// Lookalikes returns the known names that name looks like, or none when it is known as well.
func (k *KnownNames) Lookalikes(ctx context.Context, name records.Name) ([]LookalikeJSON, error) {
	if k.Written[name] != "" {
		return nil, nil
	}
	found, err := lookalike.Find(ctx, k.Home.Index(), name, k.Evaluator)
	if err != nil {
		return nil, err
	}
	var all []LookalikeJSON
	seen := map[records.Name]bool{}
	for _, n := range found {
		who := n.Signers[0].String()
		if label := k.Evaluator.Label(n.Signers[0]); label != "" {
			who = fmt.Sprintf("%s (%s)", ui.Safe(label), n.Signers[0])
		}
		all = append(all, LookalikeJSON{n.Name, n.Signers, "which " + who + " signs"})
		seen[n.Name] = true
	}
	for _, known := range slices.Sorted(maps.Keys(k.Written)) {
		if seen[known] || !name.LooksLike(known) {
			continue
		}
		// Who has released both is no impostor.
		if same, err := k.sameAuthor(ctx, name, known); err != nil {
			return nil, err
		} else if !same {
			all = append(all, LookalikeJSON{known, nil, k.Written[known]})
		}
	}
	return all, nil
}

// sameAuthor reports whether a key that decides about the known name has released
// both.
func (k *KnownNames) sameAuthor(ctx context.Context, name, known records.Name) (bool, error) {
	ruling, err := k.Evaluator.Ruling(ctx, known)
	if err != nil {
		return false, err
	}
	for _, g := range ruling.Deciders() {
		both, err := k.Home.Index().Released(ctx, g.Key, name, known)
		if err != nil || both {
			return both, err
		}
	}
	return false, nil
}

// WarnLookalikes says which known names the names look like.
func (a App) WarnLookalikes(ctx context.Context, k *KnownNames, names ...records.Name) error {
	for _, name := range names {
		near, err := k.Lookalikes(ctx, name)
		if err != nil {
			return err
		}
		for _, n := range near {
			a.Warn("%s looks like %s, %s", name, n.Name, n.text)
		}
	}
	return nil
}

// WarnLookalikeScopes says which known names look like those that a trust line is about to
// spell out.
func (a App) WarnLookalikeScopes(ctx context.Context, h *home.Home, scopes []records.Scope) error {
	evaluator, err := h.Evaluator(time.Now())
	if err != nil {
		return err
	}
	known, err := ReadKnownNames(h, evaluator)
	if err != nil {
		return err
	}
	for _, s := range scopes {
		if name, err := records.ParseName(string(s)); err == nil {
			if err := a.WarnLookalikes(ctx, known, name); err != nil {
				return err
			}
		}
	}
	return nil
}
