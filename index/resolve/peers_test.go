package resolve_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/trust"
)

func TestPeersMayKnow(t *testing.T) {
	listed := &resolve.UntrustedError{Decision: trust.Decision{Rule: trust.Rule{Scope: "*"}}}
	for _, c := range []struct {
		what  string
		exact bool
		err   error
		want  bool
	}{
		{"a range was resolved: there may be something newer", false, nil, true},
		{"the very version is here", true, nil, false},
		{"nothing is here", true, fmt.Errorf("resolve: %w", &resolve.NotFoundError{}), true},
		{"a line speaks of the name: its keys may have released", false, listed, true},
		{"no line speaks of the name", false, &resolve.UntrustedError{}, false},
		{"the version is frozen, which nothing changes", false, &resolve.ConflictError{}, false},
		{"the index cannot be read", false, errors.New("broken"), false},
	} {
		if got := resolve.PeersMayKnow(c.exact, c.err); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}
