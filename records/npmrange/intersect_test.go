package npmrange

import "testing"

// TestIntersects compares with what node-semver 7.8.6 answers.
func TestIntersects(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"^1.0.0", "^1.5.0", true}, {"^1.0.0", "^2.0.0", false}, {"*", "^2.0.0", true}, {"1.2.3", "^1.0.0", true},
		{"1.2.3", "1.2.3", true}, {"1.2.3", "1.2.4", false}, {">1.0.0", "<=1.0.0", false}, {">=1.0.0", "<=1.0.0", true},
		{"<1.0.0", "<2.0.0", true}, {">1.0.0", ">5.0.0", true}, {"<0.0.0", "*", true}, {"<0.0.0", "<1.0.0", false},
		{"1 || 3", "2 || 3.1", true}, {"1 || 3", "2 || 4", false}, {">=2.0.0 <1.0.0", "*", false}, {"1.0.0-rc.1", "^1.0.0", false},
		{"^1.0.0-rc.1", "1.0.0-rc.5", false}, {">=1.0.0-rc.1", "1.0.0-rc.5", true}, {"<=2.0.0", "2.0.0", true}, {"<2.0.0", "2.0.0", false},
	} {
		a, err := Parse(c.a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Parse(c.b)
		if err != nil {
			t.Fatal(err)
		}
		if a.Intersects(b) != c.want || b.Intersects(a) != c.want {
			t.Errorf("%q and %q: %t and %t, want %t", c.a, c.b, a.Intersects(b), b.Intersects(a), c.want)
		}
	}
}
