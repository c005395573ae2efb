package home

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/everythingstays/es/node/api"
)

// SPEC N9
func TestSettings(t *testing.T) {
	h := testHome(t)
	if s, err := h.Settings(); err != nil || s.DHT != "" || s.MDNS != "" || s.Bootstrap != nil {
		t.Errorf("a new home has settings %+v: %v", s, err)
	}
	addr := "/ip4/192.0.2.7/tcp/4011/p2p/12D3KooWGBdiGG3AAtRB3M1usj6zCpivF29n7t4wZZkLwRvbaKsv"
	want := Settings{DHT: api.DHTOwn, MDNS: "off", Bootstrap: []string{addr, addr}, Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip6/::/udp/4011/quic-v1"},
		Announce: []string{"/ip4/5.1.0.9/tcp/4011"}, Seed: api.SeedAll}
	if err := h.SaveSettings(want); err != nil {
		t.Fatal(err)
	}
	got, err := h.Settings()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v: %v", got, err)
	}
	for _, text := range []string{"dht", "dht on", "dht  PUBLIC", "mdns yes", "mdns", "bootstrap /ip4/192.0.2.7/tcp/4011", "relay on", "listen", "listen /p2p-circuit", "announce /ip4/0.0.0.0/tcp/4011", "seed some", "dht off\nnonsense",
		strings.Repeat("# ", maxSettings)} {
		if s, err := parseSettings([]byte(text)); err == nil {
			t.Errorf("%.30q is read as %+v", text, s)
		}
	}
	s, err := parseSettings([]byte("\xef\xbb\xbf\n  # a comment\n\tdht \t own \r\nmdns on\n"))
	if err != nil || s.DHT != api.DHTOwn || s.MDNS != "on" {
		t.Errorf("read %+v: %v", s, err)
	}
}

// SPEC D20. The key of a private network is kept, and nothing else is taken for it.
func TestSwarmKey(t *testing.T) {
	h := testHome(t)
	if key, err := h.SwarmKey(); key != nil || err != nil {
		t.Fatalf("a new home has key %x: %v", key, err)
	}
	key := NewSwarmKey()
	if err := h.SetSwarmKey(key); err != nil {
		t.Fatal(err)
	}
	if got, err := h.SwarmKey(); err != nil || !bytes.Equal(got, key) {
		t.Fatalf("read %x: %v", got, err)
	}
	if err := h.SetSwarmKey(key); err != nil {
		t.Errorf("the same key again: %v", err)
	}
	if err := h.SetSwarmKey(NewSwarmKey()); !errors.Is(err, ErrSwarmKey) {
		t.Errorf("another key: %v", err)
	}
	if info, err := os.Stat(filepath.Join(h.Dir(), "swarm.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v: %v", info, err)
	}
	for _, bad := range []string{"", "nonsense", "/key/swarm/psk/1.0.0/\n/base16/\n", "/key/swarm/psk/1.0.0/\n/base16/\n00ff",
		"/key/swarm/psk/1.0.0/\n/base32/\n" + strings.Repeat("00", 32), strings.Repeat("x", maxSwarmKey+1)} {
		if err := os.WriteFile(filepath.Join(h.Dir(), "swarm.key"), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if key, err := h.SwarmKey(); key != nil || err == nil {
			t.Errorf("%.40q is key %x", bad, key)
		}
	}
}
