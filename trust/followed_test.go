package trust_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// Followed walks delegations as decisions do: what is over, retracted, backdated, invalid or
// replaced leads nowhere. SPEC T29, T30 and T110.
func TestFollowed(t *testing.T) {
	state := func(author int, record string) trust.Statement {
		return trust.Statement{Author: testKey(author), Record: recordCID(record), Time: noon}
	}
	delegate := func(from, to, depth int, change func(*trust.Delegation)) trust.Delegation {
		d := trust.Delegation{Statement: state(from, "d"), To: testKey(to), Scopes: []records.Scope{"left-pad"}, Depth: depth, Until: noon.Add(time.Second)}
		if change != nil {
			change(&d)
		}
		return d
	}
	nominate := func(from, to int) trust.Succession {
		return trust.Succession{Statement: state(from, "n"), To: testKey(to)}
	}
	one := func(change func(*trust.Delegation)) trust.Facts {
		return trust.Facts{Delegations: []trust.Delegation{delegate(1, 2, 0, change)}}
	}
	for _, c := range []struct {
		name, line string
		facts      trust.Facts
		want       []int
	}{
		{"no depth", "", one(nil), []int{1}},
		{"a delegation", " depth=1", one(nil), []int{1, 2}},
		{"over", " depth=1", one(func(d *trust.Delegation) { d.Until = noon }), []int{1}},
		{"retracted", " depth=1", one(func(d *trust.Delegation) { d.Retracted = true }), []int{1}},
		{"invalid", " depth=1", one(func(d *trust.Delegation) { d.Invalid = "revoked" }), []int{1}},
		{"backdated", " depth=1", one(func(d *trust.Delegation) { d.Backdated = true }), []int{1}},
		{"to a denied key", " depth=1\ndeny " + testKey(2).String(), one(nil), []int{1}},
		{"of a denied key", " depth=1\ndeny " + testKey(1).String(), one(nil), nil},
		{"replaced", " depth=1", trust.Facts{Delegations: []trust.Delegation{
			delegate(1, 2, 0, nil), delegate(1, 2, 0, func(d *trust.Delegation) { d.Seq, d.Scopes = 1, nil })}}, []int{1}},
		{"as deep as the line", " depth=1", trust.Facts{Delegations: []trust.Delegation{delegate(1, 2, 3, nil), delegate(2, 3, 0, nil)}}, []int{1, 2}},
		{"as deep as the delegation", " depth=3", trust.Facts{Delegations: []trust.Delegation{
			delegate(1, 2, 1, nil), delegate(2, 3, 3, nil), delegate(3, 4, 0, nil)}}, []int{1, 2, 3}},
		{"a successor, followed or not", "", trust.Facts{Successions: []trust.Succession{nominate(1, 2), nominate(2, 3)}}, []int{1, 2, 3}},
		{"a delegation by a successor that is not followed", " depth=1", trust.Facts{
			Successions: []trust.Succession{nominate(1, 2)}, Delegations: []trust.Delegation{delegate(2, 3, 0, nil)}}, []int{1, 2}},
		{"a delegation by a successor", " depth=1 follow=yes", trust.Facts{
			Successions: []trust.Succession{nominate(1, 2)}, Delegations: []trust.Delegation{delegate(2, 3, 0, nil)}}, []int{1, 2, 3}},
		{"a line that is over", " depth=1 until=2020-01-01", one(nil), nil},
	} {
		policy := parse(t, "key "+testKey(1).String()+" left-pad"+c.line)
		got, err := trust.Inputs{User: policy, Now: noon, Facts: c.facts}.Evaluator().Followed(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var want []records.Fingerprint
		for _, k := range c.want {
			want = append(want, testKey(k))
		}
		slices.SortFunc(want, records.Fingerprint.Compare)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", c.name, got, want)
		}
	}
}

// In random worlds whoever decides about a name is followed, with facts that
// are given or loaded alike.
func TestFollowedHasDeciders(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	seen := 0
	for range 300 {
		name := universe[r.IntN(len(universe))]
		inputs := randomModel(r, name).inputs(t, r, name)
		evaluator := inputs.Evaluator()
		all, err := evaluator.Followed(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range universe {
			ruling, err := evaluator.Ruling(t.Context(), records.Name(name))
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range ruling.Deciders() {
				seen++
				if !slices.Contains(all, g.Key) {
					t.Errorf("%s decides about %s, and is not followed", g.Key, name)
				}
			}
		}
		loaded := inputs
		loaded.Facts = trust.Facts{}
		loaded.Load = func(_ context.Context, authors []records.Fingerprint) (trust.Facts, error) {
			var f trust.Facts
			for _, d := range inputs.Facts.Delegations {
				if slices.Contains(authors, d.Author) {
					f.Delegations = append(f.Delegations, d)
				}
			}
			for _, s := range inputs.Facts.Successions {
				if slices.Contains(authors, s.Author) {
					f.Successions = append(f.Successions, s)
				}
			}
			return f, nil
		}
		if got, err := loaded.Evaluator().Followed(t.Context()); err != nil || !slices.Equal(got, all) {
			t.Errorf("loaded: %v, %v; want %v", got, err, all)
		}
	}
	if seen < 500 {
		t.Errorf("saw only %d deciders", seen)
	}
}
