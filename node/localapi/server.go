package localapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/records"
)

// The local API (docs/program.md [N60]): HTTP with JSON over a unix socket. Both sides
// name the version they speak in every message.
const (
	apiVersion    = "2"
	versionHeader = "Es-Api"
	maxRequest    = 1 << 20 // bytes
	maxReply      = 16 << 20
	drainTimeout  = 2 * time.Second
)

type announceRequest struct {
	Records []string `json:"records"`
}

type announceKeyRequest struct {
	Key records.Fingerprint `json:"key"`
}

type connectRequest struct {
	Addr string `json:"addr"`
}

type fetchRequest struct {
	Root   string `json:"root"`
	Size   int64  `json:"size"`
	Files  int64  `json:"files"`
	Record string `json:"record,omitempty"`
}

type holdersRequest struct {
	Root string `json:"root"`
}

type surveyRequest struct {
	Authors []records.Fingerprint `json:"authors"`
}

// fetchEvent is one line of the answer to a fetch: any number of progress lines,
// then one with done or error.
type fetchEvent struct {
	Progress *api.Progress `json:"progress,omitempty"`
	Done     bool          `json:"done,omitempty"`
	Error    *wireError    `json:"error,omitempty"`
}

// syncEvent is one line of the answer to a sync, in the same way.
type syncEvent struct {
	Progress *api.Synced `json:"progress,omitempty"`
	Done     *api.Synced `json:"done,omitempty"`
	Error    *wireError  `json:"error,omitempty"`
}

// Server is the local API of a daemon.
type Server struct {
	network api.Network
	socket  net.Listener
	remove  func()
}

// Listen makes the API's socket in the directory of a home, which only this user can
// connect to, and answers from n. The caller holds the daemon's lock, so a socket that is
// there is a dead process's.
func Listen(dir string, n api.Network) (*Server, error) {
	l, remove, err := listenAPI(dir)
	if err != nil {
		return nil, err
	}
	return &Server{network: n, socket: l, remove: remove}, nil
}

// Run serves until ctx ends, which also ends every request.
func (s *Server) Run(ctx context.Context) error {
	defer s.remove()
	h := &http.Server{
		Handler:           s.routes(),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
	var stopping sync.WaitGroup
	stop := context.AfterFunc(ctx, func() {
		defer stopping.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		if h.Shutdown(drain) != nil {
			h.Close()
		}
	})
	stopping.Add(1)
	err := h.Serve(s.socket)
	if stop() {
		stopping.Done()
	}
	stopping.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve the local API: %w", err)
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/alive", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /v1/status", answer(func(ctx context.Context, _ struct{}) (api.Status, error) {
		return s.network.Status(ctx)
	}))
	mux.HandleFunc("GET /v1/peers", answer(func(ctx context.Context, _ struct{}) ([]api.PeerInfo, error) {
		return s.network.Peers(ctx)
	}))
	mux.HandleFunc("POST /v1/connect", answer(func(ctx context.Context, r connectRequest) (api.PeerInfo, error) {
		return s.network.Connect(ctx, r.Addr)
	}))
	mux.HandleFunc("POST /v1/announce", answer(func(ctx context.Context, r announceRequest) (api.Announced, error) {
		var ids []cid.Cid
		for _, text := range r.Records {
			id, err := cid.Decode(text)
			if err != nil {
				return api.Announced{}, fmt.Errorf("record id %.80q: %v", text, err)
			}
			ids = append(ids, id)
		}
		return s.network.Announce(ctx, ids)
	}))
	mux.HandleFunc("POST /v1/holders", answer(func(ctx context.Context, r holdersRequest) (api.Holders, error) {
		return s.network.Holders(ctx, parsed(r.Root))
	}))
	mux.HandleFunc("POST /v1/survey", answer(func(ctx context.Context, r surveyRequest) ([]api.Answer, error) {
		return s.network.Survey(ctx, r.Authors)
	}))
	mux.HandleFunc("POST /v1/announce-key", answer(func(ctx context.Context, r announceKeyRequest) (api.Announced, error) {
		return s.network.AnnounceKey(ctx, r.Key)
	}))
	mux.HandleFunc("POST /v1/fetch", s.fetch)
	mux.HandleFunc("POST /v1/sync", s.sync)
	return s.checked(mux)
}

// checked refuses clients of another version.
func (s *Server) checked(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(versionHeader, apiVersion)
		if v := r.Header.Get(versionHeader); v != apiVersion {
			fail(w, http.StatusBadRequest, &wireError{Kind: kindVersion, Text: fmt.Sprintf("local API version %.20q is not %s", v, apiVersion)})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		next.ServeHTTP(w, r)
	})
}

// answer makes a call of the Network an HTTP request with JSON on both sides.
func answer[Q, A any](call func(context.Context, Q) (A, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var q Q
		if r.Method == http.MethodPost {
			if err := readRequest(r, &q); err != nil {
				fail(w, http.StatusBadRequest, &wireError{Text: err.Error()})
				return
			}
		}
		a, err := call(r.Context(), q)
		if err != nil {
			fail(w, http.StatusInternalServerError, newWireError(err))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(a) // the client has gone
	}
}

func readRequest(r *http.Request, q any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(q); err != nil {
		return fmt.Errorf("read request: %v", err)
	}
	return nil
}

func fail(w http.ResponseWriter, status int, e *wireError) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(e) // the client has gone
}

func (s *Server) fetch(w http.ResponseWriter, r *http.Request) {
	var q fetchRequest
	want, err := records.Target{}, readRequest(r, &q)
	if err == nil {
		want, err = q.want()
	}
	if err != nil {
		fail(w, http.StatusBadRequest, &wireError{Text: err.Error()})
		return
	}
	send := lines[fetchEvent](w)
	err = s.network.Fetch(r.Context(), want, func(p api.Progress) { send(fetchEvent{Progress: &p}) })
	if err != nil {
		send(fetchEvent{Error: newWireError(err)})
		return
	}
	send(fetchEvent{Done: true})
}

func (s *Server) sync(w http.ResponseWriter, r *http.Request) {
	var q api.SyncOptions
	if err := readRequest(r, &q); err != nil {
		fail(w, http.StatusBadRequest, &wireError{Text: err.Error()})
		return
	}
	send := lines[syncEvent](w)
	done, err := s.network.Sync(r.Context(), q, func(p api.Synced) { send(syncEvent{Progress: &p}) })
	if err != nil {
		send(syncEvent{Error: newWireError(err)})
		return
	}
	send(syncEvent{Done: &done})
}

// lines returns what writes an answer of several lines, one at a time.
func lines[E any](w http.ResponseWriter) func(E) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, flush := json.NewEncoder(w), http.NewResponseController(w)
	return func(e E) {
		if out.Encode(e) == nil {
			_ = flush.Flush() // a client that has gone ends the request's context
		}
	}
}

func (q fetchRequest) want() (records.Target, error) {
	root, err := cid.Decode(q.Root)
	if err != nil {
		return records.Target{}, fmt.Errorf("root %.80q: %v", q.Root, err)
	}
	w := records.Target{CID: root, Size: q.Size, Files: q.Files}
	if q.Record != "" {
		if w.Record, err = cid.Decode(q.Record); err != nil {
			return records.Target{}, fmt.Errorf("record %.80q: %v", q.Record, err)
		}
	}
	return w, nil
}
