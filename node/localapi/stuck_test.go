package localapi

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/everythingstays/es/node/api"
)

// SPEC N105. A daemon that is stopped still has its socket: what waits for it ends.
func TestThreat65StoppedDaemon(t *testing.T) {
	h := testHome(t)
	l, err := net.Listen("unix", socketPath(h.Dir())) // connects, and nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var stuck *StuckError
	if _, err := dial(t.Context(), h, 20*time.Millisecond); !errors.As(err, &stuck) {
		t.Errorf("Dial: %v, want a StuckError", err)
	}
}

// SPEC N105. One that is stopped in the middle of a call does not hold it for ever, and
// one that only takes its time does.
func TestThreat65DaemonStopsInACall(t *testing.T) {
	h := testHome(t)
	l, err := net.Listen("unix", socketPath(h.Dir()))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	asked := 0
	const signs = 2 // of life, and no more
	stopped := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/alive", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(versionHeader, apiVersion)
		mu.Lock()
		asked++
		late := asked > signs
		mu.Unlock()
		if late {
			<-stopped
		}
	})
	for _, path := range []string{"/v1/sync", "/v1/status"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(versionHeader, apiVersion)
			if path == "/v1/sync" {
				json.NewEncoder(w).Encode(syncEvent{Progress: &api.Synced{}})
				w.(http.Flusher).Flush()
			}
			<-stopped
		})
	}
	s := &http.Server{Handler: mux}
	go s.Serve(l)
	defer s.Close()
	defer close(stopped)
	c, err := dial(t.Context(), h, 250*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var stuck *StuckError
	if _, err := c.Sync(t.Context(), api.SyncOptions{}, nil); !errors.As(err, &stuck) {
		t.Errorf("Sync: %v, want a StuckError", err)
	}
	mu.Lock()
	if asked <= signs {
		t.Errorf("given up after %d signs of life", asked)
	}
	asked = 0
	mu.Unlock()
	if _, err := c.Status(t.Context()); !errors.As(err, &stuck) {
		t.Errorf("Status: %v, want a StuckError", err)
	}
}
