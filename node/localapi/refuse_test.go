package localapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/api"
)

// home is a directory with a daemon of which nothing is known.
type home string

func (h home) Dir() string    { return string(h) }
func (h home) DaemonPID() int { return 0 }

func testHome(t *testing.T) home { return home(t.TempDir()) }

// serve answers in h from n until the test ends.
func serve(t *testing.T, h home, n api.Network) {
	t.Helper()
	s, err := Listen(h.Dir(), n)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// refusing is a network with nobody in it, and no record.
type refusing struct{ api.Network }

func (refusing) Status(context.Context) (api.Status, error) { return api.Status{}, nil }

func (refusing) Connect(_ context.Context, addr string) (api.PeerInfo, error) {
	_, err := address.Parse(addr)
	return api.PeerInfo{}, err
}

func (refusing) Announce(_ context.Context, ids []cid.Cid) (api.Announced, error) {
	return api.Announced{}, &index.NotFoundError{Record: ids[0]}
}

// SPEC N60. What the socket takes.
func TestAPIRefuses(t *testing.T) {
	ctx := t.Context()
	h := testHome(t)
	serve(t, h, refusing{})
	info, err := os.Stat(socketPath(h.Dir()))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket has mode %v: %v", info.Mode().Perm(), err)
	}
	plain := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialAPI(ctx, h.Dir()) },
	}}
	defer plain.CloseIdleConnections()
	ask := func(method, path, version string, body []byte) (int, wireError) {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, method, "http://es"+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(versionHeader, version)
		resp, err := plain.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var e wireError
		_ = json.NewDecoder(resp.Body).Decode(&e) // 404 and 405 are plain text
		if resp.Header.Get(versionHeader) != apiVersion {
			t.Errorf("%s %s: version %q", method, path, resp.Header.Get(versionHeader))
		}
		return resp.StatusCode, e
	}
	if status, _ := ask("GET", "/v1/status", apiVersion, nil); status != 200 {
		t.Errorf("status: %d", status)
	}
	for _, version := range []string{"", "0", "1", "3"} {
		if status, e := ask("GET", "/v1/status", version, nil); status != 400 || e.Kind != kindVersion {
			t.Errorf("version %q: %d, %+v", version, status, e)
		}
	}
	large := append(append([]byte(`{"records":["`), bytes.Repeat([]byte("b"), maxRequest)...), `"]}`...)
	for name, c := range map[string]struct {
		method, path string
		body         []byte
		status       int
	}{
		"no path":         {"GET", "/v2/status", nil, 404},
		"wrong method":    {"GET", "/v1/fetch", nil, 405},
		"no body":         {"POST", "/v1/announce", nil, 400},
		"no JSON":         {"POST", "/v1/announce", []byte("hello"), 400},
		"unknown field":   {"POST", "/v1/connect", []byte(`{"address":"x"}`), 400},
		"too large":       {"POST", "/v1/announce", large, 400},
		"no CID":          {"POST", "/v1/fetch", []byte(`{"root":"x","size":-1,"files":-1}`), 400},
		"no record id":    {"POST", "/v1/announce", []byte(`{"records":["x"]}`), 500},
		"no address":      {"POST", "/v1/connect", []byte(`{"addr":"x"}`), 500},
		"unknown records": {"POST", "/v1/announce", []byte(`{"records":["` + "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy" + `"]}`), 500},
	} {
		status, e := ask(c.method, c.path, apiVersion, c.body)
		if status != c.status || status < 404 && e.Text == "" {
			t.Errorf("%s: %d, %+v, want %d", name, status, e, c.status)
		}
	}
}

// A daemon of another version is named, and not taken for none.
func TestOtherVersion(t *testing.T) {
	h := testHome(t)
	l, remove, err := listenAPI(h.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer remove()
	old := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(versionHeader, "1")
	})}
	served := make(chan error, 1)
	go func() { served <- old.Serve(l) }()
	var version *VersionError
	if _, err := Dial(t.Context(), h); !errors.As(err, &version) || version.Daemon != "1" ||
		version.Error() != `it is of another version of es (local API "1", and "2" here); stop it and start it again` {
		t.Errorf("dial: %v", err)
	}
	old.Close()
	<-served
}
