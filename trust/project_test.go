package trust_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// TestProjectOnDisk is that what a project's file may not say is not written to
// it either. SPEC T27.
func TestProjectOnDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), trust.ProjectFile)
	p, err := trust.LoadProject(path)
	if err != nil || len(p.Entries()) > 0 {
		t.Fatalf("a file that is not there: %v, %v", p, err)
	}
	add := func(scope records.Scope) error {
		return trust.UpdateProject(t.Context(), path, func(p *trust.Policy) error {
			_, err := p.AddKey(trust.Entry{Fingerprint: testKey(1), Scopes: []records.Scope{scope}})
			return err
		})
	}
	if err := add("@acme/*"); err != nil {
		t.Fatal(err)
	}
	if err := add("*"); err == nil {
		t.Fatal("all names were written to a project's file")
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != key(1, "@acme/*") {
		t.Fatalf("%q, %v", b, err)
	}
	if err := os.WriteFile(path, []byte("pin left-pad 1.0.0 "+modX+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var syntax *trust.SyntaxError
	if _, err := trust.LoadProject(path); !errors.As(err, &syntax) || syntax.Line != 1 {
		t.Fatalf("a pin: %v", err)
	}
}

// TestOverruled is what a project's author learns of lines that do nothing. SPEC T28.
func TestOverruled(t *testing.T) {
	project, err := trust.ParseProject([]byte(key(1, "left-pad @acme/* right") + key(1, "right-*")))
	if err != nil {
		t.Fatal(err)
	}
	evaluator := parseView(t, key(2, "left-*")+key(2, "right-pad @acme/x"), nil)
	if got, want := evaluator.Overruled(project), (map[int][]records.Scope{1: {"left-pad"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := parseView(t, key(2, "*"), nil).Overruled(project); len(got[1]) != 3 || len(got[2]) != 1 {
		t.Errorf("got %v", got)
	}
}

func TestMinAgeEdits(t *testing.T) {
	p := parse(t, key(1, "*"))
	for _, c := range []struct {
		age  time.Duration
		want string
	}{{72 * time.Hour, "min-age 3d\n"}, {36 * time.Hour, "min-age 36h\n"}, {0, "min-age 0h\n"}} {
		if err := p.SetMinAge(c.age); err != nil {
			t.Fatal(err)
		}
		if got := string(p.Bytes()); got != key(1, "*")+c.want {
			t.Errorf("%v: %q", c.age, got)
		}
		if a, ok := parse(t, string(p.Bytes())).MinAge(); !ok || a.Age != c.age {
			t.Errorf("%v is read as %v", c.age, a.Age)
		}
	}
	for _, age := range []time.Duration{-time.Hour, time.Minute, 10_000 * 24 * time.Hour} {
		if err := p.SetMinAge(age); err == nil {
			t.Errorf("%v was written", age)
		}
	}
	if !p.RemoveMinAge() || p.RemoveMinAge() || string(p.Bytes()) != key(1, "*") {
		t.Errorf("%q", p.Bytes())
	}
}

// TestLoadsLittle is that a ruling asks only for authors who may matter to its name,
// each once: whom the lines that decide lead to, and their successors.
func TestLoadsLittle(t *testing.T) {
	w := about("left-pad").
		delegates(1, 2, 1, "*").delegates(2, 3, 0, "*").delegates(3, 4, 3, "*"). // 3 may not delegate
		delegates(1, 11, 1, "right").                                            // another name
		delegates(5, 6, 3, "*").                                                 // no depth
		delegates(7, 1, 3, "*").                                                 // a stranger
		succeeds(8, 5).succeeds(9, 8)
	in := w.inputs(t, parse(t, key(1, "left-* right depth=3")+key(5, "left-*")+key(10, "*")))
	var asked []int
	evaluator := loading(in, func(all trust.Facts, authors []records.Fingerprint) (trust.Facts, error) {
		for _, a := range authors {
			asked = append(asked, slices.Index(testKeys, a))
		}
		return factsBy(all, authors)
	}).Evaluator()
	for _, c := range []struct {
		name records.Name
		want []int
	}{{"left-pad", []int{1, 2, 3, 5, 8, 9}}, {"left-over", nil}, {"right", []int{11}}, {"other", []int{10}}} {
		asked = nil
		if _, err := evaluator.Ruling(t.Context(), c.name); err != nil {
			t.Fatal(err)
		}
		if slices.Sort(asked); !slices.Equal(asked, c.want) {
			t.Errorf("%s: asked for %v, want %v", c.name, asked, c.want)
		}
	}
}

// TestLongChains is the limit on successors, and that it makes no two voices of
// one. SPEC T29, T31 and T34.
func TestLongChains(t *testing.T) {
	for _, loop := range []bool{false, true} {
		w := about("left-pad")
		for k := 1; k < 40; k++ {
			w.succeeds(k+1, k)
		}
		if loop {
			w.succeeds(1, 40)
		}
		in := w.inputs(t, parse(t, key(1, "* follow=yes depth=1")))
		for _, evaluator := range []*trust.Evaluator{in.Evaluator(), loading(in, factsBy).Evaluator()} {
			for k := 1; k <= 40; k++ {
				if got := evaluator.Decides(testKey(k), "left-pad"); got != (k <= 32) {
					t.Errorf("key %d of the chain decides: %t", k, got)
				}
			}
		}
	}
}

// TestReachedKeys is the limit on the keys that one line leads to: those after
// fewer delegations first, then those with the lower fingerprint. SPEC T31.
func TestReachedKeys(t *testing.T) {
	w := about("left-pad").delegates(1, 2, 1, "*").delegates(1, 3, 0, "*")
	var far []records.Fingerprint
	for k := 10; k < 60; k++ {
		w.delegates(2, k, 0, "*")
		far = append(far, testKey(k))
	}
	slices.SortFunc(far, func(a, b records.Fingerprint) int { return slices.Compare(a.Bytes(), b.Bytes()) })
	evaluator := w.inputs(t, parse(t, key(1, "* depth=2"))).Evaluator()
	for i, k := range far {
		if got := evaluator.Decides(k, "left-pad"); got != (i < 30) {
			t.Errorf("key %d decides: %t", i, got)
		}
	}
	if !evaluator.Decides(testKey(2), "left-pad") || !evaluator.Decides(testKey(3), "left-pad") {
		t.Error("the nearer keys do not decide")
	}
}

// A benchmark's world: trusted keys with lines, each with delegates over three
// levels, and a name that some of them decide about.
func benchBasis(b *testing.B, lines, each int, scope string) (trust.Inputs, []trust.Claim) {
	w := about("left-pad")
	text := ""
	for k := range lines {
		text += key(k, fmt.Sprintf("pkg-%d @org%d/* ", k, k)+scope+" depth=3")
		at := k
		for i := range each {
			to := (k*7 + i*13 + 1) % 1999
			if to != at {
				w.delegates(at, to, 2, "*")
			}
			if i%3 == 2 {
				at = to
			}
		}
	}
	inputs := trust.Inputs{User: parse(b, text), Now: noon}
	for _, d := range w.Delegations {
		id := recordCID(d.Record)
		inputs.Facts.Delegations = append(inputs.Facts.Delegations, trust.Delegation{
			Statement: trust.Statement{Author: d.Author, Record: id, Seq: d.Seq, Time: d.Time}, To: d.To, Scopes: d.Scopes, Depth: d.Depth, Until: d.Until,
		})
	}
	var claims []trust.Claim
	for k := range 4 {
		claims = append(claims, trust.Claim{Author: testKey(k), Module: moduleCID("X"), Record: recordCID(fmt.Sprint(k))})
	}
	return inputs, claims
}

var sizes = []struct {
	name, scope string
	lines, each int
}{
	{"10-lines", "", 10, 3}, {"100-lines", "", 100, 3}, {"1000-lines", "", 1000, 3},
	{"100-decide", "left-*", 100, 3}, {"1000-decide", "left-*", 1000, 3}, {"1000-decide-9-delegations", "left-*", 1000, 9},
}

// BenchmarkView is reading the trust file and preparing decisions.
func BenchmarkView(b *testing.B) {
	for _, s := range sizes {
		b.Run(s.name, func(b *testing.B) {
			inputs, _ := benchBasis(b, s.lines, s.each, s.scope)
			text := inputs.User.Bytes()
			for b.Loop() {
				p, err := trust.Parse(text)
				if err != nil {
					b.Fatal(err)
				}
				inputs.User = p
				inputs.Evaluator()
			}
		})
	}
}

// BenchmarkDecide is a first decision about a name; BenchmarkDecideVersion the
// next ones, about its other versions.
func BenchmarkDecide(b *testing.B)        { benchDecide(b, func(i int) records.Name { return names[i%2] }) }
func BenchmarkDecideVersion(b *testing.B) { benchDecide(b, func(int) records.Name { return names[0] }) }

var names = []records.Name{"left-pad", "left-pads"}

func benchDecide(b *testing.B, name func(int) records.Name) {
	for _, s := range sizes {
		b.Run(s.name, func(b *testing.B) {
			inputs, claims := benchBasis(b, s.lines, s.each, s.scope)
			evaluator := inputs.Evaluator()
			want := trust.Untrusted
			if s.scope != "" {
				want = trust.Trusted
			}
			for i := 0; b.Loop(); i++ {
				if d := evaluator.Decide(name(i), "1.0.0", claims); d.State != want {
					b.Fatal(d.State)
				}
			}
		})
	}
}
