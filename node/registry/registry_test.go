package registry

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/everythingstays/es/node/home"
)

func storage(t *testing.T, dir string) *home.Storage {
	t.Helper()
	h, err := home.OpenStorage(dir)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// A running Server, which ends with stop.
type running struct {
	*Server
	stop func() error
}

func start(t *testing.T, dir, addr string) running {
	t.Helper()
	s, err := New(Config{Home: storage(t, dir), Addr: addr, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := func() error {
		cancel()
		err := <-done
		done <- err
		return err
	}
	t.Cleanup(func() { _ = stop() })
	select {
	case <-s.Ready():
	case err := <-done:
		done <- err
	}
	return running{s, stop}
}

func ask(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestOneServes: of two processes of a home one serves, and the other goes on in its place
// (SPEC N420).
func TestOneServes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	first := start(t, dir, "127.0.0.1:0")
	url := first.Served().URL
	if !first.Served().Here || first.Served().Token == "" {
		t.Errorf("first: %+v", first.Served())
	}
	if code, body := ask(t, url+"-/ping"); code != 200 || body != "{}" {
		t.Errorf("ping: %d %s", code, body)
	}
	if code, body := ask(t, url+"left-pad"); code != 404 || !strings.Contains(body, "es import npm left-pad") {
		t.Errorf("left-pad: %d %s", code, body)
	}
	addr := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")
	second := start(t, dir, addr)
	if got := second.Served(); got.Here || got.URL != url || got.Token != first.Served().Token {
		t.Errorf("second: %+v", got)
	}
	if err := first.stop(); err != nil {
		t.Error(err)
	}
	// The second listens at the same address soon; how soon decides nothing here.
	for {
		resp, err := http.Get(url + "-/ping")
		if err == nil {
			resp.Body.Close()
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("nobody serves")
		}
	}
	if err := second.stop(); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(filepath.Join(dir, "registry.token"))
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the token: %v, %v", info.Mode(), err)
	}
}

// TestTaken: a port of another program is an error, and what answers there is believed
// only when it proves to be of this home (SPEC N420).
func TestTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := start(t, filepath.Join(t.TempDir(), "home"), l.Addr().String())
	var taken *AddrError
	if err := s.stop(); !errors.As(err, &taken) || !strings.Contains(err.Error(), "address already in use") && !strings.Contains(err.Error(), "permitted") {
		t.Errorf("error %v", err)
	}

	dir := filepath.Join(t.TempDir(), "home")
	mine := start(t, dir, "127.0.0.1:0")
	impostor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, proof("a guess", r.URL.Query().Get("nonce")))
	}))
	defer impostor.Close()
	good := mine.Served()
	if err := confirm(t.Context(), good); err != nil {
		t.Error(err)
	}
	if err := confirm(t.Context(), Served{URL: impostor.URL + "/", Token: good.Token}); !errors.Is(err, ErrImpostor) {
		t.Errorf("impostor: %v", err)
	}
	if err := confirm(t.Context(), Served{URL: good.URL, Token: "another"}); !errors.Is(err, ErrImpostor) {
		t.Errorf("another home: %v", err)
	}
	// A Server that waits for another asks it for that proof.
	if err := os.WriteFile(filepath.Join(dir, "registry.addr"), []byte(impostor.URL+"/\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	waits, err := New(Config{Home: storage(t, dir), Addr: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	waits.doubted = time.Now().Add(-confirmTimeout)
	if err := waits.Run(t.Context()); !errors.Is(err, ErrImpostor) {
		t.Errorf("behind an impostor: %v", err)
	}
}

func TestCheckAddr(t *testing.T) {
	for addr, ok := range map[string]bool{
		DefaultAddr: true, "[::1]:4873": true, "127.0.0.2:1": true, "127.0.0.1:0": true,
		"0.0.0.0:4873": false, "192.0.2.1:4873": false, "localhost:4873": false, ":4873": false, "127.0.0.1": false, "4873": false, "": false,
	} {
		if err := CheckAddr(addr); (err == nil) != ok {
			t.Errorf("%q: %v", addr, err)
		}
	}
}
