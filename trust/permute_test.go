package trust_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

var full = os.Getenv("ES_FULL") != ""

// text writes lines as a trust file, in random order.
func (m *model) text(r *rand.Rand, lines []modelLine) []string {
	var text []string
	for _, l := range lines {
		line := "key " + testKey(l.key).String() + " " + strings.Join(l.scopes, " ")
		switch {
		case l.expired:
			line += " until=2027-06-14"
		case r.IntN(3) == 0:
			line += " until=2027-06-15"
		}
		if l.depth > 0 {
			line += fmt.Sprint(" depth=", l.depth)
		}
		if l.follow {
			line += " follow=yes"
		}
		text = append(text, line)
	}
	return text
}

// file writes the model as a trust file, its lines in random order.
func (m *model) file(r *rand.Rand, name string) string {
	lines := m.text(r, m.lines)
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

func (m *model) facts() trust.Facts {
	var f trust.Facts
	state := func(author int, record string, seq, time int, invalid, retracted, backdated bool) trust.Statement {
		s := trust.Statement{Author: testKey(author), Record: recordCID(record), Seq: int64(seq), Time: noon.AddDate(0, 0, time-30), Retracted: retracted, Backdated: backdated}
		if invalid {
			s.Invalid = "revoked"
		}
		return s
	}
	for _, d := range m.delegations {
		one := trust.Delegation{Statement: state(d.from, d.record, d.seq, d.time, d.invalid, d.retracted, d.backdated), To: testKey(d.to), Depth: d.depth, Until: noon.Add(time.Second)}
		if d.over {
			one.Until = noon
		}
		for _, s := range d.scopes {
			one.Scopes = append(one.Scopes, records.Scope(s))
		}
		f.Delegations = append(f.Delegations, one)
	}
	for _, s := range m.successions {
		if s.old {
			f.Successions = append(f.Successions, trust.Succession{Statement: state(s.from, s.record, 0, 0, s.invalid, s.retracted, s.backdated), To: testKey(s.to)})
		} else {
			f.Successions = append(f.Successions, trust.Succession{Statement: state(s.to, s.record, 0, 0, s.invalid, s.retracted, s.backdated), From: testKey(s.from)})
		}
	}
	return f
}

func (m *model) trustClaims() []trust.Claim {
	var cs []trust.Claim
	for _, c := range m.claims {
		claim := trust.Claim{Author: testKey(c.author), Module: moduleCID(c.module), Record: recordCID(c.record), Retracted: c.retracted}
		if c.invalid {
			claim.Invalid = "revoked"
		}
		if c.endorse {
			claim.Endorse = records.Rebuilt
		}
		cs = append(cs, claim)
	}
	return cs
}

// inputs writes the model down, lines and facts in random order.
func (m *model) inputs(t *testing.T, r *rand.Rand, name string) trust.Inputs {
	t.Helper()
	in := trust.Inputs{User: parse(t, m.file(r, name)), Own: fingerprints(m.own), Now: noon, Facts: m.facts()}
	if len(m.project) > 0 {
		var err error
		if in.Project, err = trust.ParseProject([]byte(strings.Join(m.text(r, m.project), "\n"))); err != nil {
			t.Fatal(err)
		}
	}
	return in
}

func shuffle[T any](r *rand.Rand, list []T) []T {
	list = slices.Clone(list)
	// Some things come twice.
	if n := len(list); n > 0 && r.IntN(3) == 0 {
		list = append(list, list[r.IntN(n)])
	}
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func shuffled(r *rand.Rand, f trust.Facts) trust.Facts {
	return trust.Facts{Delegations: shuffle(r, f.Delegations), Successions: shuffle(r, f.Successions)}
}

// aged gives claims times that may hold a version and must not change its outcome.
func aged(r *rand.Rand, claims []trust.Claim) []trust.Claim {
	claims = slices.Clone(claims)
	for i := range claims {
		claims[i].FirstSeen = noon.AddDate(0, 0, -r.IntN(60))
		claims[i].Time = noon.AddDate(0, 0, -r.IntN(60))
		claims[i].Ended = noon.AddDate(0, 0, -r.IntN(60))
	}
	return claims
}

// TestDecideAgainstModel holds the decision against the model on 1,500 random
// worlds (ES_FULL: 10,000), and asks each again with everything permuted, with
// only the facts that are asked for, and at other times of arrival.
// SPEC T15, T25, T29, T30, T31 and T34.
func TestDecideAgainstModel(t *testing.T) {
	worlds := 1500
	if full {
		worlds = 10_000
	}
	r := rand.New(rand.NewPCG(1, 2))
	states, by := map[string]int{}, map[trust.StepKind]int{}
	for i := range worlds {
		name := universe[r.IntN(len(universe))]
		m := randomModel(r, name)
		switch {
		case i%100 == 99:
			m = wideModel(r)
		case i%10 == 9:
			name = "left-pad"
			m = denseModel(r)
		}
		want := m.decide(name)
		states[want.state]++
		inputs, claims := m.inputs(t, r, name), m.trustClaims()
		evaluator := inputs.Evaluator()
		d := evaluator.Decide(records.Name(name), "1.0.0", claims)
		m.checkDeciders(t, name, evaluator)
		got := verdict{state: d.State.String(), voices: d.Voices}
		if d.State == trust.Trusted {
			for _, c := range m.claims {
				if recordCID(c.record) == d.Record && moduleCID(c.module) == d.Module {
					got.module, got.record = c.module, c.record
				}
			}
		}
		if got != want {
			t.Fatalf("world %d: %s\n%s\nproject %+v\nown %v\nclaims %+v\ndelegations %+v\nsuccessions %+v\ngot  %+v (%s)\nwant %+v",
				i, name, inputs.User.Bytes(), m.project, m.own, m.claims, m.delegations, m.successions, got, d.Reason, want)
		}
		checkShape(t, d, claims)
		for _, c := range d.Claims {
			if len(c.Via) > 0 {
				by[c.Via[len(c.Via)-1].Kind]++
			}
		}
		m.permute(t, r, name, inputs, d, 2)
	}
	for _, s := range []string{"unknown", "trusted", "untrusted", "denied", "conflict", "equivocation"} {
		if states[s] < worlds/100 {
			t.Errorf("only %d of the worlds are %s: the generator is too narrow (%v)", states[s], s, states)
		}
	}
	for _, k := range []trust.StepKind{trust.ByLine, trust.ByOwn, trust.BySuccession, trust.ByDelegation} {
		if by[k] < worlds/50 {
			t.Errorf("only %d claims count by %v: the generator is too narrow (%v)", by[k], k, by)
		}
	}
}

// checkDeciders holds who decides about the name against the model.
func (m *model) checkDeciders(t *testing.T, name string, evaluator *trust.Evaluator) {
	t.Helper()
	want := m.deciders(name)
	for k := range 50 {
		if got := evaluator.Decides(testKey(k), records.Name(name)); got != (want[k] != nil) {
			t.Fatalf("%s: key %d decides: %t\nlines %+v\nproject %+v\nown %v\ndenied %v\ndelegations %+v\nsuccessions %+v",
				name, k, got, m.lines, m.project, m.own, m.denied, m.delegations, m.successions)
		}
	}
}

// permute asks the same again, n times, in other orders.
func (m *model) permute(t *testing.T, r *rand.Rand, name string, inputs trust.Inputs, d trust.Decision, n int) {
	t.Helper()
	claims := m.trustClaims()
	for range n {
		again := inputs
		again.Facts = shuffled(r, inputs.Facts)
		if got := again.Evaluator().Decide(records.Name(name), "1.0.0", shuffle(r, claims)); !reflect.DeepEqual(got, d) {
			t.Fatalf("with claims and facts permuted\ngot  %+v\nwant %+v", got, d)
		}
		again = m.inputs(t, r, name) // its lines in another order
		again.Facts = shuffled(r, again.Facts)
		evaluator := loading(again, factsBy).Evaluator()
		m.checkDeciders(t, name, evaluator)
		got := evaluator.Decide(records.Name(name), "1.0.0", aged(r, shuffle(r, claims)))
		if got.State != d.State || got.Module != d.Module || got.Record != d.Record || got.Voices != d.Voices || !slices.Equal(got.By, d.By) {
			t.Fatalf("with the lines permuted\ngot  %+v\nwant %+v", got, d)
		}
	}
}

// TestPermutations is that the outcome is the same in 10,000 orders of arrival.
// SPEC T25.
func TestPermutations(t *testing.T) {
	orders := 200
	if full {
		orders = 10_000
	}
	r := rand.New(rand.NewPCG(3, 4))
	const worlds = 10
	for range worlds {
		name := universe[r.IntN(len(universe))]
		m := randomModel(r, name)
		for len(m.claims) < 5 || len(m.delegations) < 5 {
			m = randomModel(r, name)
		}
		inputs := m.inputs(t, r, name)
		d := inputs.Evaluator().Decide(records.Name(name), "1.0.0", m.trustClaims())
		m.permute(t, r, name, inputs, d, orders/worlds)
	}
}

// checkShape holds a decision against what Decision promises of its fields.
func checkShape(t *testing.T, d trust.Decision, claims []trust.Claim) {
	t.Helper()
	if d.Reason == "" || len(d.Claims) != len(claims) {
		t.Fatalf("decision %+v for %d claims", d, len(claims))
	}
	trusted := d.State == trust.Trusted
	if trusted != (len(d.By) > 0) || trusted != d.Record.Defined() || trusted == d.Signer.IsZero() || trusted != d.Module.Defined() {
		t.Fatalf("decision %+v", d)
	}
	for _, by := range d.By {
		if !slices.ContainsFunc(claims, func(c trust.Claim) bool { return c.Author == by && c.Module == d.Module && c.Invalid == "" }) {
			t.Fatalf("%s does not claim what it decided", by)
		}
	}
	if trusted && !slices.ContainsFunc(claims, func(c trust.Claim) bool {
		return c.Record == d.Record && c.Author == d.Signer && c.Module == d.Module && c.Endorse == ""
	}) {
		t.Fatalf("record %s is not a release by %s", d.Record, d.Signer)
	}
}
