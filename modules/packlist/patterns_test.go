package packlist

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/modules/internal/treetest"
	"github.com/everythingstays/es/modules/minimatch"
)

// TestThreat62Patterns: no pattern of a checkout keeps es busy. What a pattern may
// cost is counted, so that the same packages are refused on every machine.
func TestThreat62Patterns(t *testing.T) {
	braces := strings.Repeat("{a,b}", 8)
	bombs := map[string]string{
		"expansions":       strings.Repeat(braces, 4),
		"an ambiguous one": strings.Repeat("*(a|aa)", 3) + "c",
		"negations":        strings.Repeat("!(a)", 40),
		"a long one":       strings.Repeat("a", 5000),
		"open brackets":    strings.Repeat("[", 60000),
		"open braces":      "{" + strings.Repeat("{},", 20000) + "}",
		"open groups":      strings.Repeat("+(", 30000),
		"many":             strings.Repeat(strings.Repeat("{a,b}", 12)+"\n", 3000),
		"sequences":        strings.Repeat(strings.Repeat("{1..100000}", 300)+"\n", 100),
	}
	for name, pattern := range bombs {
		dir := t.TempDir()
		write := func(path, text string) {
			if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		write(npmjson.FileName, treetest.MinimalPackage)
		write(strings.Repeat("a", 40), "")
		write(".npmignore", pattern)
		start := treetest.CPUTime()
		_, _, err := List(dir)
		if name == "expansions" {
			// The list ends at 100,000, as npm's does, and none of those matches.
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else if treetest.RuleOf(err) != "M9" {
			t.Errorf("%s: %v, want a refusal by M9", name, err)
		}
		t.Logf("%s: %v of processor time", name, treetest.CPUTime()-start)
	}
	// A large package with ordinary patterns is far below the bound.
	budget := minimatch.Budget{Left: maxSteps}
	var rules []*minimatch.Rule
	for _, p := range append(append([]string{"*.log", "**/test/**", "coverage", "!(dist|lib)/**/*.[jt]s?(x)", "docs/**/*.{md,html}"}, packDefaults...), packStrict...) {
		rules = append(rules, minimatch.Compile(p, &budget))
	}
	for i := range 2000 {
		budget.Left += stepsPerEntry
		for _, r := range rules {
			r.MatchEntry(fmt.Sprintf("src/component-%d/deeply/nested/module-name.test.tsx", i), true, "module-name.test.tsx")
		}
	}
	if budget.Exceeded || budget.Left < maxSteps {
		t.Errorf("%d entries of an ordinary package cost more than they may: %d left of %d", 2000, budget.Left, maxSteps)
	}
}
