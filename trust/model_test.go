package trust_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"

	"github.com/everythingstays/es/records"
)

// The model decides by counting and by trying everything: it shares no code with
// the package, reads no trust file, and knows of scopes only which names of a
// small universe they hold.
type model struct {
	lines, project []modelLine
	denied         map[int]bool
	thresholds     map[string]int
	pin            string // module, or ""
	own            []int
	claims         []modelClaim
	delegations    []modelDelegation
	successions    []modelSuccession
}

type modelLine struct {
	key     int
	scopes  []string
	depth   int
	follow  bool
	expired bool
}

type modelClaim struct {
	author                      int
	module, record              string
	invalid, endorse, retracted bool
}

type modelDelegation struct {
	from, to                      int
	scopes                        []string
	depth                         int
	over                          bool
	seq, time                     int
	record                        string
	invalid, retracted, backdated bool
}

// A modelSuccession is one half; old says whose.
type modelSuccession struct {
	from, to                      int
	old                           bool
	record                        string
	invalid, retracted, backdated bool
}

var (
	universe  = []string{"left", "left-pad", "left-pads", "left-pad-x", "left-over", "right", "@acme/left", "@acme/left-pad", "@acme/lefty", "@acme/x", "@other/left-pad"}
	allScopes = []string{"*", "lef*", "left-*", "left-p*", "left-pad", "left-pad*", "left-pads", "right", "@acme/*", "@acme/left*", "@acme/left-pad", "@acme/left-pad*", "@other/*"}
)

var patterns = map[string]*regexp.Regexp{}

func holds(scope, name string) bool {
	if patterns[scope] == nil {
		patterns[scope] = regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(scope), `\*`, ".*") + "$")
	}
	return patterns[scope].MatchString(name)
}

// extent is how many names a scope holds, of the universe and of names made for
// the purpose of telling scopes apart.
func extent(scope string) int {
	n := 0
	for _, u := range universe {
		for _, tail := range []string{"", "0", "-0", "s", "sy"} {
			for cut := range len(u) + 1 {
				if holds(scope, u[:cut]+tail) {
					n++
				}
			}
		}
	}
	return n
}

var extents = func() map[string]int {
	m := map[string]int{}
	for _, s := range allScopes {
		m[s] = extent(s)
	}
	return m
}()

// smallest returns the scope of the lines that holds the name and the fewest others.
func smallest(lines []modelLine, name string) string {
	best := ""
	for _, l := range lines {
		for _, s := range l.scopes {
			if holds(s, name) && (best == "" || extents[s] < extents[best]) {
				best = s
			}
		}
	}
	return best
}

// A verdict is what the model says.
type verdict struct {
	state, module string
	record        string // what the record was made from
	voices        int
}

// part returns the claims that take part.
func (m *model) part() (live []modelClaim, onlyDenied bool) {
	onlyDenied = true
	for _, c := range m.claims {
		if c.invalid || c.endorse && c.retracted {
			continue
		}
		live = append(live, c)
		onlyDenied = onlyDenied && m.denied[c.author]
	}
	return live, onlyDenied
}

func (m *model) decide(name string) verdict {
	live, onlyDenied := m.part()
	refused := verdict{state: "untrusted"}
	if onlyDenied {
		refused.state = "denied"
	}
	if len(live) == 0 {
		return verdict{state: "unknown"}
	}
	roots := m.deciders(name)
	if m.pin != "" {
		if r := m.record(live, roots, m.pin, true); r != "" {
			return verdict{state: "trusted", module: m.pin, record: r}
		}
		return refused
	}
	says := map[string]map[int]bool{} // by module: who decides and says so
	released := map[string]bool{}
	for author := range roots {
		named, out := map[string]bool{}, map[string]bool{}
		for _, c := range live {
			if c.author == author {
				named[c.module] = true
				if !c.endorse {
					out[c.module] = true
				}
			}
		}
		if len(out) > 1 {
			return verdict{state: "equivocation"}
		}
		if len(named) != 1 {
			continue
		}
		for module := range named {
			if says[module] == nil {
				says[module] = map[int]bool{}
			}
			says[module][author] = true
			released[module] = released[module] || out[module]
		}
	}
	need := m.needed(name)
	var enough []verdict
	for module, authors := range says {
		if n := m.count(authors, roots); n >= need {
			enough = append(enough, verdict{state: "trusted", module: module, voices: n})
		}
	}
	switch {
	case len(enough) > 1:
		return verdict{state: "conflict"}
	case len(enough) == 1 && released[enough[0].module]:
		var counting []modelClaim
		for _, c := range live {
			if says[enough[0].module][c.author] {
				counting = append(counting, c)
			}
		}
		enough[0].record = m.record(counting, roots, enough[0].module, false)
		return enough[0]
	}
	return refused
}

func (m *model) needed(name string) int {
	need, of := 1, ""
	for s, n := range m.thresholds {
		if holds(s, name) && (of == "" || extents[s] < extents[of]) {
			need, of = n, s
		}
	}
	return need
}

// record picks the record to use: by a key that decides before any other.
func (m *model) record(claims []modelClaim, roots map[int]map[string]bool, module string, anybody bool) string {
	best, of := "", ""
	for _, c := range claims {
		if c.endorse || c.module != module || m.denied[c.author] || !anybody && roots[c.author] == nil {
			continue
		}
		rank := "b"
		if roots[c.author] != nil {
			rank = "a"
		}
		rank += testKey(c.author).String() + recordCID(c.record).KeyString()
		if best == "" || rank < of {
			best, of = c.record, rank
		}
	}
	return best
}

// deciders returns who decides about the name, each with the voices of the roots
// it does that by.
func (m *model) deciders(name string) map[int]map[string]bool {
	by := map[int]map[string]bool{}
	add := func(key int, root string) {
		if m.denied[key] {
			return
		}
		if by[key] == nil {
			by[key] = map[string]bool{}
		}
		by[key][root] = true
	}
	own := false
	apply := func(lines []modelLine, scope string, project bool) {
		for _, l := range lines {
			if l.expired || m.denied[l.key] || !slices.Contains(l.scopes, scope) {
				continue
			}
			voice := m.end(l.key)
			if project {
				voice = "the project"
			}
			for _, k := range m.reached(l, name, 32) {
				add(k, voice)
			}
		}
	}
	if s := smallest(m.lines, name); s != "" {
		apply(m.lines, s, false)
		own = s == "*"
	} else {
		own = true
		if s := smallest(m.project, name); s != "" {
			apply(m.project, s, true)
		}
	}
	if own {
		for _, k := range m.own {
			add(k, m.end(k))
		}
	}
	return by
}

// next returns the only successor of the key, or -1.
func (m *model) next(key int) int {
	found := map[int]bool{}
	for _, a := range m.successions {
		for _, b := range m.successions {
			out := a.invalid || b.invalid || a.retracted || b.retracted || a.backdated || b.backdated || m.denied[a.from] || m.denied[a.to]
			if a.old && !b.old && a.from == b.from && a.to == b.to && a.from == key && !out {
				found[a.to] = true
			}
		}
	}
	if len(found) != 1 {
		return -1
	}
	for k := range found {
		return k
	}
	return -1
}

// chainOf returns the chain of the key, and the part of it that is a loop.
func (m *model) chainOf(key int) (chain, loop []int) {
	chain = []int{key}
	for {
		n := m.next(chain[len(chain)-1])
		if n < 0 {
			return chain, nil
		}
		if i := slices.Index(chain, n); i >= 0 {
			return chain, chain[i:]
		}
		if len(chain) == 32 {
			return chain, nil
		}
		chain = append(chain, n)
	}
}

// end names what the chain of the key ends in.
func (m *model) end(key int) string {
	chain, loop := m.chainOf(key)
	if loop != nil {
		loop = slices.Sorted(slices.Values(loop))
		return fmt.Sprint("loop ", loop)
	}
	return fmt.Sprint("key ", chain[len(chain)-1])
}

// newestOf returns the delegations that are the newest of their author to their key.
func (m *model) newestOf() []modelDelegation {
	var list []modelDelegation
	for i, d := range m.delegations {
		if d.invalid || d.retracted || d.backdated && len(d.scopes) > 0 || m.denied[d.from] {
			continue
		}
		newest := true
		for j, e := range m.delegations {
			if i == j || e.from != d.from || e.to != d.to || e.invalid || e.retracted || e.backdated && len(e.scopes) > 0 {
				continue
			}
			older := []string{fmt.Sprintf("%09d", d.seq), fmt.Sprintf("%09d", d.time), recordCID(d.record).KeyString()}
			newer := []string{fmt.Sprintf("%09d", e.seq), fmt.Sprintf("%09d", e.time), recordCID(e.record).KeyString()}
			newest = newest && slices.Compare(newer, older) < 0
		}
		if newest {
			list = append(list, d)
		}
	}
	return list
}

// reached returns the keys that a line lets decide, at most limit beside its own:
// it tries all ways.
func (m *model) reached(l modelLine, name string, limit int) []int {
	first := []int{l.key}
	if l.follow {
		first, _ = m.chainOf(l.key)
	}
	var use []modelDelegation
	for _, d := range m.newestOf() {
		if !d.over && !m.denied[d.to] && slices.ContainsFunc(d.scopes, func(s string) bool { return holds(s, name) }) {
			use = append(use, d)
		}
	}
	steps := map[int]int{}
	var try func(at int, way []modelDelegation)
	try = func(at int, way []modelDelegation) {
		for i, d := range way {
			if len(way)-i-1 > d.depth {
				return
			}
		}
		if old, ok := steps[at]; !ok || len(way) < old {
			steps[at] = len(way)
		}
		if len(way) == l.depth {
			return
		}
		for _, d := range use {
			if d.from == at {
				try(d.to, append(slices.Clone(way), d))
			}
		}
	}
	for _, k := range first {
		try(k, nil)
	}
	var rest []int
	for k := range steps {
		if !slices.Contains(first, k) {
			rest = append(rest, k)
		}
	}
	slices.SortFunc(rest, func(a, b int) int {
		if steps[a] != steps[b] {
			return steps[a] - steps[b]
		}
		return strings.Compare(testKey(a).String(), testKey(b).String())
	})
	all := append(first, rest...)
	return all[:min(len(all), limit+1)]
}

// count returns how many pairs of a signing voice and a root's voice there are.
func (m *model) count(authors map[int]bool, roots map[int]map[string]bool) int {
	may := map[string]map[string]bool{}
	for a := range authors {
		s := m.end(a)
		if may[s] == nil {
			may[s] = map[string]bool{}
		}
		for r := range roots[a] {
			may[s][r] = true
		}
	}
	var signers []string
	for s := range may {
		signers = append(signers, s)
	}
	taken := map[string]bool{}
	var most func(i int) int
	most = func(i int) int {
		if i == len(signers) {
			return 0
		}
		n := most(i + 1)
		for r := range may[signers[i]] {
			if !taken[r] {
				taken[r] = true
				n = max(n, 1+most(i+1))
				delete(taken, r)
			}
		}
		return n
	}
	return most(0)
}

// A generator draws worlds in which keys meet.
type generator struct {
	*rand.Rand
	scopes []string
	keys   int
}

func (g *generator) chance(of int) bool { return g.IntN(of) == 0 }
func (g *generator) key() int           { return g.IntN(g.keys) }
func (g *generator) scope() string      { return g.scopes[g.IntN(len(g.scopes))] }

func (g *generator) some(n int) []string {
	var s []string
	for range n {
		if x := g.scope(); !slices.Contains(s, x) {
			s = append(s, x)
		}
	}
	slices.Sort(s)
	return s
}

// randomModel draws from few scopes, most of which hold the name.
func randomModel(r *rand.Rand, name string) *model {
	g := &generator{Rand: r, keys: 7}
	for len(g.scopes) < 3 {
		if s := allScopes[r.IntN(len(allScopes))]; holds(s, name) || g.chance(4) {
			g.scopes = append(g.scopes, s)
		}
	}
	m := &model{denied: map[int]bool{}, thresholds: map[string]int{}}
	for range g.IntN(7) {
		l := modelLine{key: g.key(), scopes: g.some(1 + g.IntN(3)), expired: g.chance(7), follow: g.chance(2)}
		if g.chance(2) {
			l.depth = g.IntN(4)
		}
		m.lines = append(m.lines, l)
	}
	if g.chance(3) {
		for range 1 + g.IntN(3) {
			if s := slices.DeleteFunc(g.some(2), func(s string) bool { return s == "*" }); len(s) > 0 {
				m.project = append(m.project, modelLine{key: g.key(), scopes: s, expired: g.chance(8)})
			}
		}
	}
	for range g.IntN(3) {
		m.denied[g.IntN(g.keys+1)] = true
	}
	if g.chance(2) {
		for range 1 + g.IntN(2) {
			m.thresholds[g.scope()] = 1 + g.IntN(3)
		}
	}
	if g.chance(3) {
		m.own = append(m.own, g.key())
	}
	if g.chance(10) {
		m.pin = string(rune('A' + g.IntN(3)))
	}
	g.facts(m, 2+g.IntN(10))
	g.claims(m)
	return m
}

// facts adds delegations and successions, with loops and repetitions.
func (g *generator) facts(m *model, n int) {
	for i := range n {
		d := modelDelegation{
			from: g.key(), to: g.key(), scopes: g.some(g.IntN(3)), depth: g.IntN(4), over: g.chance(8), seq: g.IntN(3), time: g.IntN(3),
			record: fmt.Sprint("delegation ", i), invalid: g.chance(12), retracted: g.chance(15), backdated: g.chance(10),
		}
		if g.chance(2) {
			d.scopes = []string{"*"}
		}
		if n := len(m.delegations); n > 0 && g.chance(4) {
			d.from, d.to = m.delegations[n-1].from, m.delegations[n-1].to
		}
		if d.from != d.to {
			m.delegations = append(m.delegations, d)
		}
	}
	for i := range g.IntN(6) {
		from, to := g.key(), g.key()
		if from == to {
			continue
		}
		for _, old := range []bool{true, false} {
			if !g.chance(8) {
				m.successions = append(m.successions, modelSuccession{from: from, to: to, old: old, record: fmt.Sprint("succession ", i, old), invalid: g.chance(12), retracted: g.chance(15), backdated: g.chance(10)})
			}
		}
	}
}

func (g *generator) claims(m *model) {
	agree := !g.chance(3)
	for i := range g.IntN(8) {
		c := modelClaim{author: g.key(), module: "A", invalid: g.chance(12), endorse: g.chance(4), retracted: g.chance(8)}
		if !agree || g.chance(6) {
			c.module = string(rune('A' + g.IntN(3)))
		}
		c.record = fmt.Sprint(i, c)
		m.claims = append(m.claims, c)
	}
}

// wideModel is a world in which one key leads to more keys than may count.
func wideModel(r *rand.Rand) *model {
	g := &generator{Rand: r, scopes: []string{"*"}, keys: 44}
	m := &model{denied: map[int]bool{g.key(): true}, thresholds: map[string]int{}}
	m.lines = []modelLine{{key: 0, scopes: []string{"*"}, depth: 1 + g.IntN(3), follow: true}}
	for i := range 90 {
		d := modelDelegation{from: g.IntN(6), to: 1 + g.IntN(g.keys-1), scopes: []string{"*"}, depth: g.IntN(4), seq: i, record: fmt.Sprint("delegation ", i)}
		if d.from != d.to {
			m.delegations = append(m.delegations, d)
		}
	}
	for _, old := range []bool{true, false} {
		m.successions = append(m.successions, modelSuccession{from: 0, to: 1 + g.IntN(4), old: old, record: fmt.Sprint(old)})
	}
	m.successions[1].to = m.successions[0].to
	m.claims = []modelClaim{{author: g.key(), module: "A", record: "1"}, {author: g.key(), module: "A", record: "2"}}
	return m
}

// denseModel is a world of few keys that all have to do with one another.
func denseModel(r *rand.Rand) *model {
	g := &generator{Rand: r, scopes: []string{"*"}, keys: 6}
	m := &model{denied: map[int]bool{}, thresholds: map[string]int{"*": 1 + g.IntN(3)}}
	for range 2 {
		l := modelLine{key: g.key(), scopes: []string{"*"}, depth: 3 - g.IntN(2), follow: g.chance(2)}
		if !g.chance(3) {
			m.lines = append(m.lines, l)
		} else {
			m.project = append(m.project, modelLine{key: l.key, scopes: []string{"left*"}})
		}
		if g.chance(2) {
			m.own = append(m.own, g.key())
		}
	}
	for i := range 9 {
		d := modelDelegation{from: g.key(), to: g.key(), scopes: []string{"*"}, depth: g.IntN(3), seq: i, record: fmt.Sprint("delegation ", i)}
		if d.from != d.to {
			m.delegations = append(m.delegations, d)
		}
	}
	if g.chance(2) {
		from := g.key()
		to := (from + 1 + g.IntN(5)) % 6
		for _, old := range []bool{true, false} {
			m.successions = append(m.successions, modelSuccession{from: from, to: to, old: old, record: fmt.Sprint(old)})
		}
	}
	for i := range 6 {
		if !g.chance(4) {
			m.claims = append(m.claims, modelClaim{author: i, module: "A", record: fmt.Sprint(i), endorse: g.chance(5)})
		}
	}
	return m
}

func fingerprints(keys []int) []records.Fingerprint {
	var fs []records.Fingerprint
	for _, k := range keys {
		fs = append(fs, testKey(k))
	}
	return fs
}
