package trust

import (
	"crypto/sha512"
	"fmt"
	"slices"
	"time"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust/authority"
)

// addAuthorities adds the keys of registries. What has a key or the registry in common is
// one voice ([T406]).
func (ev *Evaluator) addAuthorities(all []authority.Authority, now time.Time) {
	voices := authority.Voices(all)
	for i := range all {
		a := &all[i]
		for _, key := range a.Fingerprints() {
			ev.label(key, a.Label)
			ev.registries[key] = a.Registry
			r := root{key: key, line: a.Line, expired: a.Expired(now), authority: a, registry: voices[i]}
			for i, s := range a.Scopes {
				if !slices.Contains(a.Scopes[:i], s) {
					ev.scopes[s] = append(ev.scopes[s], r)
				}
			}
		}
	}
}

// Registry returns the registry whose key this is by the user's trust file, and "" for
// the key of an author.
func (ev *Evaluator) Registry(key records.Fingerprint) string { return ev.registries[key] }

// HasRegistries reports whether the user's trust file has any.
func (ev *Evaluator) HasRegistries() bool { return len(ev.registries) > 0 }

// HasRegistry reports whether a registry is among those that decide about the name.
func (r *Ruling) HasRegistry() bool {
	return slices.ContainsFunc(r.roots, func(root root) bool { return root.authority != nil && !root.expired })
}

// unpacked returns what this home made of a tarball, or nil. What is known is asked once.
func (ev *Evaluator) unpacked(hash [sha512.Size]byte) *authority.Unpacked {
	if ev.look == nil {
		return nil
	}
	ev.lookMu.Lock()
	defer ev.lookMu.Unlock()
	u := ev.seen[hash]
	if u == nil {
		if u = ev.look(hash); u != nil {
			ev.seen[hash] = u
		}
	}
	return u
}

// verdicts says what a claim counts for. That of an import is first of all what its author
// says, which alone counts for nothing, and then what each registry says whose line
// decides (SPEC.md [T404] and [T405]).
func (r *Ruling) verdicts(c Claim) []Verdict {
	own := r.verdict(c)
	if c.Release == nil || c.Release.Origin == nil || c.Endorse != "" {
		return []Verdict{own}
	}
	switch own.Effect {
	case InvalidSignature, ByDenied:
		return []Verdict{own}
	case Counts:
		if r.mayImport(c.Author) {
			return append(r.vouched(&own), own)
		}
	}
	own.Effect, own.Line, own.Project, own.Via = Imported, 0, false, nil
	all := r.vouched(&own)
	if c.Author.IsZero() { // what this home took itself, and nobody signed
		return all
	}
	return append(all, own)
}

// mayImport reports whether a line that decides says imports=yes of the key itself.
func (r *Ruling) mayImport(key records.Fingerprint) bool {
	return slices.ContainsFunc(r.roots, func(root root) bool {
		return root.key == key && root.imports && !root.expired
	})
}

// vouched returns what registries say of the import, and notes at own why one says nothing.
func (r *Ruling) vouched(own *Verdict) []Verdict {
	var all []Verdict
	var lines []int
	facts := authority.Facts{Denied: r.evaluator.Denied, Unpacked: r.evaluator.unpacked}
	problem := "no registry decides about the name"
	for i := range r.roots {
		root := &r.roots[i]
		if root.authority == nil || slices.Contains(lines, root.line) {
			continue
		}
		lines = append(lines, root.line)
		key, why := root.authority.Vouch(own.Release, facts)
		switch {
		case root.expired:
			problem = fmt.Sprintf("line %d is past its last day", root.line)
		case why != "":
			problem = why
		default:
			all = append(all, r.registrySays(own, key))
		}
	}
	if len(all) == 0 {
		own.Why = problem
	}
	return all
}

// registrySays is the claim of a registry whose key signed the import's tarball: it counts
// when this home made of that tarball what the record says.
func (r *Ruling) registrySays(own *Verdict, key records.Fingerprint) Verdict {
	path := r.Path(key)
	says := Verdict{Claim: own.Claim, Effect: Counts, Importer: own.Author, Via: path}
	says.Author, says.Ended, says.Followed = key, time.Time{}, false
	if path == nil { // its line is of another scope
		says.Effect = Imported
		return says
	}
	says.Line, says.Project = path[0].Line, path[0].Project
	t, _ := authority.TarballOf(own.Release)
	switch u := r.evaluator.unpacked(t.SHA512); {
	case u == nil:
		says.Effect, says.Why = Unchecked, "the tarball was not unpacked here yet"
		if own.Failed != nil {
			says.Why = own.Failed.Why
		}
	default:
		if says.Why = u.Differs(own.Release); says.Why != "" {
			says.Effect = Differing
		}
	}
	return says
}

// Unchecked returns the claims of registries that may make the version trusted once this
// home has unpacked the tarballs that they are about; none when it is trusted.
func (d *Decision) Unchecked() []Verdict {
	if d.State != Untrusted || d.Pin != 0 {
		return nil
	}
	var all []Verdict
	for _, c := range d.Claims {
		if c.Effect == Unchecked && c.Failed == nil && c.Record.Defined() {
			all = append(all, c)
		}
	}
	return all
}

// importReason says why nothing of imports made the version trusted; "" without imports.
func (d *Decision) importReason() string {
	reason := ""
	for _, c := range d.Claims {
		switch c.Effect {
		case Unchecked:
			return "a registry that decides signed this version, and " + c.Why
		case Differing:
			reason = "a registry that decides signed this version, and what claims to be made of its tarball is not: " + c.Why
		case Imported:
			if reason == "" {
				reason = "it was imported from a registry, and " + c.Why
			}
		}
	}
	return reason
}
