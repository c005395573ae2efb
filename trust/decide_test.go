package trust_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// The model decides by counting: it shares no code with the package, reads no
// trust file, and knows of scopes only which names of a small universe they hold.
type model struct {
	keys       []modelKey
	denied     map[int]bool
	thresholds map[string]int
	pin        string // module, or ""
	own        []int
	claims     []modelClaim
}

type modelKey struct {
	key     int
	scopes  []string
	expired bool
}

type modelClaim struct {
	author         int
	module, record string
	void           bool
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

// decide returns the state and, when trusted, the module.
func (m *model) decide(name string) (string, string) {
	var live []modelClaim
	for _, c := range m.claims {
		if !c.void {
			live = append(live, c)
		}
	}
	if len(live) == 0 {
		return "unknown", ""
	}
	onlyDenied := true
	for _, c := range live {
		onlyDenied = onlyDenied && m.denied[c.author]
	}
	if m.pin != "" {
		for _, c := range live {
			if c.module == m.pin && !m.denied[c.author] {
				return "trusted", m.pin
			}
		}
		if onlyDenied {
			return "denied", ""
		}
		return "untrusted", ""
	}
	keys := slices.Clone(m.keys)
	for _, o := range m.own {
		keys = append(keys, modelKey{key: o, scopes: []string{"*"}})
	}
	smallest := ""
	for _, k := range keys {
		for _, s := range k.scopes {
			if holds(s, name) && (smallest == "" || extents[s] < extents[smallest]) {
				smallest = s
			}
		}
	}
	need, of := 1, ""
	for s, n := range m.thresholds {
		if holds(s, name) && (of == "" || extents[s] < extents[of]) {
			need, of = n, s
		}
	}
	said := map[int]map[string]bool{}
	for _, k := range keys {
		if !slices.Contains(k.scopes, smallest) || k.expired || m.denied[k.key] {
			continue
		}
		for _, c := range live {
			if c.author == k.key {
				if said[k.key] == nil {
					said[k.key] = map[string]bool{}
				}
				said[k.key][c.module] = true
			}
		}
	}
	votes := map[string]int{}
	for _, modules := range said {
		if len(modules) > 1 {
			return "equivocation", ""
		}
		for module := range modules {
			votes[module]++
		}
	}
	var winners []string
	for module, n := range votes {
		if n >= need {
			winners = append(winners, module)
		}
	}
	switch {
	case len(winners) > 1:
		return "conflict", ""
	case len(winners) == 1:
		return "trusted", winners[0]
	case onlyDenied:
		return "denied", ""
	}
	return "untrusted", ""
}

// randomModel draws from few scopes, most of which hold the name, so that keys
// meet.
func randomModel(r *rand.Rand, name string) *model {
	var scopes []string
	for len(scopes) < 3 {
		if s := allScopes[r.IntN(len(allScopes))]; holds(s, name) || r.IntN(4) == 0 {
			scopes = append(scopes, s)
		}
	}
	scope := func() string { return scopes[r.IntN(len(scopes))] }
	m := &model{denied: map[int]bool{}, thresholds: map[string]int{}}
	for range r.IntN(8) {
		k := modelKey{key: r.IntN(5), expired: r.IntN(6) == 0}
		for range 1 + r.IntN(3) {
			k.scopes = append(k.scopes, scope())
		}
		m.keys = append(m.keys, k)
	}
	for range r.IntN(2) {
		m.denied[r.IntN(6)] = true
	}
	if r.IntN(3) == 0 {
		for range 1 + r.IntN(2) {
			m.thresholds[scope()] = 1 + r.IntN(3)
		}
	}
	if r.IntN(3) == 0 {
		m.own = append(m.own, r.IntN(6))
	}
	if r.IntN(8) == 0 {
		m.pin = string(rune('A' + r.IntN(3)))
	}
	agree := r.IntN(3) > 0
	for i := range r.IntN(8) {
		c := modelClaim{author: r.IntN(5), module: "A", void: r.IntN(8) == 0}
		if !agree || r.IntN(6) == 0 {
			c.module = string(rune('A' + r.IntN(3)))
		}
		c.record = fmt.Sprint(i, c)
		m.claims = append(m.claims, c)
	}
	return m
}

// file writes the model as a trust file, its lines in random order.
func (m *model) file(r *rand.Rand, name string) string {
	var lines []string
	for _, k := range m.keys {
		line := "key " + testKey(k.key).String() + " " + strings.Join(k.scopes, " ")
		switch {
		case k.expired:
			line += " until=2027-06-14"
		case r.IntN(3) == 0:
			line += " until=2027-06-15"
		}
		lines = append(lines, line)
	}
	for k := range m.denied {
		lines = append(lines, "deny "+testKey(k).String())
	}
	for s, n := range m.thresholds {
		lines = append(lines, fmt.Sprintf("threshold %d %s", n, s))
	}
	if m.pin != "" {
		lines = append(lines, fmt.Sprintf("pin %s 1.0.0 %s", name, moduleCID(m.pin)))
	}
	lines = append(lines, "# a comment", "pin "+name+" 2.0.0 "+moduleCID("Z").String())
	r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	return strings.Join(lines, "\n")
}

func (m *model) trustClaims() []trust.Claim {
	var cs []trust.Claim
	for _, c := range m.claims {
		claim := trust.Claim{Author: testKey(c.author), Module: moduleCID(c.module), Record: recordCID(c.record)}
		if c.void {
			claim.Void = "revoked"
		}
		cs = append(cs, claim)
	}
	return cs
}

// TestDecideAgainstModel holds the decision against the model on 5,000 random
// worlds, and asks each question again with the claims and the lines permuted.
func TestDecideAgainstModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	states := map[string]int{}
	for i := range 5000 {
		name := universe[r.IntN(len(universe))]
		m := randomModel(r, name)
		var own []records.Fingerprint
		for _, o := range m.own {
			own = append(own, testKey(o))
		}
		text := m.file(r, name)
		view := parseView(t, text, own)
		d := view.Decide(records.Name(name), "1.0.0", m.trustClaims())
		state, module := m.decide(name)
		states[state]++
		wantModule := cid.Undef
		if state == "trusted" {
			wantModule = moduleCID(module)
		}
		if d.State.String() != state || d.Module != wantModule {
			t.Fatalf("world %d: %s\n%s\nclaims %+v\ngot %v %s (%s)\nwant %s %s", i, name, text, m.claims, d.State, d.Module, d.Reason, state, module)
		}
		checkShape(t, d, m.trustClaims())
		for range 2 {
			claims := m.trustClaims()
			if len(claims) > 0 {
				claims = append(claims, claims[r.IntN(len(claims))])
			}
			r.Shuffle(len(claims), func(i, j int) { claims[i], claims[j] = claims[j], claims[i] })
			if again := view.Decide(records.Name(name), "1.0.0", claims); !reflect.DeepEqual(again, d) {
				t.Fatalf("world %d: with the claims permuted\ngot  %+v\nwant %+v", i, again, d)
			}
			again := parseView(t, m.file(r, name), own).Decide(records.Name(name), "1.0.0", claims)
			if again.State != d.State || again.Module != d.Module || again.Record != d.Record || !slices.Equal(again.By, d.By) {
				t.Fatalf("world %d: with the lines permuted\ngot  %+v\nwant %+v", i, again, d)
			}
		}
	}
	for _, s := range []string{"unknown", "trusted", "untrusted", "denied", "conflict", "equivocation"} {
		if states[s] < 50 {
			t.Errorf("only %d of the worlds are %s: the generator is too narrow (%v)", states[s], s, states)
		}
	}
}

// checkShape holds a decision against what Decision promises of its fields.
func checkShape(t *testing.T, d trust.Decision, claims []trust.Claim) {
	t.Helper()
	if d.Reason == "" || len(d.Claims) != len(claims) {
		t.Fatalf("decision %+v for %d claims", d, len(claims))
	}
	if (d.State == trust.Trusted) != (len(d.By) > 0) || (d.State == trust.Trusted) != d.Record.Defined() {
		t.Fatalf("decision %+v", d)
	}
	for _, by := range d.By {
		if !slices.ContainsFunc(claims, func(c trust.Claim) bool { return c.Author == by && c.Module == d.Module && c.Void == "" }) {
			t.Fatalf("%s does not claim what it decided", by)
		}
	}
	if d.State == trust.Trusted && !slices.ContainsFunc(claims, func(c trust.Claim) bool {
		return c.Record == d.Record && c.Author == d.By[0] && c.Module == d.Module
	}) {
		t.Fatalf("record %s is not by %s", d.Record, d.By[0])
	}
}

func parseView(t *testing.T, text string, own []records.Fingerprint) *trust.View {
	t.Helper()
	f, err := trust.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return trust.NewView(f, own, noon)
}

// TestDependencyConfusion is row 10 of the threat table: of 100 names in a scope
// that one key has, a broadly trusted key gets none.
func TestDependencyConfusion(t *testing.T) {
	view := parseView(t, "key "+k1+" *\nkey "+k2+" @acme/*\n", nil)
	for i := range 100 {
		name := records.Name(fmt.Sprintf("@acme/tool-%d", i))
		attack := trust.Claim{Author: testKey(1), Module: moduleCID("evil"), Record: recordCID(fmt.Sprint(i))}
		d := view.Decide(name, "99.0.0", []trust.Claim{attack})
		if d.State != trust.Untrusted || d.Claims[0].Effect != trust.Overruled {
			t.Fatalf("%s: %v, %v", name, d.State, d.Claims[0].Effect)
		}
	}
}

func TestViewDecides(t *testing.T) {
	view := parseView(t, "key "+k1+" left-* label=one\nkey "+k2+" * until=2027-01-01\nkey "+k3+" *\ndeny "+k3+" label=three\n", []records.Fingerprint{testKey(4)})
	for _, c := range []struct {
		key  int
		name records.Name
		want bool
	}{
		{1, "left-pad", true}, {1, "right", false},
		{2, "right", false}, // over
		{3, "right", false}, // denied
		{4, "right", true}, {4, "left-pad", false}, {5, "right", false},
	} {
		if got := view.Decides(testKey(c.key), c.name); got != c.want {
			t.Errorf("key %d, %s: %t", c.key, c.name, got)
		}
	}
	if view.Label(testKey(1)) != "one" || view.Label(testKey(3)) != "three" || view.Label(testKey(4)) != "" {
		t.Error("labels differ")
	}
	if !view.Denied(testKey(3)) || view.Denied(testKey(1)) {
		t.Error("denials differ")
	}
	if r := view.Rule("left-pad"); r.Scope != "left-*" || len(r.Keys) != 1 || r.Keys[0].Line != 1 || r.Threshold != 1 {
		t.Errorf("rule %+v", r)
	}
}

func BenchmarkDecide(b *testing.B) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "key %s pkg-%d-* pkg-%d @org%d/*\n", testKey(i), i, i, i)
	}
	f, err := trust.Parse([]byte(text.String()))
	if err != nil {
		b.Fatal(err)
	}
	view := trust.NewView(f, nil, time.Time{})
	claims := []trust.Claim{{Author: testKey(7), Module: moduleCID("A"), Record: recordCID("A")}, {Author: testKey(8), Module: moduleCID("B"), Record: recordCID("B")}}
	for b.Loop() {
		if d := view.Decide("pkg-7-x", "1.0.0", claims); d.State != trust.Trusted {
			b.Fatal(d)
		}
	}
}
