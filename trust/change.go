package trust

import (
	"cmp"
	"context"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
)

// ChangeKind says which edit of the user's trust file a Change is.
type ChangeKind int

const (
	ChangeAdd       ChangeKind = iota // add a "key" line for Key and Scope
	ChangeFollow                      // let Key's successors have what Line gives in Scope
	ChangeRenew                       // let Key have Scope, which Line gave until a day that is over
	ChangeAllow                       // remove the "deny" line Line of Key
	ChangeThreshold                   // need Count voices about Scope
	ChangePin                         // pin the version to Module
	ChangeUnpin                       // remove the "pin" line Line
	ChangeDeny                        // deny Key
	ChangeImports                     // believe Key about Scope also where it only imported
)

var changeKinds = [...]string{"add", "follow", "renew", "allow", "threshold", "pin", "unpin", "deny", "imports"}

func (k ChangeKind) String() string { return changeKinds[k] }

// MarshalText encodes k as String does.
func (k ChangeKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// A Change is one edit of the user's own trust file that would change a decision,
// and what the decision would be then.
type Change struct {
	Kind   ChangeKind
	Key    records.Fingerprint
	Scope  records.Scope
	Module cid.Cid
	Count  int
	Line   int // of the file as it is

	State State   // after the change
	To    cid.Cid // the module then, when State is Trusted
}

// maxTried is how many edits Changes tries: keys cost nothing, so any number of
// strangers may claim something.
const maxTried = 64

// Changes returns the single edits of the user's trust file that would change
// what name@version is, found by trying them: first those by which it would be
// trusted. Strangers beyond the first few dozen are not tried. It is for
// explaining one decision; it costs many times what Decide does. The error is one
// of Load.
func (in Inputs) Changes(ctx context.Context, name records.Name, version records.Version, claims []Claim) ([]Change, error) {
	if in.User == nil {
		in.User = &Policy{}
	}
	if in.Load != nil {
		in.Load = (&loader{load: in.Load, by: map[records.Fingerprint]*Facts{}}).get
	}
	now, err := in.decide(ctx, name, version, claims)
	if err != nil {
		return nil, err
	}
	var changes []Change
	seen := map[Change]bool{}
	for _, try := range in.edits(now) {
		if seen[try.Change] || len(seen) == maxTried {
			continue
		}
		seen[try.Change] = true
		after := in
		after.User = in.User.Clone()
		if err := try.edit(after.User); err != nil {
			continue
		}
		d, err := after.decide(ctx, name, version, claims)
		if err != nil {
			return nil, err
		}
		if d.State == now.State && d.Module == now.Module {
			continue
		}
		try.State, try.To = d.State, d.Module
		changes = append(changes, try.Change)
	}
	slices.SortStableFunc(changes, func(a, b Change) int {
		return cmp.Or(compareBool(a.State != Trusted, b.State != Trusted), cmp.Compare(a.Kind, b.Kind))
	})
	return changes, nil
}

func (in Inputs) decide(ctx context.Context, name records.Name, version records.Version, claims []Claim) (Decision, error) {
	r, err := in.Evaluator().Ruling(ctx, name)
	if err != nil {
		return Decision{}, err
	}
	return r.Decide(version, claims), nil
}

// An attempt is a change that may change something.
type attempt struct {
	Change
	edit func(*Policy) error
}

// edits lists what is worth trying for the decision: about the lines that were
// in the way first, then by claim.
func (in *Inputs) edits(d Decision) []attempt {
	var list []attempt
	if d.Pin > 0 {
		list = append(list, attempt{Change{Kind: ChangeUnpin, Line: d.Pin}, func(p *Policy) error {
			p.RemovePin(d.Name, d.Version)
			return nil
		}})
	}
	for n := range d.Rule.Threshold {
		list = append(list, threshold(n+1, d))
	}
	list = append(list, threshold(d.Rule.Threshold+1, d))
	for _, s := range d.Rule.Succeeded {
		if !s.Followed && !s.Project && s.Line > 0 {
			list = append(list, in.follow(s, d.Rule.Scope))
		}
	}
	for _, c := range d.Claims {
		list = append(list, claimEdits(d, c)...)
	}
	return list
}

func threshold(n int, d Decision) attempt {
	scope := records.Scope(d.Name)
	return attempt{Change{Kind: ChangeThreshold, Count: n, Scope: scope, Line: d.Rule.ThresholdLine}, func(p *Policy) error { return p.SetThreshold(n, scope) }}
}

func (in *Inputs) follow(s Succeeded, scope records.Scope) attempt {
	e := Entry{Fingerprint: s.Key, Scopes: []records.Scope{scope}, Follow: true}
	for _, old := range in.User.Entries() {
		if old.Line == s.Line {
			e.Depth, e.Until = old.Depth, old.Until
		}
	}
	return attempt{Change{Kind: ChangeFollow, Key: s.Key, Scope: scope, Line: s.Line}, addKey(e)}
}

func addKey(e Entry) func(*Policy) error {
	return func(p *Policy) error { _, err := p.AddKey(e); return err }
}

// claimEdits lists what would give or take its author a say.
func claimEdits(d Decision, c Verdict) []attempt {
	grant := func(kind ChangeKind, scope records.Scope, line int) attempt {
		return attempt{Change{Kind: kind, Key: c.Author, Scope: scope, Line: line}, addKey(Entry{Fingerprint: c.Author, Scopes: []records.Scope{scope}})}
	}
	pin := attempt{Change{Kind: ChangePin, Module: c.Module}, func(p *Policy) error { return p.SetPin(d.Name, d.Version, c.Module) }}
	deny := attempt{Change{Kind: ChangeDeny, Key: c.Author}, func(p *Policy) error { _, err := p.Deny(c.Author, ""); return err }}
	switch c.Effect {
	case InvalidSignature, Retracted, Unchecked, Differing:
		return nil
	case Imported:
		if !c.Importer.IsZero() {
			return nil
		}
		scope := records.Scope(d.Name)
		return []attempt{{Change{Kind: ChangeImports, Key: c.Author, Scope: scope}, addKey(Entry{Fingerprint: c.Author, Scopes: []records.Scope{scope}, Imports: true})}, pin}
	case ByDenied:
		return []attempt{{Change{Kind: ChangeAllow, Key: c.Author, Line: c.Line}, func(p *Policy) error { p.Allow(c.Author); return nil }}}
	case Expired:
		return []attempt{grant(ChangeRenew, d.Rule.Scope, c.Line), pin}
	case NotListed, Overruled:
		return []attempt{grant(ChangeAdd, records.Scope(d.Name), 0), pin}
	case Pinned:
		return []attempt{deny}
	case NotPinned:
		return []attempt{pin}
	}
	if d.State == Untrusted {
		return []attempt{pin}
	}
	return []attempt{deny, pin}
}
