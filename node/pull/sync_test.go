package pull

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/reconcile"
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

// SPEC N361: a peer that the user named, or that this node dialled, is asked once more when it
// was late.
func TestLateAnswer(t *testing.T) {
	late, wrong := fmt.Errorf("pull: %w", context.DeadlineExceeded), errors.New("wrong bytes")
	for _, c := range []struct {
		name     string
		chosen   bool
		answered bool // somebody else has
		answers  []error
		want     error
	}{
		{"late", true, false, []error{late, nil}, nil},
		{"silent", true, false, []error{late, late}, late},
		{"late, then busy", true, false, []error{late, reconcile.ErrBusy, reconcile.ErrBusy, nil}, nil},
		{"busy, then silent", true, false, []error{reconcile.ErrBusy, late, late}, late},
		{"late, when somebody else has answered", true, true, []error{late}, late},
		{"late, and came by itself", false, false, []error{late}, late},
		{"broken", true, false, []error{wrong}, wrong},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				answered := make(chan struct{})
				if c.answered {
					close(answered)
				}
				asked := 0
				_, err := persist(t.Context(), c.chosen, answered, func() (reconcile.Result, error) {
					if asked++; asked > len(c.answers) {
						return reconcile.Result{}, errors.New("asked too often")
					}
					return reconcile.Result{}, c.answers[asked-1]
				})
				if err != c.want || asked != len(c.answers) {
					t.Errorf("asked %d times of %d: %v, want %v", asked, len(c.answers), err, c.want)
				}
			})
		})
	}
}
