package trust

import (
	"cmp"
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
	people
	now        time.Time
	scopes     map[records.Scope][]root // of the user's file
	project    map[records.Scope][]root
	own        []root
	thresholds map[records.Scope]Threshold
	pins       map[pinned]Pin
	minAge     time.Duration

	last atomic.Pointer[ruled] // the ruling about the name that was asked about last
}

type pinned struct {
	name    records.Name
	version records.Version
}

type ruled struct {
	name records.Name
	*ruling
}

// A root is a "key" line in one of its scopes, or an own key.
type root struct {
	key     int32
	voice   int32 // -1 for all keys of a project's file
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
	f := b.File
	if f == nil {
		f = &File{}
	}
	entries, denials := f.Entries(), f.Denials()
	var project []Entry
	if b.Project != nil {
		project = b.Project.Entries()
	}
	v := &View{
		people:     b.people([][]Entry{entries, project}, denials),
		now:        b.Now,
		scopes:     make(map[records.Scope][]root, len(entries)),
		project:    make(map[records.Scope][]root, len(project)),
		thresholds: map[records.Scope]Threshold{},
		pins:       map[pinned]Pin{},
	}
	for _, e := range entries {
		v.label(e.Fingerprint, e.Label)
	}
	for _, d := range denials {
		v.label(d.Fingerprint, d.Label)
		if p := &v.list[v.ids[d.Fingerprint]]; p.denied == 0 {
			p.denied = d.Line
		}
	}
	v.learn(&b.Facts, b.Now)
	for i := range entries {
		v.addRoots(v.scopes, &entries[i], false)
	}
	for i := range project {
		v.addRoots(v.project, &project[i], true)
	}
	for i, key := range b.Own {
		if id := v.ids[key]; !slices.Contains(b.Own[:i], key) {
			v.own = append(v.own, root{key: id, voice: v.list[id].voice})
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

func (v *View) addRoots(to map[records.Scope][]root, e *Entry, project bool) {
	id := v.ids[e.Fingerprint]
	r := root{key: id, voice: -1, line: e.Line, project: project, depth: e.Depth, follow: e.Follow, expired: e.Expired(v.now)}
	if !project {
		r.voice = v.list[id].voice
	}
	for i, s := range e.Scopes {
		if !slices.Contains(e.Scopes[:i], s) {
			to[s] = append(to[s], r)
		}
	}
}

func (v *View) label(key records.Fingerprint, label string) {
	if p := &v.list[v.ids[key]]; p.label == "" {
		p.label = label
	}
}

// Label returns the label that the user's trust file gives the key, and ""
// without one.
func (v *View) Label(key records.Fingerprint) string {
	if id := v.id(key); id >= 0 {
		return v.list[id].label
	}
	return ""
}

// Denied reports whether the trust file denies the key.
func (v *View) Denied(key records.Fingerprint) bool { return v.denied(v.id(key)) != 0 }

// denied returns the line that denies somebody, or 0.
func (v *View) denied(id int32) int {
	if id < 0 {
		return 0
	}
	return v.list[id].denied
}

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
}

// A Rule says who decides about one name. It must not be changed.
type Rule struct {
	Scope     records.Scope // the most specific written scope that holds the name; "" when there is none
	Project   bool          // Scope is one of the project's file
	Keys      []Grant       // the keys that lines give the scope, and own keys, sorted; see Deciders for all that decide
	Threshold int           // how many voices must agree, at least 1
	// ThresholdLine is the line that says so, or 0.
	ThresholdLine int
	// Succeeded are the keys of these lines that others succeed.
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
func (v *View) Rule(name records.Name) Rule { return v.rule(name).Rule }

func (v *View) rule(name records.Name) *ruling {
	// Decisions come in runs about the versions of one name.
	if last := v.last.Load(); last != nil && last.name == name {
		return last.ruling
	}
	r := &ruling{Rule: Rule{Threshold: 1}}
	v.findRoots(r, name)
	v.grow(r, name)
	r.Keys = v.rootGrants(r)
	r.Succeeded = v.succeeded(r.roots)
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

// findRoots finds the lines that decide. Of what is in force the first line comes
// first, but own keys need none.
func (v *View) findRoots(r *ruling, name records.Name) {
	find := func(in map[records.Scope][]root) {
		eachScope(name, func(s records.Scope) bool {
			if r.roots = in[s]; len(r.roots) > 0 {
				r.Scope = s
			}
			return len(r.roots) == 0
		})
	}
	find(v.scopes)
	if len(r.roots) == 0 {
		find(v.project)
		r.Project = len(r.roots) > 0
		if !r.Project && len(v.own) > 0 {
			r.Scope = "*"
		}
	}
	if r.Project || r.Scope == "*" {
		r.roots = slices.Concat(v.own, r.roots)
	}
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
	id := v.id(key)
	return v.denied(id) == 0 && v.rule(name).decides(id)
}

// Deciders returns all keys that decide about the name and are not denied, sorted.
func (v *View) Deciders(name records.Name) []Grant {
	r := v.rule(name)
	var all []Grant
	for id := range int32(len(v.list)) {
		if v.list[id].denied != 0 || !r.decides(id) {
			continue
		}
		way := v.way(r, id)
		all = append(all, Grant{Key: v.list[id].key, Label: v.list[id].label, Line: way[0].Line, Project: way[0].Project, Via: way})
	}
	return all
}

// rootGrants lists the keys of the roots. Of several lines one that is not over
// counts.
func (v *View) rootGrants(r *ruling) []Grant {
	order := make([]int, len(r.roots))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &r.roots[i], &r.roots[j]
		return cmp.Or(int(a.key-b.key), compareBool(a.expired, b.expired), i-j)
	})
	var grants []Grant
	for n, i := range order {
		a := &r.roots[i]
		if n > 0 && r.roots[order[n-1]].key == a.key {
			continue
		}
		p := &v.list[a.key]
		step := Step{Kind: ByLine, Key: p.key, Line: a.line, Project: a.project}
		if a.line == 0 {
			step.Kind = ByOwn
		}
		grants = append(grants, Grant{Key: p.key, Label: p.label, Line: a.line, Project: a.project, Expired: a.expired, Via: []Step{step}})
	}
	return grants
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func (v *View) succeeded(roots []root) []Succeeded {
	var all []Succeeded
	for i := range roots {
		r := &roots[i]
		p := &v.list[r.key]
		if len(p.successors) == 0 || p.denied != 0 {
			continue
		}
		s := Succeeded{Key: p.key, Line: r.line, Project: r.project, Followed: r.follow && len(p.successors) == 1}
		for _, next := range p.successors {
			s.By = append(s.By, v.list[next.to].key)
		}
		all = append(all, s)
	}
	return all
}
