package interop

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// peerInfo is one of `es peers --json`.
type peerInfo struct {
	Peer   string
	Found  string
	Gossip bool
}

// id is the peer id of a daemon.
func (d *daemon) id() string { return d.addrs[0][strings.LastIndex(d.addrs[0], "/")+1:] }

// meets waits until the user's node exchanges records with a daemon, and returns
// how it found it.
func (u *user) meets(d *daemon, limit time.Duration) (found string, took time.Duration) {
	u.t.Helper()
	took = eventually(u.t, limit, "a meeting", func() bool {
		var peers []peerInfo
		u.json(&peers, "", "peers")
		i := slices.IndexFunc(peers, func(p peerInfo) bool { return p.Peer == d.id() && p.Gossip })
		if i >= 0 {
			found = peers[i].Found
		}
		return i >= 0
	})
	return found, took
}

// TestOwnDHT has a DHT of three nodes. Two others, which know one of them each,
// find each other and a module; the second goes on providing it when the first is
// gone; and kubo finds it there too.
func TestOwnDHT(t *testing.T) {
	var doors []string
	for range 3 {
		args := []string{"--dht", "own"}
		if len(doors) > 0 {
			args = append(args, "--bootstrap", doors[0])
		}
		doors = append(doors, newUser(t).node(args...).addrs[0])
	}
	author, fingerprint := newAuthor(t, "author")
	reader := newUser(t)
	there := author.node("--dht", "own", "--bootstrap", doors[1])
	start := time.Now()
	second := reader.node("--dht", "own", "--bootstrap", doors[2])
	found, _ := reader.meets(there, time.Minute)
	t.Logf("met through the DHT after %v (%s)", time.Since(start).Round(time.Millisecond), found)

	source := sample(t, "in-the-dht")
	want := readTree(t, source)
	release := author.publish(source)
	reader.es("", "trust", "add", fingerprint, "in-the-dht", "--yes")
	eventually(t, 20*time.Second, "in-the-dht in es search", func() bool {
		hits := reader.search("in-the-dht")
		return len(hits) == 1 && hits[0].Trusted
	})
	reader.es(reader.project(), "add", "in-the-dht", "--yes")
	there.stop()

	// Somebody who knows a door and runs no node; the home says where.
	late := newUser(t)
	late.dht = "own"
	write(t, filepath.Join(late.home, "network"), "dht own\nbootstrap "+doors[0]+"\n")
	if err := os.Chmod(late.home, 0o700); err != nil {
		t.Fatal(err)
	}
	var project string
	took := eventually(t, time.Minute, "es add of what the reader provides", func() bool {
		project = late.project()
		return late.try(project, "add", "in-the-dht@"+release.Module).code == 0
	})
	t.Logf("the second provider served it after %v", took.Round(time.Millisecond))
	if diff := differences(readTree(t, filepath.Join(project, "node_modules", "in-the-dht")), want); diff != "" {
		t.Error(diff)
	}

	k := newKubo(t, func(k *kubo) {
		k.ipfs("config", "Routing.Type", "dht")
		k.ipfs("config", "--json", "Routing.LoopbackAddressesOnLanDHT", "true")
		k.ipfs("bootstrap", "rm", "--all")
		k.ipfs("bootstrap", "add", doors[0])
	})
	took = eventually(t, time.Minute, "a provider known to kubo", func() bool {
		r := run(t, filepath.Dir(k.repo), k.env(), k.program, "routing", "findprovs", "--timeout=10s", release.Module)
		return strings.TrimSpace(r.stdout) != ""
	})
	t.Logf("kubo found a provider after %v", took.Round(time.Millisecond))
	// kubo asks nobody for blocks whom its DHT has met before its bitswap started,
	// which in so small a network are all: so it has to meet the provider again.
	k.ipfs("swarm", "disconnect", second.addrs[0])
	got := filepath.Join(t.TempDir(), "got")
	k.ipfs("get", "--timeout=60s", "--output="+got, release.Module)
	if diff := differences(readTree(t, got), want); diff != "" {
		t.Error(diff)
	}
}
