package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// A lan is an Ethernet switch of its own, to which network namespaces are plugged.
// It needs root, and leaves nothing behind.
type lan struct {
	t      testing.TB
	name   string
	subnet int
	prefix string // the first three bytes of its addresses: 10.SUBNET.0 unless set before anybody is there
	hosts  int
}

func newLAN(t testing.TB, name string, subnet int) *lan {
	t.Helper()
	l := &lan{t: t, name: fmt.Sprintf("es%d-%s", os.Getpid(), name), subnet: subnet, prefix: fmt.Sprintf("10.%d.0", subnet)}
	namespace(t, l.name)
	ip(t, "-n", l.name, "link", "add", "switch", "type", "bridge")
	ip(t, "-n", l.name, "link", "set", "switch", "up")
	return l
}

func ip(t testing.TB, args ...string) {
	t.Helper()
	must(t, "/", nil, "ip", args...)
}

// namespace makes a network namespace that is removed when the test ends.
func namespace(t testing.TB, name string) {
	t.Helper()
	ip(t, "netns", "add", name)
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
			t.Errorf("remove network namespace %s: %v\n%s", name, err, out)
		}
	})
	ip(t, "-n", name, "link", "set", "lo", "up")
}

// host makes a namespace that is plugged to the switch.
func (l *lan) host(name string) (netns string) {
	l.t.Helper()
	netns = l.name + "-" + name
	namespace(l.t, netns)
	l.plug(netns)
	return netns
}

// plug connects a namespace to the switch, and gives it an address there.
func (l *lan) plug(netns string) (device string) {
	l.t.Helper()
	l.hosts++
	device = fmt.Sprintf("lan%d", l.subnet)
	ip(l.t, "link", "add", device, "netns", netns, "type", "veth", "peer", "name", fmt.Sprintf("port%d", l.hosts), "netns", l.name)
	ip(l.t, "-n", l.name, "link", "set", fmt.Sprintf("port%d", l.hosts), "master", "switch", "up")
	ip(l.t, "-n", netns, "addr", "add", fmt.Sprintf("%s.%d/24", l.prefix, l.hosts), "dev", device)
	ip(l.t, "-n", netns, "link", "set", device, "up")
	return device
}

// on puts a user, who has no network but the namespace's, on a LAN.
func (u *user) on(netns string) *user {
	u.netns, u.mdns = netns, "on"
	return u
}

// knows reports whether the release is in the user's index.
func (u *user) knows(p published) bool {
	u.t.Helper()
	return slices.ContainsFunc(u.search(p.Name), func(h hit) bool { return h.Record == p.Record })
}

// small makes a module directory.
func small(t testing.TB, name string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "package.json"), `{"name":"`+name+`","version":"1.0.0"}`)
	write(t, filepath.Join(dir, "index.js"), "module.exports = '"+name+"'\n")
	return dir
}

// TestTwoLANs has two local networks with no route between them. On each, peers
// find each other by multicast alone, publish and install; one machine that is
// carried from one to the other makes them equal.
func TestTwoLANs(t *testing.T) {
	here, there := newLAN(t, "a", 71), newLAN(t, "b", 72)
	ada, adasKey := newAuthor(t, "ada")
	bob, _ := newAuthor(t, "bob")
	ada.on(here.host("author"))
	bob.on(there.host("author"))
	readerA, readerB := newUser(t).on(here.host("reader")), newUser(t).on(there.host("reader"))

	adasNode := ada.daemon()
	bobsNode := bob.daemon()
	start := time.Now()
	readerA.daemon()
	found, _ := readerA.meets(adasNode, 20*time.Second)
	t.Logf("a neighbour is met %v after es node was started (%s)", time.Since(start).Round(time.Millisecond), found)
	readerB.daemon()
	readerB.meets(bobsNode, 20*time.Second)

	one, two := ada.publish(small(t, "one")), bob.publish(small(t, "two"))
	eventually(t, 20*time.Second, "each LAN knows its release", func() bool { return readerA.knows(one) && readerB.knows(two) })
	if readerA.knows(two) || readerB.knows(one) {
		t.Fatal("there is a way between the two LANs")
	}

	// Behind the partition everything goes on, with a node and without.
	readerA.es("", "trust", "add", adasKey, "one", "--yes")
	readerA.es(readerA.project(), "add", "one", "--yes")
	guest := newUser(t).on(here.host("guest"))
	start = time.Now()
	guest.es(guest.project(), "add", "one@"+one.Module)
	t.Logf("es add without a node, from a LAN where it knows nobody: %v", time.Since(start).Round(time.Millisecond))

	// The machine that is carried around keeps its node running.
	roamer := newUser(t).on(here.host("roamer"))
	wireless := there.plug(roamer.netns)
	ip(t, "-n", roamer.netns, "link", "set", wireless, "down")
	roamer.daemon()
	roamer.meets(adasNode, 20*time.Second)
	eventually(t, 30*time.Second, "the roamer knows one", func() bool { return roamer.knows(one) })
	move := func(from, to string) {
		ip(t, "-n", roamer.netns, "link", "set", from, "down")
		ip(t, "-n", roamer.netns, "link", "set", to, "up")
		start = time.Now()
	}
	move("lan71", "lan72")
	roamer.meets(bobsNode, 60*time.Second)
	t.Logf("a machine that moved meets its new neighbours after %v", time.Since(start).Round(time.Millisecond))
	eventually(t, 60*time.Second, "the second LAN knows both", func() bool {
		return bob.knows(one) && readerB.knows(one) && roamer.knows(two)
	})
	move("lan72", "lan71")
	eventually(t, 90*time.Second, "the first LAN knows both", func() bool { return ada.knows(two) && readerA.knows(two) })
	t.Logf("and brings the news back after %v", time.Since(start).Round(time.Millisecond))
	var counts []int64
	for _, u := range []*user{ada, bob, readerA, readerB, roamer} {
		var s struct{ Records int64 }
		u.json(&s, "", "status")
		counts = append(counts, s.Records)
	}
	if slices.Max(counts) != 2 || slices.Min(counts) != 2 {
		t.Errorf("they know %v records, want 2 each", counts)
	}
}
