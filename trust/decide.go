package trust

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust/authority"
)

// A Claim says that one author released or endorsed name@version as one module.
type Claim struct {
	Author records.Fingerprint
	Module cid.Cid
	Record cid.Cid // the release or endorse record
	// Invalid says why the signature does not count under what is known of the
	// author's key, as when the key was revoked; "" when it counts.
	Invalid string
	// Endorse is the claim of an endorsement, such as "reviewed", and "" for a
	// release.
	Endorse string
	// Retracted is whether the author retracted an endorsement. A release that was
	// retracted still counts; Notices says what follows.
	Retracted bool
	// Release is what a release record with an origin says; nil for others.
	Release *records.Release
	// Failed says why the tarball of Release could not be unpacked here; nil before that
	// was tried.
	Failed *Failure

	// What follows decides nothing: it makes warnings and holds.

	Time      time.Time // as the record says; zero when not known
	FirstSeen time.Time // by this node's clock; zero when not known, and then long ago
	// Ended is when the key that signed was revoked softly or expired, by what
	// is known now; zero when it was not.
	Ended time.Time
	// Followed is whether a record of the author that is not backdated itself follows
	// the claim's in the author's log.
	Followed bool
}

// A Failure says why a registry's tarball could not be unpacked here.
type Failure struct {
	Why   string
	Wrong bool // it came, and is not what the registry signed
}

// State is the outcome of a decision.
type State int

const (
	Unknown      State = iota // nobody claims anything that counts
	Trusted                   // Decision.Module is what it is
	Untrusted                 // claimed, but not by (enough) keys that decide
	Denied                    // claimed only by keys that are denied
	Conflict                  // keys that decide name different modules
	Equivocation              // a key that decides released two modules itself
)

var states = [...]string{"unknown", "trusted", "untrusted", "denied", "conflict", "equivocation"}

func (s State) String() string { return states[s] }

// MarshalText encodes s as String does.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Decision says what name@version stands for, and why.
type Decision struct {
	Name    records.Name
	Version records.Version
	State   State
	Module  cid.Cid               // the module when Trusted, else undefined
	Record  cid.Cid               // the release record to use for Module
	Signer  records.Fingerprint   // the author of Record
	By      []records.Fingerprint // the keys that claim Module and count, sorted; when pinned, all that claim it
	Voices  int                   // how many voices By are; when pinned, 0
	Rule    Rule
	Pin     int    // the line of the pin that decided, or 0
	Reason  string // one clause in English: "2 keys that decide about * agree"
	Claims  []Verdict

	// Agree and Differ count other keys, not denied, that claim Module, and
	// that claim only other modules. Keys cost nothing: this is no proof.
	Agree, Differ int
	// Since is when what decides was here; zero when that is not known or
	// longer ago than can be told.
	Since time.Time
	// Hold says that the version is not to be used unasked.
	Hold     Hold
	Warnings []Warning
}

// An Effect is what became of one claim.
type Effect int

const (
	Counts           Effect = iota // by a key that decides
	NotListed                      // no line gives the key a scope with this name
	Overruled                      // the key has only a broader scope than those that decide
	Expired                        // the key's line is past its last day
	ByDenied                       // the key is denied
	InvalidSignature               // the signature does not count, see Claim.Invalid
	Equivocating                   // by a key that decides and released two modules
	Pinned                         // names the pinned module
	NotPinned                      // names another module than the pinned one
	Retracted                      // an endorsement that its author retracted
	Contradicting                  // by a key that decides and endorses one module and names another
	Imported                       // a release with an origin, for which its author's word is not enough
	Unchecked                      // by a registry that decides, and its tarball was not unpacked here
	Differing                      // by a registry that decides, and its tarball is not what the record says
)

var effects = [...]string{"counts", "not-listed", "overruled", "expired", "denied", "invalid", "equivocates", "pinned", "not-pinned", "retracted", "contradicts", "imported", "unchecked", "differs"}

func (e Effect) String() string { return effects[e] }

// MarshalText encodes e as String does.
func (e Effect) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// A Verdict is a claim and what became of it.
type Verdict struct {
	Claim
	Effect Effect
	Line   int // of the trust file, or 0
	// Why says more of Imported, Unchecked and Differing; it may be untrusted.
	Why string
	// Importer is, of a registry's claim, the author of the record; else zero.
	Importer records.Fingerprint
	// Project is whether Line is of the project's file.
	Project bool
	// Via is how the author comes to decide about the name; nil when it does not.
	Via []Step
}

// Decide says what name@version is, given everything that anybody claims it is.
// The order of claims does not matter, and neither do repeated ones.
func (r *Ruling) Decide(version records.Version, claims []Claim) Decision {
	d := Decision{Name: r.name, Version: version, Rule: r.Rule}
	claims = sortClaims(claims)
	if len(claims) > 0 {
		d.Claims = make([]Verdict, 0, len(claims))
	}
	for _, c := range claims {
		d.Claims = append(d.Claims, r.verdicts(c)...)
	}
	slices.SortStableFunc(d.Claims, func(a, b Verdict) int { return compareClaims(a.Claim, b.Claim) })
	if p, ok := r.evaluator.pins[nameVersion{r.name, version}]; ok {
		d.decidePinned(p)
	} else {
		r.decideByKeys(&d)
	}
	d.count()
	r.warn(&d)
	return d
}

// sortClaims returns the claims in an order of their own, each once. Of what is
// the same but for the time when it was first seen, the earliest stays.
func sortClaims(claims []Claim) []Claim {
	claims = slices.Clone(claims)
	slices.SortFunc(claims, func(a, b Claim) int {
		return cmp.Or(compareClaims(a, b), a.FirstSeen.Compare(b.FirstSeen))
	})
	return slices.CompactFunc(claims, func(a, b Claim) bool { return compareClaims(a, b) == 0 })
}

func compareClaims(a, b Claim) int {
	return cmp.Or(
		a.Author.Compare(b.Author),
		cmp.Compare(a.Record.KeyString(), b.Record.KeyString()),
		cmp.Compare(a.Module.KeyString(), b.Module.KeyString()),
		cmp.Compare(a.Invalid, b.Invalid),
		cmp.Compare(a.Endorse, b.Endorse),
		compareBool(a.Retracted, b.Retracted),
		a.Time.Compare(b.Time),
		a.Ended.Compare(b.Ended),
		compareBool(a.Followed, b.Followed),
	)
}

// verdict says what a claim counts for by itself.
func (r *Ruling) verdict(c Claim) Verdict {
	line := r.evaluator.denials[c.Author]
	switch {
	case c.Invalid != "":
		return Verdict{Claim: c, Effect: InvalidSignature}
	case c.Endorse != "" && c.Retracted:
		return Verdict{Claim: c, Effect: Retracted}
	case line != 0:
		return Verdict{Claim: c, Effect: ByDenied, Line: line}
	}
	if path := r.Path(c.Author); path != nil {
		return Verdict{Claim: c, Effect: Counts, Line: path[0].Line, Project: path[0].Project, Via: path}
	}
	for i := range r.roots {
		if root := &r.roots[i]; root.key == c.Author { // and it is over
			return Verdict{Claim: c, Effect: Expired, Line: root.line, Project: root.project}
		}
	}
	if line, project, ok := r.evaluator.broader(r.name, c.Author); ok {
		return Verdict{Claim: c, Effect: Overruled, Line: line, Project: project}
	}
	return Verdict{Claim: c, Effect: NotListed}
}

// broader finds a scope of the key that holds the name, and the line that gives it.
func (ev *Evaluator) broader(name records.Name, key records.Fingerprint) (line int, project, found bool) {
	for _, in := range []map[records.Scope][]root{ev.scopes, ev.project} {
		eachScope(name, func(s records.Scope) bool {
			for _, r := range in[s] {
				if r.key == key {
					line, project, found = r.line, r.project, true
				}
			}
			return !found
		})
		if found {
			return line, project, true
		}
	}
	return 0, false, slices.ContainsFunc(ev.own, func(r root) bool { return r.key == key })
}

func (d *Decision) decidePinned(p Pin) {
	d.Pin = p.Line
	for i := range d.Claims {
		c := &d.Claims[i]
		switch {
		case c.Effect == ByDenied || c.Effect == InvalidSignature || c.Effect == Retracted || c.Effect == Unchecked || c.Effect == Differing:
		case c.Module == p.Module:
			c.Effect, c.Line, c.Project = Pinned, p.Line, false
		default:
			c.Effect, c.Line, c.Project = NotPinned, p.Line, false
		}
	}
	if d.settle(p.Module, Pinned) {
		d.Reason = fmt.Sprintf("line %d pins this module", p.Line)
		return
	}
	d.refuse(fmt.Sprintf("line %d pins %s, which no valid release by a key that is not denied names", p.Line, p.Module))
}

// settle decides for the module if a release with the effect names it. The record
// is one by a key that decides, if there is one.
func (d *Decision) settle(module cid.Cid, effect Effect) bool {
	var use *Verdict
	var by []records.Fingerprint
	for i := range d.Claims {
		c := &d.Claims[i]
		if c.Effect != effect || c.Module != module {
			continue
		}
		if n := len(by); n == 0 || by[n-1] != c.Author {
			by = append(by, c.Author)
		}
		if c.Endorse == "" && (use == nil || use.Via == nil && c.Via != nil) {
			use = c
		}
	}
	if use == nil {
		return false
	}
	d.State, d.Module, d.Record, d.Signer, d.By = Trusted, module, use.Record, use.Author, by
	return true
}

// A candidate is a module and the keys that decide and name it.
type candidate struct {
	module   cid.Cid
	keys     []records.Fingerprint
	released bool // by one of keys
	voices   int
}

func (r *Ruling) decideByKeys(d *Decision) {
	if d.markContradictions() {
		d.State, d.Reason = Equivocation, "a key that decides here signed two different modules as this version"
		return
	}
	candidates := r.candidates(d)
	var enough []candidate
	most := 0
	for _, c := range candidates {
		c.voices = r.graph.Voices(c.keys)
		most = max(most, c.voices)
		if c.voices >= d.Rule.Threshold {
			enough = append(enough, c)
		}
	}
	switch {
	case len(enough) > 1:
		d.State, d.Reason = Conflict, "keys that decide here signed different modules as this version"
	case len(enough) == 1 && d.settle(enough[0].module, Counts):
		d.Voices = enough[0].voices
		d.Reason = r.agreement(d)
	case len(enough) == 1:
		d.refuse("keys that decide here endorsed this version, and none of them released it")
	case most > 0:
		d.refuse(fmt.Sprintf("%d keys must sign the same module here, and at most %d did", d.Rule.Threshold, most))
	case d.Rule.Scope == "":
		d.refuse("no line of the trust file speaks of this name")
	case d.importReason() != "":
		d.refuse(d.importReason())
	default:
		d.refuse(fmt.Sprintf("none of the keys that decide about %s signed this version", d.Rule.Scope))
	}
}

// candidates lists the modules that claims which count name.
func (r *Ruling) candidates(d *Decision) []candidate {
	var list []candidate
	for _, c := range d.Claims {
		if c.Effect != Counts {
			continue
		}
		i := slices.IndexFunc(list, func(l candidate) bool { return l.module == c.Module })
		if i < 0 {
			i = len(list)
			list = append(list, candidate{module: c.Module})
		}
		l := &list[i]
		l.released = l.released || c.Endorse == ""
		if len(l.keys) == 0 || l.keys[len(l.keys)-1] != c.Author {
			l.keys = append(l.keys, c.Author)
		}
	}
	return list
}

func (r *Ruling) agreement(d *Decision) string {
	registry := r.evaluator.Registry(d.By[0])
	switch n := len(d.By); {
	case d.Rule.Threshold > 1 && d.Voices < n:
		return fmt.Sprintf("%d keys that decide about %s agree as %d voices, and %d are needed", n, d.Rule.Scope, d.Voices, d.Rule.Threshold)
	case d.Rule.Threshold > 1:
		return fmt.Sprintf("%d keys that decide about %s agree, and %d are needed", n, d.Rule.Scope, d.Rule.Threshold)
	case n > 1:
		return fmt.Sprintf("%d keys that decide about %s agree", n, d.Rule.Scope)
	case registry != "" && d.By[0] == authority.UnsignedFingerprint(registry):
		return fmt.Sprintf("this home took it from %s, which decides about %s", registry, d.Rule.Scope)
	case registry != "":
		return fmt.Sprintf("%s, which decides about %s, signed its tarball", registry, d.Rule.Scope)
	}
	return fmt.Sprintf("a key that decides about %s signed it", d.Rule.Scope)
}

// markContradictions finds keys that decide and name two modules, and reports
// whether one of them released both.
func (d *Decision) markContradictions() (equivocates bool) {
	for from := 0; from < len(d.Claims); {
		to := from + 1
		for to < len(d.Claims) && d.Claims[to].Author == d.Claims[from].Author {
			to++
		}
		equivocates = markAuthor(d.Claims[from:to]) || equivocates
		from = to
	}
	return equivocates
}

// markAuthor looks at the claims of one author.
func markAuthor(claims []Verdict) (equivocates bool) {
	var released, named cid.Cid
	contradicts := false
	for _, c := range claims {
		if c.Effect != Counts {
			continue
		}
		contradicts = contradicts || named.Defined() && named != c.Module
		named = c.Module
		if c.Endorse == "" {
			equivocates = equivocates || released.Defined() && released != c.Module
			released = c.Module
		}
	}
	for i := range claims {
		switch c := &claims[i]; {
		case c.Effect != Counts:
		case equivocates:
			c.Effect = Equivocating
		case contradicts:
			c.Effect = Contradicting
		}
	}
	return equivocates
}

// refuse decides for nothing.
func (d *Decision) refuse(reason string) {
	denied, other := false, false
	for _, c := range d.Claims {
		switch c.Effect {
		case InvalidSignature, Retracted: // another node may never have stored it
		case ByDenied:
			denied = true
		default:
			other = true
		}
	}
	switch {
	case other:
		d.State, d.Reason = Untrusted, reason
	case denied:
		d.State, d.Reason = Denied, "only keys that the trust file denies signed this version"
	case len(d.Claims) > 0:
		d.State, d.Reason = Unknown, "no signature over this version counts any more"
	default:
		d.State, d.Reason = Unknown, "nobody signed this version"
	}
}

// count finds out who else says what about the module.
func (d *Decision) count() {
	if d.State != Trusted {
		return
	}
	agree, differ := map[records.Fingerprint]bool{}, map[records.Fingerprint]bool{}
	for _, c := range d.Claims {
		_, by := slices.BinarySearchFunc(d.By, c.Author, records.Fingerprint.Compare)
		switch {
		case by || c.Effect == ByDenied || c.Effect == InvalidSignature || c.Effect == Retracted || !c.Importer.IsZero():
		case c.Module == d.Module:
			agree[c.Author] = true
		default:
			differ[c.Author] = true
		}
	}
	for k := range agree {
		delete(differ, k)
	}
	d.Agree, d.Differ = len(agree), len(differ)
}
