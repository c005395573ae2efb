package trust

import (
	"cmp"
	"context"
	"crypto/sha512"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust/authority"
	"github.com/everythingstays/es/trust/internal/delegation"
)

// Inputs are what a user believes and knows: all that decisions depend on
// besides the claims themselves. The zero value trusts nobody.
type Inputs struct {
	User    *Policy // the user's own trust file, or nil
	Project *Policy // what ParseProject or LoadProject returned, or nil
	Own     []records.Fingerprint
	Now     time.Time
	// Facts are all that is known, unless Load finds it.
	Facts Facts
	// Load returns all facts that the authors state, and whether an
	// equivocation of them is known; those of others change nothing. It is
	// asked a few times for a ruling, about the keys that matter to it.
	Load func(ctx context.Context, authors []records.Fingerprint) (Facts, error)
	// Unpacked returns what this home made of the tarball with a SHA-512, or nil. Without
	// it no import is checked.
	Unpacked func(sha512 [sha512.Size]byte) *authority.Unpacked
}

// An Evaluator is inputs, prepared for decisions. What was loaded for one ruling
// serves the next, so an Evaluator is for what is decided at about one moment. It may
// be used by several goroutines.
type Evaluator struct {
	now        time.Time
	scopes     map[records.Scope][]root // of the user's file
	project    map[records.Scope][]root
	own        []root
	denials    map[records.Fingerprint]int // the first line that says so
	labels     map[records.Fingerprint]string
	registries map[records.Fingerprint]string // of registries' keys
	thresholds map[records.Scope]Threshold
	pins       map[nameVersion]Pin
	minAge     time.Duration
	load       func(context.Context, []records.Fingerprint) (Facts, error)

	look   func([sha512.Size]byte) *authority.Unpacked
	lookMu sync.Mutex
	seen   map[[sha512.Size]byte]*authority.Unpacked // by look

	mu    sync.Mutex // held while a ruling is made
	known map[records.Fingerprint]*keyFacts
	keys  map[fileScope][]Grant // Rule.Keys
	last  *Ruling               // decisions come in runs about one name
}

// written is a scope as one of the files has it.
type fileScope struct {
	scope   records.Scope
	project bool
}

type nameVersion struct {
	name    records.Name
	version records.Version
}

// A root is a "key" line in one of its scopes, or an own key.
type root struct {
	key     records.Fingerprint
	line    int
	project bool
	depth   int
	follow  bool
	imports bool
	expired bool
	// Of a registry's key: the line, and the number that all keys share which are one
	// voice with this one; else nil and 0.
	authority *authority.Authority
	registry  int
}

// NewView prepares decisions without a project's file and without facts. The
// user's own keys have the scope "*" beside what the file gives them. Now
// matters to lines with an "until" and to "min-age".
func NewEvaluator(p *Policy, own []records.Fingerprint, now time.Time) *Evaluator {
	return Inputs{User: p, Own: own, Now: now}.Evaluator()
}

// Evaluator prepares decisions. Its cost grows with the lines and with Facts; it loads
// nothing.
func (in Inputs) Evaluator() *Evaluator {
	policy := in.User
	if policy == nil {
		policy = &Policy{}
	}
	entries := policy.Entries()
	ev := &Evaluator{
		now:        in.Now,
		scopes:     make(map[records.Scope][]root, len(entries)),
		project:    map[records.Scope][]root{},
		denials:    map[records.Fingerprint]int{},
		labels:     map[records.Fingerprint]string{},
		registries: map[records.Fingerprint]string{},
		thresholds: map[records.Scope]Threshold{},
		pins:       map[nameVersion]Pin{},
		load:       in.Load,
		look:       in.Unpacked,
		seen:       map[[sha512.Size]byte]*authority.Unpacked{},
		known:      map[records.Fingerprint]*keyFacts{},
		keys:       map[fileScope][]Grant{},
	}
	for i := range entries {
		ev.label(entries[i].Fingerprint, entries[i].Label)
		addRoots(ev.scopes, &entries[i], root{expired: entries[i].Expired(in.Now)})
	}
	ev.addAuthorities(policy.Authorities(), in.Now)
	for _, d := range policy.Denials() {
		ev.label(d.Fingerprint, d.Label)
		if ev.denials[d.Fingerprint] == 0 {
			ev.denials[d.Fingerprint] = d.Line
		}
	}
	if in.Project != nil {
		for _, e := range in.Project.Entries() {
			addRoots(ev.project, &e, root{expired: e.Expired(in.Now), project: true})
		}
	}
	for i, key := range in.Own {
		if !slices.Contains(in.Own[:i], key) {
			ev.own = append(ev.own, root{key: key})
		}
	}
	for _, t := range policy.Thresholds() {
		ev.thresholds[t.Scope] = t
	}
	for _, p := range policy.Pins() {
		ev.pins[nameVersion{p.Name, p.Version}] = p
	}
	if a, ok := policy.MinAge(); ok {
		ev.minAge = a.Age
	}
	if in.Load == nil {
		for key, facts := range in.Facts.byAuthor() { // all denials are read by now
			ev.known[key] = ev.keyFacts(key, facts)
		}
	}
	return ev
}

func addRoots(to map[records.Scope][]root, e *Entry, r root) {
	r.key, r.line, r.depth, r.follow, r.imports = e.Fingerprint, e.Line, e.Depth, e.Follow, e.Imports
	for i, s := range e.Scopes {
		if !slices.Contains(e.Scopes[:i], s) {
			to[s] = append(to[s], r)
		}
	}
}

func (ev *Evaluator) label(key records.Fingerprint, label string) {
	if label != "" && ev.labels[key] == "" {
		ev.labels[key] = label
	}
}

// find loads the facts by some authors.
func (ev *Evaluator) loadFacts(ctx context.Context, authors []records.Fingerprint) error {
	facts, err := ev.load(ctx, authors)
	if err != nil {
		return err
	}
	by := facts.byAuthor()
	for _, key := range authors {
		if ev.known[key] = noFacts; by[key] != nil {
			ev.known[key] = ev.keyFacts(key, by[key])
		}
	}
	return nil
}

// Label returns the label that the user's trust file gives the key, and ""
// without one.
func (ev *Evaluator) Label(key records.Fingerprint) string { return ev.labels[key] }

// Denied reports whether the trust file denies the key.
func (ev *Evaluator) Denied(key records.Fingerprint) bool { return ev.denials[key] != 0 }

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
	Expired bool // past its last day: ends the search and grants nothing
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

// A Ruling is who decides about one name. It is immutable and may be used by
// several goroutines.
type Ruling struct {
	Rule
	evaluator *Evaluator
	name      records.Name
	roots     []root
	graph     *delegation.Graph
}

// Ruling returns who decides about the name. Only the most specific scope of the
// trust file that holds the name is asked, whether or not its keys have said
// anything: a key with a broader scope never fills a gap. The error is one of
// Inputs.Load; without Load there is none.
func (ev *Evaluator) Ruling(ctx context.Context, name records.Name) (*Ruling, error) {
	ev.mu.Lock()
	defer ev.mu.Unlock()
	if ev.last != nil && ev.last.name == name {
		return ev.last, nil
	}
	// What a ruling does not ask for cannot change it: when nothing that it asked
	// for is missing, it is the one that all facts would give.
	for {
		r := ev.rule(name)
		missing := r.graph.Missing()
		if len(missing) == 0 {
			r.Keys = ev.keysOf(r)
			ev.last = r
			return r, nil
		}
		if err := ev.loadFacts(ctx, missing); err != nil {
			return nil, err
		}
	}
}

// keysOf lists the keys of the lines that decide, which are the same for all names.
func (ev *Evaluator) keysOf(r *Ruling) []Grant {
	of := fileScope{r.Scope, r.Project}
	keys, ok := ev.keys[of]
	if !ok {
		keys = r.rootGrants()
		ev.keys[of] = keys
	}
	return keys
}

// rule makes a ruling of what is known.
func (ev *Evaluator) rule(name records.Name) *Ruling {
	r := &Ruling{Rule: Rule{Threshold: 1}, evaluator: ev, name: name}
	r.findRoots()
	r.graph = delegation.Walk(name, ev.delegationRoots(r.roots), ev.knownFacts)
	r.Succeeded = r.succeeded()
	eachScope(name, func(s records.Scope) bool {
		t, ok := ev.thresholds[s]
		if ok {
			r.Threshold, r.ThresholdLine = t.Keys, t.Line
		}
		return !ok
	})
	return r
}

// knownFacts returns the facts by a key, or nil when they have to be loaded first.
func (ev *Evaluator) knownFacts(key records.Fingerprint) *delegation.KeyFacts {
	k := ev.known[key]
	if k == nil {
		if ev.load != nil {
			return nil
		}
		k = noFacts
	}
	return &k.KeyFacts
}

// factsOf returns what is known of a key that decides.
func (r *Ruling) factsOf(key records.Fingerprint) *keyFacts {
	r.evaluator.mu.Lock()
	defer r.evaluator.mu.Unlock()
	if k := r.evaluator.known[key]; k != nil {
		return k
	}
	return noFacts
}

// findRoots finds the lines that decide. Of what is in force the first line comes
// first, but own keys need none.
func (r *Ruling) findRoots() {
	find := func(in map[records.Scope][]root) {
		eachScope(r.name, func(s records.Scope) bool {
			if r.roots = in[s]; len(r.roots) > 0 {
				r.Scope = s
			}
			return len(r.roots) == 0
		})
	}
	ev := r.evaluator
	find(ev.scopes)
	if len(r.roots) == 0 {
		find(ev.project)
		r.Project = len(r.roots) > 0
		if !r.Project && len(ev.own) > 0 {
			r.Scope = "*"
		}
	}
	if r.Project || r.Scope == "*" {
		r.roots = slices.Concat(ev.own, r.roots)
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
func (r *Ruling) Decides(key records.Fingerprint) bool { return r.graph.Decides(key) }

// Pinned returns what the user's trust file pins of the name, by line: of these versions
// keys that do not decide matter too.
func (r *Ruling) Pinned() []Pin {
	var pins []Pin
	for at, p := range r.evaluator.pins {
		if at.name == r.name {
			pins = append(pins, p)
		}
	}
	slices.SortFunc(pins, func(a, b Pin) int { return cmp.Compare(a.Line, b.Line) })
	return pins
}

// ListedKeys returns the keys that the files name and that are neither denied nor past
// their last day, and the user's own, sorted: whose word the user may heed about any
// name.
func (ev *Evaluator) ListedKeys() []records.Fingerprint {
	keys := map[records.Fingerprint]bool{}
	add := func(roots []root) {
		for _, r := range roots {
			if r.authority == nil && !r.expired && !ev.Denied(r.key) {
				keys[r.key] = true
			}
		}
	}
	add(ev.own)
	for _, in := range []map[records.Scope][]root{ev.scopes, ev.project} {
		for _, roots := range in {
			add(roots)
		}
	}
	return slices.SortedFunc(maps.Keys(keys), records.Fingerprint.Compare)
}

// Deciders returns all keys that decide about the name and are not denied, sorted.
func (r *Ruling) Deciders() []Grant {
	var all []Grant
	for _, key := range r.graph.Deciders() {
		path := r.Path(key)
		all = append(all, Grant{Key: key, Label: r.evaluator.Label(key), Line: path[0].Line, Project: path[0].Project, Via: path})
	}
	slices.SortFunc(all, func(a, b Grant) int { return a.Key.Compare(b.Key) })
	return all
}

// rootGrants lists the keys of the roots. Of several lines one that is not over
// counts.
func (r *Ruling) rootGrants() []Grant {
	order := make([]int, len(r.roots))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &r.roots[i], &r.roots[j]
		return cmp.Or(a.key.Compare(b.key), compareBool(a.expired, b.expired), i-j)
	})
	var grants []Grant
	for n, i := range order {
		a := &r.roots[i]
		if n > 0 && r.roots[order[n-1]].key == a.key {
			continue
		}
		grants = append(grants, Grant{Key: a.key, Label: r.evaluator.Label(a.key), Line: a.line, Project: a.project, Expired: a.expired, Via: []Step{a.step()}})
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

// Path returns the steps by which the key decides about the name; nil when it does not.
func (r *Ruling) Path(key records.Fingerprint) []Step {
	at, path := r.graph.Path(key)
	if path == nil {
		return nil
	}
	steps := make([]Step, len(path))
	for i, p := range path {
		steps[i] = Step{Key: p.Key, Records: p.Records}
		switch p.Kind {
		case delegation.BySuccession:
			steps[i].Kind = BySuccession
		case delegation.ByDelegation:
			steps[i].Kind = ByDelegation
		default:
			steps[i] = r.roots[at].step()
		}
	}
	return steps
}

// step is how a path from the root begins.
func (r *root) step() Step {
	if r.line == 0 {
		return Step{Kind: ByOwn, Key: r.key}
	}
	return Step{Kind: ByLine, Key: r.key, Line: r.line, Project: r.project}
}

func (r *Ruling) succeeded() []Succeeded {
	var all []Succeeded
	for i := range r.roots {
		root := &r.roots[i]
		if by := r.graph.Successors(i); len(by) > 0 {
			all = append(all, Succeeded{Key: root.key, Line: root.line, Project: root.project, By: by, Followed: root.follow && len(by) == 1})
		}
	}
	return all
}
