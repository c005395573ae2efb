package trust

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
)

// A Claim says that one author released name@version as one module.
type Claim struct {
	Author records.Fingerprint
	Module cid.Cid
	Record cid.Cid // the release record
	// Void says why the signature does not count under what is known of the
	// author's key, as when the key was revoked; "" when it counts.
	Void string
}

// State is the outcome of a decision.
type State int

const (
	Unknown      State = iota // nobody claims anything that counts
	Trusted                   // Decision.Module is what it is
	Untrusted                 // claimed, but not by (enough) keys that decide
	Denied                    // claimed only by keys that are denied
	Conflict                  // keys that decide name different modules
	Equivocation              // a key that decides named two modules itself
)

var states = [...]string{"unknown", "trusted", "untrusted", "denied", "conflict", "equivocation"}

func (s State) String() string { return states[s] }

// MarshalText encodes s as String does.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Decision says what name@version stands for, and why.
type Decision struct {
	State  State
	Module cid.Cid               // the module when Trusted, else undefined
	Record cid.Cid               // a release of that module by By[0]: the one with the lowest CID
	By     []records.Fingerprint // the keys that claim Module and count, sorted; when pinned, all that claim it
	Rule   Rule
	Pin    int    // the line of the pin that decided, or 0
	Reason string // one clause in English: "2 keys that decide about * agree"
	Claims []Verdict
}

// An Effect is what became of one claim.
type Effect int

const (
	Counts       Effect = iota // by a key that decides
	NotListed                  // no line gives the key a scope with this name
	Overruled                  // the key has only a broader scope than those that decide
	Expired                    // the key's line is past its last day
	ByDenied                   // the key is denied
	VoidKey                    // the signature does not count, see Claim.Void
	Equivocating               // by a key that decides and says two things
	Pinned                     // names the pinned module
	NotPinned                  // names another module than the pinned one
)

var effects = [...]string{"counts", "not-listed", "overruled", "expired", "denied", "void", "equivocates", "pinned", "not-pinned"}

func (e Effect) String() string { return effects[e] }

// MarshalText encodes e as String does.
func (e Effect) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// A Verdict is a claim and what became of it.
type Verdict struct {
	Claim
	Effect Effect
	Line   int // of the trust file, or 0
}

// A Grant is a key that decides about a name.
type Grant struct {
	Key     records.Fingerprint
	Label   string
	Line    int  // 0 for the user's own key
	Expired bool // past its last day: ends the search and lets nobody in
}

// A Rule says who decides about one name.
type Rule struct {
	Scope     records.Scope // the most specific scope that holds the name; "" when there is none
	Keys      []Grant       // who has that scope, sorted by key
	Threshold int           // how many of them must agree, at least 1
	// ThresholdLine is the line that says so, or 0.
	ThresholdLine int
}

// A View is a trust file seen by one user at one moment. It is immutable and may
// be used by several goroutines.
type View struct {
	scopes     map[records.Scope][]Grant
	denied     map[records.Fingerprint]int
	labels     map[records.Fingerprint]string
	thresholds map[records.Scope]Threshold
	pins       map[pinned]Pin
}

type pinned struct {
	name    records.Name
	version records.Version
}

// NewView prepares decisions. The user's own keys have the scope "*" beside what
// the file gives them. Now matters to lines with an "until" alone.
func NewView(f *File, own []records.Fingerprint, now time.Time) *View {
	v := &View{
		scopes:     map[records.Scope][]Grant{},
		denied:     map[records.Fingerprint]int{},
		labels:     map[records.Fingerprint]string{},
		thresholds: map[records.Scope]Threshold{},
		pins:       map[pinned]Pin{},
	}
	if f == nil {
		f = &File{}
	}
	for _, key := range own {
		v.grant("*", Grant{Key: key})
	}
	for _, e := range f.Entries() {
		v.label(e.Fingerprint, e.Label)
		for _, s := range e.Scopes {
			v.grant(s, Grant{Key: e.Fingerprint, Line: e.Line, Expired: e.Expired(now)})
		}
	}
	for _, d := range f.Denials() {
		v.label(d.Fingerprint, d.Label)
		if v.denied[d.Fingerprint] == 0 {
			v.denied[d.Fingerprint] = d.Line
		}
	}
	for _, t := range f.Thresholds() {
		v.thresholds[t.Scope] = t
	}
	for _, p := range f.Pins() {
		v.pins[pinned{p.Name, p.Version}] = p
	}
	for s, gs := range v.scopes {
		for i := range gs {
			gs[i].Label = v.labels[gs[i].Key]
		}
		slices.SortFunc(gs, func(a, b Grant) int { return cmp.Compare(a.Key.String(), b.Key.String()) })
		v.scopes[s] = gs
	}
	return v
}

// grant adds g to the scope. Of several lines that give one key one scope, one
// that has not expired counts.
func (v *View) grant(s records.Scope, g Grant) {
	i := slices.IndexFunc(v.scopes[s], func(h Grant) bool { return h.Key == g.Key })
	switch {
	case i < 0:
		v.scopes[s] = append(v.scopes[s], g)
	case v.scopes[s][i].Expired && !g.Expired:
		v.scopes[s][i] = g
	}
}

func (v *View) label(key records.Fingerprint, label string) {
	if v.labels[key] == "" {
		v.labels[key] = label
	}
}

// Label returns the label that the trust file gives the key, and "" without one.
func (v *View) Label(key records.Fingerprint) string { return v.labels[key] }

// Denied reports whether the trust file denies the key.
func (v *View) Denied(key records.Fingerprint) bool { return v.denied[key] != 0 }

// Rule returns who decides about the name. Only the most specific scope of the
// trust file that holds the name is asked, whether or not its keys have said
// anything: a key with a broader scope never fills a gap.
func (v *View) Rule(name records.Name) Rule {
	r := Rule{Threshold: 1}
	eachScope(name, func(s records.Scope) bool {
		if gs := v.scopes[s]; len(gs) > 0 {
			r.Scope, r.Keys = s, gs
			return false
		}
		return true
	})
	eachScope(name, func(s records.Scope) bool {
		t, ok := v.thresholds[s]
		if ok {
			r.Threshold, r.ThresholdLine = t.Keys, t.Line
		}
		return !ok
	})
	return r
}

// eachScope yields every scope that can hold the name, the most specific first,
// until yield returns false.
func eachScope(name records.Name, yield func(records.Scope) bool) {
	if !yield(records.Scope(name)) {
		return
	}
	for i := len(name); i >= 0; i-- {
		if !yield(records.Scope(name[:i]) + "*") {
			return
		}
	}
}

// Decides reports whether the key is among those that decide about the name, and
// neither expired nor denied. Such a key's tags and notices count too.
func (v *View) Decides(key records.Fingerprint, name records.Name) bool {
	return !v.Denied(key) && v.Rule(name).grants(key)
}

func (r Rule) find(key records.Fingerprint) (Grant, bool) {
	for _, g := range r.Keys {
		if g.Key == key {
			return g, true
		}
	}
	return Grant{}, false
}

func (r Rule) grants(key records.Fingerprint) bool {
	g, ok := r.find(key)
	return ok && !g.Expired
}

// Decide says what name@version is, given everything that anybody claims it is.
// The order of claims does not matter, and neither do repeated ones.
func (v *View) Decide(name records.Name, version records.Version, claims []Claim) Decision {
	d := Decision{Rule: v.Rule(name)}
	claims = slices.Clone(claims)
	slices.SortFunc(claims, compareClaims)
	claims = slices.Compact(claims)
	for _, c := range claims {
		d.Claims = append(d.Claims, v.judge(name, d.Rule, c))
	}
	if p, ok := v.pins[pinned{name, version}]; ok {
		d.decidePinned(p)
	} else {
		d.decideByKeys()
	}
	return d
}

func compareClaims(a, b Claim) int {
	return cmp.Or(
		cmp.Compare(a.Author.String(), b.Author.String()),
		cmp.Compare(a.Record.KeyString(), b.Record.KeyString()),
		cmp.Compare(a.Module.KeyString(), b.Module.KeyString()),
		cmp.Compare(a.Void, b.Void),
	)
}

// judge says what a claim counts for by itself.
func (v *View) judge(name records.Name, r Rule, c Claim) Verdict {
	line := v.denied[c.Author]
	g, decides := r.find(c.Author)
	switch {
	case c.Void != "":
		return Verdict{c, VoidKey, 0}
	case line != 0:
		return Verdict{c, ByDenied, line}
	case decides && g.Expired:
		return Verdict{c, Expired, g.Line}
	case decides:
		return Verdict{c, Counts, g.Line}
	}
	if line, ok := v.broader(name, c.Author); ok {
		return Verdict{c, Overruled, line}
	}
	return Verdict{c, NotListed, 0}
}

// broader finds a scope of the key that holds the name, and the line that gives it.
func (v *View) broader(name records.Name, key records.Fingerprint) (line int, found bool) {
	eachScope(name, func(s records.Scope) bool {
		for _, g := range v.scopes[s] {
			if g.Key == key {
				line, found = g.Line, true
			}
		}
		return !found
	})
	return line, found
}

func (d *Decision) decidePinned(p Pin) {
	d.Pin = p.Line
	for i := range d.Claims {
		c := &d.Claims[i]
		switch {
		case c.Effect == ByDenied || c.Effect == VoidKey:
		case c.Module == p.Module:
			c.Effect, c.Line = Pinned, p.Line
		default:
			c.Effect, c.Line = NotPinned, p.Line
		}
	}
	if d.settle(p.Module, Pinned) {
		d.Reason = fmt.Sprintf("line %d pins this module", p.Line)
		return
	}
	d.refuse(fmt.Sprintf("line %d pins %s, which no valid record of a key that is not denied names", p.Line, p.Module))
}

func (d *Decision) decideByKeys() {
	d.markEquivocations()
	keys := map[cid.Cid]map[records.Fingerprint]bool{}
	equivocates := false
	for _, c := range d.Claims {
		equivocates = equivocates || c.Effect == Equivocating
		if c.Effect != Counts {
			continue
		}
		if keys[c.Module] == nil {
			keys[c.Module] = map[records.Fingerprint]bool{}
		}
		keys[c.Module][c.Author] = true
	}
	if equivocates {
		d.State, d.Reason = Equivocation, "a key that decides here signed two different modules as this version"
		return
	}
	var enough []cid.Cid
	most := 0
	for module, by := range keys {
		most = max(most, len(by))
		if len(by) >= d.Rule.Threshold {
			enough = append(enough, module)
		}
	}
	switch {
	case len(enough) > 1:
		d.State, d.Reason = Conflict, "keys that decide here signed different modules as this version"
	case len(enough) == 1:
		d.settle(enough[0], Counts)
		d.Reason = d.agreement()
	case most > 0:
		d.refuse(fmt.Sprintf("%d keys must sign the same module here, and at most %d did", d.Rule.Threshold, most))
	case len(d.Rule.Keys) == 0:
		d.refuse("no line of the trust file speaks of this name")
	default:
		d.refuse(fmt.Sprintf("none of the keys that decide about %s signed this version", d.Rule.Scope))
	}
}

func (d *Decision) agreement() string {
	switch n := len(d.By); {
	case d.Rule.Threshold > 1:
		return fmt.Sprintf("%d keys that decide about %s agree, and %d are needed", n, d.Rule.Scope, d.Rule.Threshold)
	case n > 1:
		return fmt.Sprintf("%d keys that decide about %s agree", n, d.Rule.Scope)
	}
	return fmt.Sprintf("a key that decides about %s signed it", d.Rule.Scope)
}

// markEquivocations finds keys that decide and that claim two modules.
func (d *Decision) markEquivocations() {
	first := map[records.Fingerprint]cid.Cid{}
	twice := map[records.Fingerprint]bool{}
	for _, c := range d.Claims {
		if c.Effect != Counts {
			continue
		}
		if m, ok := first[c.Author]; ok && m != c.Module {
			twice[c.Author] = true
		}
		first[c.Author] = c.Module
	}
	for i := range d.Claims {
		if c := &d.Claims[i]; c.Effect == Counts && twice[c.Author] {
			c.Effect = Equivocating
		}
	}
}

// settle decides for the module if a claim with the effect names it.
func (d *Decision) settle(module cid.Cid, effect Effect) bool {
	for _, c := range d.Claims {
		if c.Effect != effect || c.Module != module {
			continue
		}
		if len(d.By) == 0 {
			d.State, d.Module, d.Record = Trusted, module, c.Record
		}
		if n := len(d.By); n == 0 || d.By[n-1] != c.Author {
			d.By = append(d.By, c.Author)
		}
	}
	return len(d.By) > 0
}

// refuse decides for nothing.
func (d *Decision) refuse(reason string) {
	denied, other := false, false
	for _, c := range d.Claims {
		switch c.Effect {
		case VoidKey: // another node may never have stored it
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
