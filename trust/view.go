package trust

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
)

// A Basis is what a user believes and knows: all that decisions depend on
// besides the claims themselves. The zero value trusts nobody.
type Basis struct {
	File    *File // the user's own trust file, or nil
	Project *File // what ParseProject or LoadProject returned, or nil
	Own     []records.Fingerprint
	Now     time.Time
	Facts   Facts
}

// A View is a basis, prepared for decisions. It is immutable and may be used by
// several goroutines.
type View struct {
	known
	now        time.Time
	scopes     map[records.Scope][]root // of the user's file
	project    map[records.Scope][]root
	own        []root
	denied     map[records.Fingerprint]int
	labels     map[records.Fingerprint]string
	thresholds map[records.Scope]Threshold
	pins       map[pinned]Pin
	minAge     time.Duration

	last atomic.Pointer[ruled] // the rule of the name that was asked about last
}

type pinned struct {
	name    records.Name
	version records.Version
}

type ruled struct {
	name records.Name
	rule *Rule
}

// A root is a "key" line in one of its scopes, or an own key.
type root struct {
	key     records.Fingerprint
	voice   records.Fingerprint // zero for all keys of a project's file
	label   string
	line    int
	project bool
	depth   int
	follow  bool
	expired bool
}

// NewView prepares decisions without a project's file and without facts. The
// user's own keys have the scope "*" beside what the file gives them. Now
// matters to lines with an "until" and to "min-age".
func NewView(f *File, own []records.Fingerprint, now time.Time) *View {
	return Basis{File: f, Own: own, Now: now}.View()
}

// View prepares decisions. Its cost grows with the lines and facts.
func (b Basis) View() *View {
	v := &View{
		now:        b.Now,
		scopes:     map[records.Scope][]root{},
		project:    map[records.Scope][]root{},
		denied:     map[records.Fingerprint]int{},
		labels:     map[records.Fingerprint]string{},
		thresholds: map[records.Scope]Threshold{},
		pins:       map[pinned]Pin{},
	}
	f := b.File
	if f == nil {
		f = &File{}
	}
	denials := f.Denials()
	for _, d := range denials {
		if v.denied[d.Fingerprint] == 0 {
			v.denied[d.Fingerprint] = d.Line
		}
	}
	v.learn(b.Facts)
	for _, e := range f.Entries() {
		v.label(e.Fingerprint, e.Label)
		v.addRoots(v.scopes, e, false)
	}
	for _, d := range denials {
		v.label(d.Fingerprint, d.Label)
	}
	if b.Project != nil {
		for _, e := range b.Project.Entries() {
			v.addRoots(v.project, e, true)
		}
	}
	for i, key := range b.Own {
		if !slices.Contains(b.Own[:i], key) {
			v.own = append(v.own, root{key: key, voice: v.voice(key)})
		}
	}
	for _, t := range f.Thresholds() {
		v.thresholds[t.Scope] = t
	}
	for _, p := range f.Pins() {
		v.pins[pinned{p.Name, p.Version}] = p
	}
	if a, ok := f.MinAge(); ok {
		v.minAge = a.Age
	}
	return v
}

func (v *View) addRoots(to map[records.Scope][]root, e Entry, project bool) {
	r := root{key: e.Fingerprint, label: e.Label, line: e.Line, project: project, depth: e.Depth, follow: e.Follow, expired: e.Expired(v.now)}
	if !project {
		r.voice = v.voice(e.Fingerprint)
	}
	for i, s := range e.Scopes {
		if !slices.Contains(e.Scopes[:i], s) {
			to[s] = append(to[s], r)
		}
	}
}

func (v *View) label(key records.Fingerprint, label string) {
	if v.labels[key] == "" {
		v.labels[key] = label
	}
}

// Label returns the label that the user's trust file gives the key, and ""
// without one.
func (v *View) Label(key records.Fingerprint) string { return v.labels[key] }

// Denied reports whether the trust file denies the key.
func (v *View) Denied(key records.Fingerprint) bool { return v.denied[key] != 0 }

// A StepKind says how one key comes to speak for another.
type StepKind int

const (
	ByLine       StepKind = iota // a line of a trust file gives it a scope
	ByOwn                        // it is the user's own
	BySuccession                 // it succeeds the key before it
	ByDelegation                 // the key before it delegated to it
)

var stepKinds = [...]string{"line", "own", "succession", "delegation"}

func (k StepKind) String() string { return stepKinds[k] }

// MarshalText encodes k as String does.
func (k StepKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// A Step is one step on the way from a trust file to a key that decides.
type Step struct {
	Kind    StepKind
	Key     records.Fingerprint // who may speak after this step
	Line    int                 // of the file, for ByLine
	Project bool                // the line is of the project's file
	// Records are the delegation, or both halves of the succession.
	Records []cid.Cid
}

// A Grant is a key that decides about a name.
type Grant struct {
	Key     records.Fingerprint
	Label   string
	Line    int  // where Via begins; 0 for the user's own key
	Project bool // Line is of the project's file
	Expired bool // past its last day: ends the search and lets nobody in
	// Via is how the key comes to decide: a line first, then successions and
	// delegations. Of several ways it is the shortest, by the first line.
	Via []Step

	roots []records.Fingerprint // the voices of the roots that it decides by
}

// A Rule says who decides about one name. It must not be changed.
type Rule struct {
	Scope     records.Scope // the most specific written scope that holds the name; "" when there is none
	Project   bool          // Scope is one of the project's file
	Keys      []Grant       // who decides, sorted by key
	Threshold int           // how many voices must agree, at least 1
	// ThresholdLine is the line that says so, or 0.
	ThresholdLine int
	// Succeeded are the keys of the lines that decide which others succeed.
	Succeeded []Succeeded
}

// Succeeded says that another key succeeds one that a line names.
type Succeeded struct {
	Key     records.Fingerprint
	Line    int
	Project bool
	By      []records.Fingerprint // more than one: nobody can tell which, and none is followed
	// Followed is whether the line lets By have what it gives.
	Followed bool
}

// Rule returns who decides about the name. Only the most specific scope of the
// trust file that holds the name is asked, whether or not its keys have said
// anything: a key with a broader scope never fills a gap.
func (v *View) Rule(name records.Name) Rule { return *v.rule(name) }

func (v *View) rule(name records.Name) *Rule {
	// Decisions come in runs about the versions of one name.
	if last := v.last.Load(); last != nil && last.name == name {
		return last.rule
	}
	r := &Rule{Threshold: 1}
	roots := v.roots(name, r)
	r.Keys = v.grants(name, roots)
	r.Succeeded = v.succeeded(roots)
	eachScope(name, func(s records.Scope) bool {
		t, ok := v.thresholds[s]
		if ok {
			r.Threshold, r.ThresholdLine = t.Keys, t.Line
		}
		return !ok
	})
	v.last.Store(&ruled{name, r})
	return r
}

// roots finds the lines that decide, and says in r which scope that is.
func (v *View) roots(name records.Name, r *Rule) []root {
	var roots []root
	find := func(in map[records.Scope][]root) {
		eachScope(name, func(s records.Scope) bool {
			if roots = in[s]; len(roots) > 0 {
				r.Scope = s
			}
			return len(roots) == 0
		})
	}
	find(v.scopes)
	if len(roots) == 0 {
		if find(v.project); len(roots) > 0 {
			r.Project = true
			return slices.Concat(roots, v.own)
		}
		if len(v.own) > 0 {
			r.Scope = "*"
		}
	}
	if r.Scope == "*" {
		return slices.Concat(roots, v.own)
	}
	return roots
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
	return !v.Denied(key) && v.rule(name).grants(key)
}

func (r *Rule) find(key records.Fingerprint) (Grant, bool) {
	i, ok := slices.BinarySearchFunc(r.Keys, key, func(g Grant, k records.Fingerprint) int { return compareKeys(g.Key, k) })
	if !ok {
		return Grant{}, false
	}
	return r.Keys[i], true
}

func (r *Rule) grants(key records.Fingerprint) bool {
	g, ok := r.find(key)
	return ok && !g.Expired
}

func (v *View) succeeded(roots []root) []Succeeded {
	var all []Succeeded
	for _, r := range roots {
		next := v.successors[r.key]
		if len(next) == 0 || v.denied[r.key] != 0 {
			continue
		}
		s := Succeeded{Key: r.key, Line: r.line, Project: r.project, Followed: r.follow && len(next) == 1}
		for _, n := range next {
			s.By = append(s.By, n.key)
		}
		all = append(all, s)
	}
	return all
}
