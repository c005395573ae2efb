package interop

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// spread is what es publish --json says of how far a release has come.
type spread struct {
	Name    string
	Version string
	Peers   int
	Holders int
	Daemon  bool
}

// TestPublishWithoutNode has an author without a running node publish among nodes
// with the defaults of es: while nobody fetches, it is told that nobody else has the
// files, and --wait ends with code 6; a node that seeds has them before the author
// leaves, and serves them when the author is gone.
func TestPublishWithoutNode(t *testing.T) {
	net := newInternet(t)
	author, key := newAuthor(t, "ada")
	author.at(net.host("author"))
	other := newUser(t).at(net.host("other"))
	there := other.daemon()
	author.es("", "connect", there.addrs[0])

	const alone = "nobody else has the files yet"
	one := small(t, "one")
	r := author.try(one, "publish")
	if r.code != 0 || !strings.Contains(r.stderr, "announced to 1 peer") || !strings.Contains(r.stderr, alone) || !strings.Contains(r.stderr, "es publish --wait") {
		t.Errorf("a publish that nobody fetched: %v", r)
	}
	var s spread
	if author.json(&s, one, "publish"); s.Name != "one" || s.Peers != 1 || s.Holders != 0 || s.Daemon {
		t.Errorf("with --json it says %+v", s)
	}
	start := time.Now()
	r = author.try(one, "publish", "--wait", "3s", "--json")
	if err := json.Unmarshal([]byte(r.stdout), &s); err != nil || r.code != 6 || s.Holders != 0 || time.Since(start) < 3*time.Second || !strings.Contains(r.stderr, "after 3s no peer has fetched its files") {
		t.Errorf("a wait in vain: %v, %v", r, err)
	}

	// Somebody takes it while the author waits.
	waiting := make(chan result, 1)
	go func() { waiting <- author.try(one, "publish", "--wait", "90s") }()
	other.es("", "trust", "add", key, "one", "--yes")
	project := other.project()
	eventually(t, 60*time.Second, "the other installs it from the author who waits", func() bool { return other.try(project, "add", "one", "--yes").code == 0 })
	if r = <-waiting; r.code != 0 || !strings.Contains(r.stderr, "files at 1 peer") {
		t.Errorf("a wait that ended well: %v", r)
	}

	// A node that seeds the author has it before the author leaves.
	seed := newUser(t).at(net.host("seed"))
	seed.es("", "trust", "add", key, "two", "--yes")
	source := seed.daemon("--seed", "trusted")
	author.es("", "connect", source.addrs[0])
	if r = author.try(small(t, "two"), "publish"); r.code != 0 || !strings.Contains(r.stderr, "files at 1 peer") {
		t.Errorf("a publish that a node seeds: %v", r)
	}
	reader := newUser(t).at(net.host("reader"))
	reader.es("", "trust", "add", key, "two", "--yes")
	reader.es("", "connect", source.addrs[0])
	reader.es(reader.project(), "add", "two", "--yes")

	// With a running node it is said that it serves.
	author.daemon()
	r = author.try(small(t, "three"), "publish")
	if r.code != 0 || !strings.Contains(r.stderr, "the running es node serves") && !strings.Contains(r.stderr, "no peers connected") {
		t.Errorf("a publish with a running node: %v", r)
	}
}

// onlyES reports whether all that a command said is es's own.
func onlyES(r result) bool {
	for line := range strings.Lines(r.stderr) {
		if !strings.HasPrefix(line, "es: ") && !strings.HasPrefix(line, "    ") {
			return false
		}
	}
	return true
}

// TestNeighboursAreRemembered has a command meet a node by multicast alone: the next
// one dials it without. Nothing but es's own words reaches the terminal, whether
// somebody is there or not.
func TestNeighboursAreRemembered(t *testing.T) {
	net := newLAN(t, "n", 73)
	author, key := newAuthor(t, "ada")
	author.on(net.host("author"))
	author.usual, author.mdns = true, ""
	there := author.daemon()
	author.publish(small(t, "near"))
	reader := newUser(t).on(net.host("reader"))
	reader.usual, reader.mdns = true, ""
	id := there.addrs[0][strings.LastIndex(there.addrs[0], "/")+1:]
	for _, args := range [][]string{
		{"sync"}, {"peers"}, {"connect", "/ip4/10.73.0.99/tcp/4011/p2p/" + id}, {"connect", "/dns4/nowhere.example/tcp/4011/p2p/" + id}, {"sync"}, {"doctor"}, {"search", "near"},
	} {
		r := reader.try("", args...)
		if !onlyES(r) {
			t.Errorf("a library speaks: %v", r)
		}
		if wrong := args[0] == "connect"; wrong != (r.code != 0) && args[0] != "doctor" || wrong && !strings.Contains(r.stderr, "it is remembered at /ip4/10.73.0.") {
			t.Error(r)
		}
	}
	known, err := os.ReadFile(filepath.Join(reader.home, "peers.json"))
	if err != nil || !strings.Contains(string(known), id) || strings.Contains(string(known), "10.73.0.99") || strings.Contains(string(known), "nowhere") {
		t.Errorf("peers.json holds %s: %v", known, err)
	}
	reader.usual, reader.mdns, reader.dht = false, "off", "off"
	reader.es("", "trust", "add", key, "near", "--yes")
	reader.es(reader.project(), "add", "near", "--yes")
	if r := reader.try("", "sync"); r.code != 0 {
		t.Errorf("without multicast the neighbour is not dialled: %v", r)
	}
	// With nobody at all, too.
	lonely := newUser(t).on(net.host("lonely"))
	lonely.usual, lonely.mdns = true, ""
	there.stop()
	for _, args := range [][]string{{"sync"}, {"connect", there.addrs[0]}, {"add", "near"}} {
		if r := lonely.try(lonely.project(), args...); !onlyES(r) || r.code == 0 {
			t.Errorf("with nobody there: %v", r)
		}
	}
}
