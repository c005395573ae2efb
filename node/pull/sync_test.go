package pull

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Who sends something is waited for, until nothing has come for silenceGrace.
func TestSyncWaitsForWhoSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := new(session)
		r := &syncRun{Puller: &Puller{sessions: map[peer.ID]*session{"slow": sent}}, settled: make(chan struct{})}
		silent := make(chan time.Time, 1)
		go func() {
			r.awaitSilence(t.Context(), "slow")
			silent <- time.Now()
		}()
		time.Sleep(time.Hour) // nobody has answered in full
		start := time.Now()
		close(r.settled)
		for range 10 {
			time.Sleep(silenceGrace / 2)
			sent.batches.Add(1)
		}
		if took := (<-silent).Sub(start); took < 5*silenceGrace || took > 7*silenceGrace {
			t.Errorf("it was waited for %v", took)
		}
	})
}
