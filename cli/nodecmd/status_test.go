package nodecmd

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/localapi"
)

// A restingNetwork is what a command works with when no daemon answers.
type restingNetwork struct{ api.Network }

func (restingNetwork) Status(context.Context) (api.Status, error) { return api.Status{}, nil }

// TestThreat65StatusOfStuckNode: a node that runs and does not answer is not called
// one that does not run, which es node would be the answer to.
func TestThreat65StatusOfStuckNode(t *testing.T) {
	for _, stuck := range []*localapi.StuckError{nil, {PID: 42, Wait: time.Second}} {
		var out bytes.Buffer
		a := cli.New(&ui.Streams{Out: &out}, nil)
		a.Stuck = stuck
		if err := runStatus(t.Context(), a, restingNetwork{}); err != nil {
			t.Fatal(err)
		}
		if starts := strings.Contains(out.String(), "es node starts it"); starts != (stuck == nil) {
			t.Errorf("%+v: %s", stuck, &out)
		}
		if stuck != nil && !strings.Contains(out.String(), "process 42") {
			t.Errorf("the process is not named: %s", &out)
		}
	}
}
