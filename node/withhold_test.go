package node

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/simulation"
)

// said has an author say 20 things, one every other hour until now: in the middle a
// heartbeat, which promises something within an hour, and releases before and after.
func (a *villager) said() []sign.Verified {
	t := a.v.t
	t.Helper()
	var all []sign.Verified
	for i := range 20 {
		at := time.Now().Add(time.Duration(2*i-44) * time.Hour) // the key is 48 hours old
		var body records.Body = testRelease(fmt.Sprintf("%d.0.0", i), someModule(i))
		if i == 9 {
			body = &records.Heartbeat{Next: at.Add(time.Hour).Unix()}
		}
		v := a.author.sign(at, body)
		a.author.store(v)
		all = append(all, v)
	}
	return all
}

// TestThreat7Withholding is that a reader of whose five peers one is honest, and four
// withhold an author's last ten records, has them all after one sync; and that one who
// is lied to by all five is told that the author's promise has passed, since when, and
// that five were asked (SPEC X9). 1 run of each, or 20 with ES_FULL=1.
func TestThreat7Withholding(t *testing.T) {
	runs := 1
	if full {
		runs = 20
	}
	for run := range runs {
		for _, honest := range []int{1 + run%5, 0} {
			simulation.Run(t, simulation.Config{Latency: 20 * time.Millisecond, Seed: simSeed() + uint64(run)}, func(t *testing.T, net *simulation.Network) {
				v := found(t, net, 7, 0)
				defer v.leave()
				author, reader := v.nodes[0], v.nodes[6]
				withhold(t, v, author.said(), honest)
				if err := atomicfile.Replace(reader.author.home.TrustPath(), []byte("key "+author.author.fingerprint().String()+" *\n")); err != nil {
					t.Fatal(err)
				}
				if err := heldBack(t, v, reader, author.author.fingerprint(), honest > 0); err != nil {
					t.Errorf("run %d, honest peer %d: %v", run, honest, err)
				}
			})
		}
	}
}

// withhold gives the peers of a village what an author said, all of it to the honest
// one, and half to the others.
func withhold(t *testing.T, v *village, said []sign.Verified, honest int) {
	t.Helper()
	key := v.nodes[0].author.key.Key()
	for i := 1; i <= 5; i++ {
		some := said
		if i != honest {
			some = said[:len(said)/2]
		}
		for _, r := range some {
			if _, err := v.nodes[i].author.home.Index().Add(t.Context(), r, key, index.Source{}); err != nil {
				t.Fatal(err)
			}
		}
		v.nodes[i].come()
		v.nodes[6].known = append(v.nodes[6].known, v.nodes[i].addr)
	}
}

// heldBack has the reader come and sync once, and says what is wrong with what it
// then knows.
func heldBack(t *testing.T, v *village, reader *villager, author records.Fingerprint, all bool) error {
	n, err := New(t.Context(), reader.author.home, Config{Bootstrap: reader.known, Ephemeral: true, Version: "test", Log: logTo("reader")})
	if err != nil {
		return err
	}
	n.swarm.HostOptions, n.noAPI, n.swarm.Probe = v.net.HostOptions(reader.i), true, noProbe
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	defer func() { cancel(); <-done }()
	<-n.Ready()
	s, err := n.Sync(ctx, api.SyncOptions{}, nil)
	if err != nil || s.Peers != 5 || !s.Complete {
		return fmt.Errorf("sync: %+v, %v", s, err)
	}
	check, err := home.CheckHealth(ctx, reader.author.home, time.Now())
	if err != nil || len(check.Authors) != 1 {
		return fmt.Errorf("check: %+v, %v", check.Authors, err)
	}
	a := check.Authors[0]
	answers, err := n.Survey(ctx, []records.Fingerprint{author})
	if err != nil || len(answers) != 5 {
		return fmt.Errorf("%d peers answer the survey, %v", len(answers), err)
	}
	same, more := api.CompareAuthor(a.Fingerprint, answers)
	days, overdue := a.Overdue(time.Now())
	switch {
	case all && (a.Records != 20 || overdue || a.Missing != 0 || same != 1 || more != 0):
		return fmt.Errorf("with an honest peer: %+v, %d have the same", a, same)
	case !all && (a.Records != 10 || !overdue || days != 1 || same != 5 || more != 0):
		return fmt.Errorf("without one: %+v, overdue %v by %d days, %d have the same", a, overdue, days, same)
	}
	return nil
}
