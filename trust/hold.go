package trust

import (
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
)

// BackdatedAfter is how long after the end of a key what it signed before may come.
const BackdatedAfter = 7 * 24 * time.Hour

// Hold says why a trusted version is not to be used unasked. Ranges and tags pass
// over a version that is held.
type Hold int

const (
	NotHeld   Hold = iota
	Cooldown       // known for a shorter time than min-age: use it when asked for by its number
	Backdated      // signed by keys that had ended long before it came: the user must confirm this version
)

var holds = [...]string{"", "cooldown", "backdated"}

func (h Hold) String() string { return holds[h] }

// MarshalText encodes h as String does.
func (h Hold) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// WarningKind says what a warning is about.
type WarningKind int

const (
	WarnCooldown       WarningKind = iota // the version is known since Since, and held until Until
	WarnBackdated                         // Record by Key, dated Since, was first seen long after the key's end, Until
	WarnSucceeded                         // Others succeed Key, which Line names: not followed unless Followed
	WarnEquivocated                       // Key is known to have released two modules as one version elsewhere
	WarnContradicts                       // Key decides here and endorses one module and names another
	WarnBackdatedGrant                    // Record by Key, dated Since, would let Others decide, and came long after Key's end
)

var warningKinds = [...]string{"cooldown", "backdated", "succeeded", "equivocated", "contradicts", "backdated-grant"}

func (k WarningKind) String() string { return warningKinds[k] }

// MarshalText encodes k as String does.
func (k WarningKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// A Warning is something to show beside a decision. It changes no outcome.
type Warning struct {
	Kind         WarningKind
	Key          records.Fingerprint
	Record       cid.Cid
	Others       []records.Fingerprint
	Followed     bool
	Line         int
	Project      bool // Line is of the project's file
	Since, Until time.Time
}

// Backdated reports whether the claim may have been dated back by a key that had
// ended (SPEC.md [T40]). What that key dated later does not count at all.
func (c *Claim) Backdated() bool { return !c.Followed && IsBackdated(c.Ended, c.FirstSeen) }

// IsBackdated reports whether what was first seen then came long after its key ended, if
// the key did.
func IsBackdated(ended, firstSeen time.Time) bool {
	return !ended.IsZero() && firstSeen.After(ended.Add(BackdatedAfter))
}

// warn finds what a decision is to be shown with, and whether it is to be held.
func (r *Ruling) warn(d *Decision) {
	if d.State == Trusted && d.Pin == 0 {
		r.hold(d)
	}
	for _, s := range d.Rule.Succeeded {
		d.Warnings = append(d.Warnings, Warning{Kind: WarnSucceeded, Key: s.Key, Others: s.By, Followed: s.Followed, Line: s.Line, Project: s.Project})
	}
	d.Warnings = append(d.Warnings, r.backdatedGrants()...)
	for i, c := range d.Claims {
		if i > 0 && d.Claims[i-1].Author == c.Author {
			continue
		}
		if c.Via != nil && r.factsOf(c.Author).equivocated {
			d.Warnings = append(d.Warnings, Warning{Kind: WarnEquivocated, Key: c.Author, Line: c.Line, Project: c.Project})
		}
	}
	var last records.Fingerprint
	for _, c := range d.Claims {
		if c.Effect == Contradicting && c.Author != last {
			last = c.Author
			d.Warnings = append(d.Warnings, Warning{Kind: WarnContradicts, Key: c.Author, Line: c.Line, Project: c.Project})
		}
	}
}

// backdatedGrants are warnings of what deciding keys said of others, sorted by key.
func (r *Ruling) backdatedGrants() []Warning {
	var all []Warning
	for _, key := range r.graph.Deciders() {
		for _, l := range r.factsOf(key).backdatedGrants {
			all = append(all, Warning{Kind: WarnBackdatedGrant, Key: key, Record: l.record, Others: []records.Fingerprint{l.to}, Since: l.time})
		}
	}
	slices.SortStableFunc(all, func(a, b Warning) int { return a.Key.Compare(b.Key) })
	return all
}

func (r *Ruling) hold(d *Decision) {
	ev := r.evaluator
	inTime := make([]*Claim, 0, len(d.By))
	for i := range d.Claims {
		c := &d.Claims[i]
		switch {
		case c.Effect != Counts || c.Module != d.Module:
		case c.Backdated():
			d.Warnings = append(d.Warnings, Warning{Kind: WarnBackdated, Key: c.Author, Record: c.Record, Line: c.Line, Project: c.Project, Since: c.Time, Until: c.Ended})
		default:
			inTime = append(inTime, &c.Claim)
		}
	}
	since, ok := r.since(inTime)
	if !ok {
		d.Hold = Backdated
		return
	}
	d.Since = since
	own := slices.ContainsFunc(inTime, func(c *Claim) bool {
		return c.Endorse == "" && slices.ContainsFunc(ev.own, func(own root) bool { return own.key == c.Author })
	})
	if until := since.Add(ev.minAge); ev.minAge > 0 && !since.IsZero() && ev.now.Before(until) && !own {
		d.Hold = Cooldown
		d.Warnings = append(d.Warnings, Warning{Kind: WarnCooldown, Since: since, Until: until})
	}
}

// since returns when so many of the claims had come that they suffice.
func (r *Ruling) since(claims []*Claim) (time.Time, bool) {
	slices.SortStableFunc(claims, func(a, b *Claim) int { return a.FirstSeen.Compare(b.FirstSeen) })
	var keys []records.Fingerprint
	released := false
	for i, c := range claims {
		released = released || c.Endorse == ""
		if !slices.Contains(keys, c.Author) {
			keys = append(keys, c.Author)
		}
		if i+1 < len(claims) && claims[i+1].FirstSeen.Equal(c.FirstSeen) {
			continue
		}
		if released && len(keys) >= r.Threshold && r.graph.Voices(keys) >= r.Threshold {
			return c.FirstSeen, true
		}
	}
	return time.Time{}, false
}
