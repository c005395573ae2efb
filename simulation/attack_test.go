package simulation

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// An attack is what sybils do to members.
type attack struct {
	name string
	// coldBoot has sybils and members come at the same time, instead of the
	// sybils to a network that works.
	coldBoot bool
	// surrounds has sybils connect to more members than these keep connections.
	surrounds bool
	// forwards says what sybils pass on; nil is for nothing. flash is when the
	// attack proper begins.
	forwards func(r *record, flash time.Time) bool
	spams    bool
}

// The scenarios of gossipsub-hardening, by its names for them. Each sybil has
// its own address: the penalty for sharing one does not help.
var attacks = []attack{
	{name: "eclipse", surrounds: true},
	{name: "cold boot", coldBoot: true},
	{name: "covert flash", coldBoot: true, forwards: func(_ *record, flash time.Time) bool { return time.Now().Before(flash) }},
	{name: "spam", spams: true},
	{name: "censorship", forwards: func(r *record, _ time.Time) bool { return r.author != censored }},
}

// censored is the member whose records are held back; it publishes every other.
const censored = 0

// A siege is the size of an attack.
type siege struct {
	members, sybils int
	degree          int           // how many others each member knows
	reach, surround int           // how many members a sybil connects to
	warm, attack    time.Duration // before it, and of it
	every           time.Duration // a record is published
}

// Threat 31: whatever a majority of sybils does, all records arrive.
func TestThreat31Attacks(t *testing.T) {
	s := siege{members: 8, sybils: 32, degree: 2, reach: 5, surround: 8, warm: 10 * time.Second, attack: 30 * time.Second, every: time.Second}
	if full {
		s = siege{members: 100, sybils: 400, degree: 10, reach: 20, surround: 50, warm: 30 * time.Second, attack: 2 * time.Minute, every: 500 * time.Millisecond}
		if n, err := strconv.Atoi(os.Getenv("ES_MEMBERS")); err == nil {
			s.members, s.sybils, s.surround = n, 4*n, n
		}
	}
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) { a.run(t, s) })
	}
}

func (a attack) run(t *testing.T, s siege) {
	cfg := Config{Hosts: s.members + s.sybils, Latency: 25 * time.Millisecond, Jitter: 0.1, Seed: seed}
	cfg.Conns = func(i int) (low, high int) {
		if i < s.members {
			return 128, 192 // as a node
		}
		return 1 << 20, 1 << 20
	}
	Run(t, cfg, func(t *testing.T, n *Network) {
		w := newWorld(seed)
		var members []*member
		for i := range s.members {
			m := join(t, n, w, i)
			defer m.stop()
			members = append(members, m)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var publishing sync.WaitGroup
		defer publishing.Wait()
		publishing.Go(func() { keepPublishing(ctx, n, members, s.every) })

		flash := time.Now().Add(s.warm)
		if a.coldBoot {
			flash = flash.Add(s.warm)
		} else {
			mesh(t, n, members, s.degree)
			time.Sleep(s.warm)
		}
		var sybils []*sybil
		var parts sync.WaitGroup
		reach := s.reach
		if a.surrounds {
			reach = s.surround
		}
		for i := s.members; i < s.members+s.sybils; i++ {
			y := corrupt(t, n, w, i)
			defer y.stop()
			if a.forwards != nil {
				y.forwards = func(r *record) bool { return a.forwards(r, flash) }
			}
			sybils = append(sybils, y)
			parts.Go(func() { y.connect(members, reach, s.warm/2) })
		}
		if a.coldBoot {
			mesh(t, n, members, s.degree)
			time.Sleep(s.warm)
		}
		if a.spams {
			for _, y := range sybils {
				parts.Go(func() { y.spam(ctx, time.Second) })
			}
		}
		began := time.Now()
		time.Sleep(s.attack)
		foes := 0
		for _, m := range members {
			foes += len(m.host.Network().Peers())
		}
		friends := honestLinks(members)
		for _, y := range sybils {
			y.stop()
		}
		ended := time.Now()
		time.Sleep(10 * time.Second)
		cancel()
		parts.Wait()
		publishing.Wait()
		// Until the next pull from a random peer at the latest.
		time.Sleep(pullEvery*6/5 + 10*time.Second)
		t.Logf("%s: %d members, %d sybils: at its end a member has %.1f connections, %.1f of them to members",
			a.name, s.members, s.sybils, float64(foes)/float64(s.members), float64(friends)/float64(s.members))
		report(t, w.records(), members, began, ended)
	})
}

// honestLinks counts, from each side, the connections between members.
func honestLinks(members []*member) int {
	links := 0
	for _, m := range members {
		for _, o := range members {
			links += len(m.host.Network().ConnsToPeer(o.host.ID()))
		}
	}
	return links
}

func keepPublishing(ctx context.Context, n *Network, members []*member, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var published sync.WaitGroup
	defer published.Wait()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		from := censored
		if i%2 == 0 {
			from = n.Rand.IntN(len(members))
		}
		published.Go(func() { members[from].publish() })
	}
}

// report says how late records came, and fails when one never came or 1 of 100
// more than 5 s after the end of the attack or after its own publication.
func report(t *testing.T, all []*record, members []*member, began, ended time.Time) {
	t.Helper()
	var during, late []time.Duration
	missing, pulled, afterwards := 0, 0, 0
	for _, r := range all {
		arrived := r.arrivals()
		missing += len(members) - len(arrived)
		for _, a := range arrived {
			if a.pulled {
				pulled++
			}
			if !r.published.Before(began) && r.published.Before(ended) {
				during = append(during, a.at.Sub(r.published))
				if a.at.After(ended) {
					afterwards++
				}
			}
			least := ended
			if r.published.After(ended) {
				least = r.published
			}
			late = append(late, max(0, a.at.Sub(least)))
		}
	}
	show := func(values []time.Duration) string {
		return fmt.Sprintf("p50 %v, p99 %v, all %v", percentile(values, 0.5).Round(time.Millisecond),
			percentile(values, 0.99).Round(time.Millisecond), percentile(values, 1).Round(time.Millisecond))
	}
	t.Logf("%d records, %d of %d deliveries, %d of these pulled", len(all), len(late), len(all)*len(members), pulled)
	t.Logf("published during the attack: %s; %d of %d after its end", show(during), afterwards, len(during))
	t.Logf("late, after the end of the attack: %s", show(late))
	t.Logf("pulls: %s", outcomes(members))
	if missing > 0 {
		t.Errorf("%d of %d deliveries are missing", missing, len(all)*len(members))
	}
	if p99 := percentile(late, 0.99); p99 > 5*time.Second {
		t.Errorf("p99 is %v after the end of the attack, want at most 5 s", p99)
	}
	if len(during) == 0 {
		t.Error("nothing was published during the attack: the test shows nothing")
	}
}

// Threat 31: a node that knows one honest peer, and is otherwise among
// sybils, has all records by the next pull at the latest.
func TestThreat31SingleVictim(t *testing.T) {
	sybils, others, minutes := 40, 4, 1
	if full {
		sybils, others, minutes = 400, 20, 3
	}
	cfg := Config{Hosts: 1 + others + sybils, Latency: 25 * time.Millisecond, Jitter: 0.1, Seed: seed}
	cfg.Conns = func(i int) (low, high int) {
		if i <= others {
			return 128, 192
		}
		return 1 << 20, 1 << 20
	}
	Run(t, cfg, func(t *testing.T, n *Network) {
		w := newWorld(seed)
		var members []*member
		for i := range 1 + others {
			m := join(t, n, w, i)
			defer m.stop()
			members = append(members, m)
		}
		victim := members[0]
		victim.asksFor(members[1].host)
		mesh(t, n, members[1:], 3)
		var meeting sync.WaitGroup
		for i := 1 + others; i < len(n.Hosts); i++ {
			y := corrupt(t, n, w, i)
			defer y.stop()
			meeting.Go(func() { y.connect(members[:1], 1, time.Second) })
		}
		meeting.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(minutes)*time.Minute)
		defer cancel()
		keepPublishing(ctx, n, members[1:], time.Second)
		peers := len(victim.host.Network().Peers())
		time.Sleep(pullEvery*6/5 + 10*time.Second)

		var times []time.Duration
		missing, pulled := 0, 0
		for _, r := range w.records() {
			a, ok := r.arrivals()[victim.i]
			if !ok {
				missing++
				continue
			}
			if a.pulled {
				pulled++
			}
			times = append(times, a.at.Sub(r.published))
		}
		t.Logf("one victim with %d peers, 1 honest: %d of %d records, %d of these pulled; p50 %v, p99 %v, all %v", peers, len(times), len(w.records()), pulled,
			percentile(times, 0.5).Round(time.Millisecond), percentile(times, 0.99).Round(time.Millisecond), percentile(times, 1).Round(time.Millisecond))
		if missing > 0 || len(times) == 0 {
			t.Errorf("the victim misses %d of %d records", missing, len(w.records()))
		}
		if peers < min(sybils, 60) {
			t.Errorf("the victim has %d peers: it is not among sybils", peers)
		}
	})
}
