package trust_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

func changes(t *testing.T, in trust.Inputs, name records.Name, version records.Version, claims []trust.Claim) []trust.Change {
	t.Helper()
	all, err := in.Changes(t.Context(), name, version, claims)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func showChanges(changes []trust.Change) string {
	var s []string
	for _, c := range changes {
		text := c.Kind.String()
		if !c.Key.IsZero() {
			text += fmt.Sprint(" ", slices.Index(testKeys, c.Key))
		}
		if c.Scope != "" {
			text += " " + string(c.Scope)
		}
		if c.Count > 0 {
			text += fmt.Sprint(" ", c.Count)
		}
		if c.Line > 0 {
			text += fmt.Sprint(" line ", c.Line)
		}
		text += ": " + c.State.String()
		for _, m := range []string{"X", "Y"} {
			if c.To == moduleCID(m) {
				text += " " + m
			}
		}
		s = append(s, text)
	}
	return strings.Join(s, "; ")
}

// TestChanges is what "es why" says would change a decision.
func TestChanges(t *testing.T) {
	for _, c := range []struct {
		what, text string
		w          *world
		want       string
	}{
		{"nobody listed", "", about("left-pad", says(1, "X")), "add 1 left-pad: trusted X; pin: trusted X"},
		{"a broader scope", key(1, "*") + key(2, "left-pad"), about("left-pad", says(1, "X")), "add 1 left-pad: trusted X; pin: trusted X"},
		{"denied", "deny " + k1 + "\n", about("left-pad", says(1, "X")), "allow 1 line 1: untrusted"},
		{"a line that is over", key(1, "left-* until=2027-01-01"), about("left-pad", says(1, "X")), "renew 1 left-* line 1: trusted X; pin: trusted X"},
		{"too few", key(1, "*") + "threshold 2 *\n", about("left-pad", says(1, "X")), "threshold left-pad 1 line 2: trusted X; pin: trusted X"},
		{"a conflict", key(1, "*") + key(2, "*"), about("left-pad", says(1, "X"), says(2, "Y")),
			"pin: trusted Y; pin: trusted X; deny 2: trusted X; deny 1: trusted Y; threshold left-pad 2: untrusted"},
		{"a pin", key(1, "*") + "pin left-pad 1.0.0 " + modY + "\n", about("left-pad", says(1, "X")), "pin: trusted X; unpin line 2: trusted X"},
		{"a successor", key(1, "left-pad"), about("left-pad", says(2, "X")).succeeds(2, 1), "add 2 left-pad: trusted X; follow 1 left-pad line 1: trusted X; pin: trusted X"},
		{"trusted", key(1, "*"), about("left-pad", says(1, "X")), "threshold left-pad 2: untrusted; deny 1: denied"},
		{"invalid", key(1, "*"), about("left-pad", invalid(says(1, "X"), "revoked")), ""},
	} {
		changes := changes(t, c.w.inputs(t, parse(t, c.text)), c.w.Name, c.w.Version, c.w.claims(t))
		if got := showChanges(changes); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.what, got, c.want)
		}
	}
}

// TestChangesDoWhatTheySay makes every edit that is offered, in random worlds.
func TestChangesDoWhatTheySay(t *testing.T) {
	worlds := 100
	if full {
		worlds = 3000
	}
	r := rand.New(rand.NewPCG(7, 8))
	made := map[trust.ChangeKind]int{}
	for range worlds {
		name := universe[r.IntN(len(universe))]
		m := randomModel(r, name)
		in, claims := m.inputs(t, r, name), m.trustClaims()
		before := string(in.User.Bytes())
		for _, c := range changes(t, in, records.Name(name), "1.0.0", claims) {
			made[c.Kind]++
			after := in
			after.User = parse(t, before)
			makeChange(t, after.User, c, records.Name(name))
			d := after.Evaluator().Decide(records.Name(name), "1.0.0", claims)
			if d.State != c.State || d.Module != c.To {
				t.Fatalf("%s\n%s is %v %s\nchange %+v", name, after.User.Bytes(), d.State, d.Module, c)
			}
		}
		if string(in.User.Bytes()) != before {
			t.Fatal("trying changed the file")
		}
	}
	for k := trust.ChangeAdd; k <= trust.ChangeDeny; k++ {
		if k != trust.ChangeFollow && k != trust.ChangeRenew && made[k] == 0 {
			t.Errorf("no %v among the changes: %v", k, made)
		}
	}
}

func makeChange(t *testing.T, p *trust.Policy, c trust.Change, name records.Name) {
	t.Helper()
	var err error
	switch c.Kind {
	case trust.ChangeAdd, trust.ChangeRenew:
		_, err = p.AddKey(trust.Entry{Fingerprint: c.Key, Scopes: []records.Scope{c.Scope}})
	case trust.ChangeFollow:
		e := trust.Entry{Fingerprint: c.Key, Scopes: []records.Scope{c.Scope}, Follow: true}
		for _, old := range p.Entries() {
			if old.Line == c.Line {
				e.Depth, e.Until = old.Depth, old.Until
			}
		}
		_, err = p.AddKey(e)
	case trust.ChangeAllow:
		p.Allow(c.Key)
	case trust.ChangeThreshold:
		err = p.SetThreshold(c.Count, c.Scope)
	case trust.ChangePin:
		err = p.SetPin(name, "1.0.0", c.Module)
	case trust.ChangeUnpin:
		p.RemovePin(name, "1.0.0")
	case trust.ChangeDeny:
		_, err = p.Deny(c.Key, "")
	}
	if err != nil {
		t.Fatal(err)
	}
}
