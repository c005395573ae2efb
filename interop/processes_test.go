package interop

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// hit is one line of `es search --json`.
type hit struct {
	Name    string
	Version string
	Author  string
	Trusted bool
	Module  string
	Record  string
}

// search returns what es search finds, which may be nothing.
func (u *user) search(query string) []hit {
	u.t.Helper()
	r := u.try("", "search", query, "--json")
	var hits []hit
	if r.code != 0 && r.code != 5 || json.Unmarshal([]byte(r.stdout), &hits) != nil {
		u.t.Fatal(r)
	}
	return hits
}

// TestThreeProcesses measures the time from `es publish` in one home to the
// release in another's `es search`: two nodes, and a process for each command.
func TestThreeProcesses(t *testing.T) {
	const limit = 2 * time.Second
	author, fingerprint := newAuthor(t, "author")
	reader := newUser(t)
	there := author.node()
	reader.node("--bootstrap", there.addrs[0])
	author.waitForPeer()
	reader.waitForPeer()
	reader.es("", "trust", "add", fingerprint, "latency-*", "--yes")

	var took []time.Duration
	for i := range 10 {
		name := fmt.Sprintf("latency-%d", i)
		source := t.TempDir()
		write(t, filepath.Join(source, "package.json"), `{"name":"`+name+`","version":"1.0.0"}`)
		write(t, filepath.Join(source, "index.js"), "module.exports = '"+name+"'\n")

		start := time.Now()
		release := author.publish(source)
		published := time.Since(start)
		eventually(t, limit-published, name+" in es search", func() bool {
			hits := reader.search(name)
			return slices.ContainsFunc(hits, func(h hit) bool {
				return h.Name == name && h.Record == release.Record && h.Module == release.Module &&
					h.Author == fingerprint && h.Trusted
			})
		})
		took = append(took, time.Since(start))

		project := reader.project()
		reader.es(project, "add", name, "--yes")
		installed := readTree(t, filepath.Join(project, "node_modules", name))
		if diff := differences(installed, readTree(t, source)); diff != "" {
			t.Fatal(diff)
		}
	}
	slices.Sort(took)
	t.Logf("from publish to search: median %v, slowest %v of %d", took[len(took)/2], took[len(took)-1], len(took))
	if slowest := took[len(took)-1]; slowest > limit {
		t.Errorf("slowest %v, want at most %v", slowest, limit)
	}
}

// TestOfflineAuthor publishes with no node running: the release spreads when
// the author's node meets a peer later.
func TestOfflineAuthor(t *testing.T) {
	author, fingerprint := newAuthor(t, "author")
	reader := newUser(t)
	reader.es("", "trust", "add", fingerprint, "patient", "--yes")
	source := t.TempDir()
	write(t, filepath.Join(source, "package.json"), `{"name":"patient","version":"1.0.0"}`)
	author.publish(source)

	there := reader.node()
	author.node("--bootstrap", there.addrs[0])
	eventually(t, 20*time.Second, "patient in es search", func() bool {
		hits := reader.search("patient")
		return len(hits) == 1 && hits[0].Author == fingerprint
	})
}
