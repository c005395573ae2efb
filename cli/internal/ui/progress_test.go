package ui

import (
	"testing"
	"time"
)

// The rate is of what came since the first fetch began, not of what was here.
func TestProgressRate(t *testing.T) {
	begun := time.Unix(1000, 0)
	p := &Progress{begun: begun, fetch: map[string]Transfer{
		"a": {Bytes: 3_000_000, Received: 1_000_000, From: 2, Peers: 5},
		"b": {Bytes: 1_000_000, Received: 1_000_000, From: 1, Peers: 4},
	}}
	want := BytesText(4_000_000) + "  " + BytesText(1_000_000) + "/s  from 2 peers"
	if got := p.rate(begun.Add(2 * time.Second)); got != want {
		t.Errorf("rate: %q, want %q", got, want)
	}
	p.fetch = map[string]Transfer{"a": {Bytes: 10, Received: 10, Peers: 1}}
	want = BytesText(10) + "  " + BytesText(10) + "/s  with 1 peer"
	if got := p.rate(begun.Add(time.Second)); got != want {
		t.Errorf("rate by bitswap: %q, want %q", got, want)
	}
}
