package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// prompt bounds a command that has nothing to wait for, on a busy machine.
const prompt = 20 * time.Second

// TestBareNode starts es node without a flag: it listens on port 4011 of all
// addresses, says so, those first that others can dial, and is reached on each.
func TestBareNode(t *testing.T) {
	net := newInternet(t)
	home := net.host("author")
	ip(t, "-n", home.netns, "addr", "add", "5.1.1.3/24", "dev", "eth0")
	author, key := newAuthor(t, "ada")
	author.at(home)
	there := author.daemon()
	var direct []string
	for _, want := range []string{"/ip4/5.1.1.2/tcp/4011/", "/ip4/5.1.1.2/udp/4011/quic-v1/", "/ip4/5.1.1.3/tcp/4011/", "/ip6/2a00:5e5:1::2/tcp/4011/", "/ip6/2a00:5e5:1::2/udp/4011/quic-v1/"} {
		i := slices.IndexFunc(there.addrs, func(a string) bool { return strings.HasPrefix(a, want) })
		if i < 0 {
			t.Fatalf("es node says that it listens on %q, want %s too", there.addrs, want)
		}
		direct = append(direct, there.addrs[i])
	}
	for i, addr := range there.addrs {
		loopback := strings.HasPrefix(addr, "/ip4/127.") || strings.HasPrefix(addr, "/ip6/::1/")
		if strings.Contains(addr, "p2p-circuit") || loopback != (i >= len(there.addrs)-4) {
			t.Errorf("es node tells its addresses as %q", there.addrs)
			break
		}
	}
	release := author.publish(small(t, "bare"))
	for i, addr := range direct {
		reader := newUser(t).at(net.host(fmt.Sprint("reader", i)))
		start := time.Now()
		reader.es("", "connect", addr)
		reader.es("", "sync")
		reader.es("", "trust", "add", key, "bare", "--yes")
		reader.es(reader.project(), "add", "bare", "--yes")
		if took := time.Since(start); took > prompt {
			t.Errorf("by %s it took %v", addr, took)
		}
		if !reader.knows(release) {
			t.Errorf("by %s nothing was learned", addr)
		}
	}
	var s struct {
		Daemon bool
		Listen []string
	}
	author.json(&s, "", "status")
	if !s.Daemon || len(s.Listen) != 4 {
		t.Errorf("es status says that it listens on %q", s.Listen)
	}
}

// TestTakenPortIsTold has two homes on one machine: the second node listens
// elsewhere, says so, and is reached all the same.
func TestTakenPortIsTold(t *testing.T) {
	net := newInternet(t)
	home := net.host("home")
	newUser(t).at(home).daemon()
	second, _ := newAuthor(t, "bob")
	there := second.at(home).daemon()
	if !strings.Contains(there.messages(), "port 4011 is taken: it listens on ") {
		t.Errorf("es node with a taken port says only %q", there.messages())
	}
	newUser(t).at(net.host("reader")).es("", "connect", there.addrs[0])
}

// TestUnreachedNodes tells of nodes that nobody can dial, at once and when asked.
func TestUnreachedNodes(t *testing.T) {
	net := newInternet(t)
	home := net.host("home")
	u := newUser(t).at(home)
	there := u.daemon("--listen", "/ip4/127.0.0.1/tcp/0")
	const alone = "nobody outside this machine can reach this node: it listens on loopback alone"
	says := func(text string) {
		t.Helper()
		if r := u.try("", "status"); !strings.Contains(r.stdout, text) {
			t.Errorf("es status does not say %q: %v", text, r)
		}
		if r := u.try("", "doctor"); !strings.Contains(r.stdout, "reach    "+text) {
			t.Errorf("es doctor does not say %q: %v", text, r)
		}
	}
	if !strings.Contains(there.messages(), alone) || !strings.Contains(there.messages(), "es node --listen default") {
		t.Errorf("es node on loopback says only %q", there.messages())
	}
	says(alone)
	there.stop()

	// It is remembered, until it is taken back.
	there = u.daemon()
	says(alone)
	there.stop()
	there = u.daemon("--listen", "default", "--announce", "/ip4/5.9.9.9/tcp/4011")
	if r := u.try("", "status"); strings.Contains(r.stdout, "nobody") || !strings.Contains(r.stdout, "address   /ip4/5.9.9.9/tcp/4011/p2p/") {
		t.Error(r)
	}
	there.stop()
	there = u.daemon("--announce", "none")
	if slices.ContainsFunc(there.addrs, func(a string) bool { return strings.Contains(a, "5.9.9.9") }) {
		t.Errorf("an address that was forgotten is announced: %q", there.addrs)
	}
	there.stop()

	ip(t, "-n", home.netns, "link", "set", "eth0", "down")
	ip(t, "-n", home.netns, "addr", "flush", "dev", "eth0")
	u.daemon()
	says("nobody outside this machine can reach this node: the machine has no other address")
}

// TestBareCommands runs every command that meets others as a user types it, with the
// defaults: the DHT that does not answer, multicast, no flag that says where.
func TestBareCommands(t *testing.T) {
	net := newInternet(t)
	home, street := net.host("author"), net.host("reader")
	author, key := newAuthor(t, "ada")
	author.at(home)
	there := author.daemon()
	release := author.publish(small(t, "bare"))
	source := small(t, "another")
	reader := newUser(t).at(street)
	reader.es("", "key", "new", "--name", "bob", "--no-passphrase")
	project := reader.project()
	for _, c := range []struct {
		dir   string
		args  []string
		code  int
		limit time.Duration
	}{
		{"", []string{"status"}, 0, prompt},
		{"", []string{"peers"}, 0, prompt},
		{"", []string{"doctor"}, 1, prompt}, // nobody is connected
		{"", []string{"sync"}, 6, prompt},
		{"", []string{"search", "bare"}, 5, prompt},
		{project, []string{"add", "bare"}, 5, 2 * prompt}, // nobody is known who could be asked
		{"", []string{"connect", there.addrs[0]}, 0, prompt},
		{"", []string{"sync"}, 0, prompt},
		{"", []string{"peers"}, 0, prompt},
		{"", []string{"search", "bare"}, 0, prompt},
		{"", []string{"info", "bare"}, 0, prompt},
		{"", []string{"trust", "add", key, "bare", "--yes"}, 0, prompt},
		{"", []string{"trust", "list"}, 0, prompt},
		{"", []string{"key", "list"}, 0, prompt},
		{project, []string{"add", "bare", "--yes"}, 0, prompt},
		{project, []string{"list"}, 0, prompt},
		{project, []string{"why", "bare"}, 0, prompt},
		{project, []string{"update"}, 0, prompt},
		{project, []string{"install"}, 0, prompt},
		{project, []string{"verify"}, 0, prompt},
		{source, []string{"publish"}, 0, prompt},
		{"", []string{"doctor"}, 0, prompt},
		{"", []string{"status"}, 0, prompt},
		{"", []string{"export", "bare@1.0.0"}, 0, prompt},
		{project, []string{"remove", "bare"}, 0, prompt},
	} {
		start := time.Now()
		r := reader.try(c.dir, c.args...)
		if took := time.Since(start); r.code != c.code || took > c.limit {
			t.Errorf("after %v, want code %d within %v: %v", took.Round(time.Millisecond), c.code, c.limit, r)
		}
	}
	if r := newUser(t).at(street).try("", "search", "bare"); !strings.Contains(r.stderr, "no peer was asked for records yet") {
		t.Errorf("a search in a home that asked nobody: %v", r)
	}
	if !reader.knows(release) {
		t.Error("nothing was learned")
	}
	eventually(t, prompt, "the author's node hears of what the reader published", func() bool {
		return author.try("", "search", "another").code == 0
	})
}
