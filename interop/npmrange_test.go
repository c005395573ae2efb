package interop

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/records/npmrange"
)

// semverVersion is the node-semver of SPEC R120.
const semverVersion = "7.8.6"

// installSemver returns where node finds node-semver.
func installSemver(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	unpack(t, fetch(t, "semver", semverVersion), dir)
	return dir
}

// TestRangesAsNodeSemver compares what es and node-semver make of generated ranges:
// ES_RANGES of them, or 1,000, each with some 18 versions and both ways of reading
// pre-releases. ES_SEED chooses others.
func TestRangesAsNodeSemver(t *testing.T) {
	count, seed := 1000, "1"
	if n, err := strconv.Atoi(os.Getenv("ES_RANGES")); err == nil {
		count = n
	}
	if s := os.Getenv("ES_SEED"); s != "" {
		seed = s
	}
	script := filepath.Join("..", "testdata", "npmrange", "node-semver.js")
	cmd := exec.CommandContext(t.Context(), "node", script, installSemver(t), strconv.Itoa(count), seed)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node %s: %v", script, err)
	}
	ranges, pairs, differ := 0, 0, 0
	for line := range strings.Lines(string(out)) {
		var text string
		var held [2]*[]records.Version
		var versions []records.Version
		if err := json.Unmarshal([]byte(line), &[]any{&text, &held[0], &held[1], &versions}); err != nil {
			t.Fatal(err)
		}
		ranges++
		for i, parse := range []func(string) (npmrange.Range, error){npmrange.Parse, npmrange.ParsePrerelease} {
			r, err := parse(text)
			if (err != nil) != (held[i] == nil) {
				differ++
				t.Errorf("%q with pre-releases %v: %v, node-semver holds %v", text, i == 1, err, held[i])
				continue
			}
			for _, v := range versions {
				pairs++
				if err == nil && r.Match(v) != slices.Contains(*held[i], v) {
					differ++
					t.Errorf("%q with pre-releases %v holds %s: %v", text, i == 1, v, r.Match(v))
				}
			}
		}
	}
	if ranges != count || pairs < 5*count {
		t.Errorf("%d ranges and %d pairs were compared, of %d ranges", ranges, pairs, count)
	}
	t.Logf("%d ranges, %d pairs, %d differences", ranges, pairs, differ)
}
