package trust_test

import (
	"testing"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

func parse(t testing.TB, text string) *trust.Policy {
	t.Helper()
	p, err := trust.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

func parseView(t testing.TB, text string, own []records.Fingerprint) *trust.Evaluator {
	t.Helper()
	return trust.NewEvaluator(parse(t, text), own, noon)
}

func TestViewDecides(t *testing.T) {
	evaluator := parseView(t, "key "+k1+" left-* label=one\nkey "+k2+" * until=2027-01-01\nkey "+k3+" *\ndeny "+k3+" label=three\n", []records.Fingerprint{testKey(4)})
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
		if got := evaluator.Decides(testKey(c.key), c.name); got != c.want {
			t.Errorf("key %d, %s: %t", c.key, c.name, got)
		}
	}
	if evaluator.Label(testKey(1)) != "one" || evaluator.Label(testKey(3)) != "three" || evaluator.Label(testKey(4)) != "" {
		t.Error("labels differ")
	}
	if !evaluator.Denied(testKey(3)) || evaluator.Denied(testKey(1)) {
		t.Error("denials differ")
	}
	if r := evaluator.Rule("left-pad"); r.Scope != "left-*" || len(r.Keys) != 1 || r.Keys[0].Line != 1 || r.Threshold != 1 {
		t.Errorf("rule %+v", r)
	}
}
