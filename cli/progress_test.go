package cli

import (
	"testing"
	"time"

	"github.com/everythingstays/es/node"
	"github.com/everythingstays/es/records"
)

// The rate is of what came since the first fetch began, not of what was here.
func TestProgressRate(t *testing.T) {
	begun := time.Unix(1000, 0)
	p := &progress{begun: begun, fetch: map[records.Name]node.Progress{
		"a": {Bytes: 3_000_000, Received: 1_000_000, From: 2, Peers: 5},
		"b": {Bytes: 1_000_000, Received: 1_000_000, From: 1, Peers: 4},
	}}
	want := bytesText(4_000_000) + "  " + bytesText(1_000_000) + "/s  from 2 peers"
	if got := p.rate(begun.Add(2 * time.Second)); got != want {
		t.Errorf("rate: %q, want %q", got, want)
	}
	p.fetch = map[records.Name]node.Progress{"a": {Bytes: 10, Received: 10, Peers: 1}}
	want = bytesText(10) + "  " + bytesText(10) + "/s  with 1 peer"
	if got := p.rate(begun.Add(time.Second)); got != want {
		t.Errorf("rate by bitswap: %q, want %q", got, want)
	}
}
