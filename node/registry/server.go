package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/internal/filelock"
	"github.com/everythingstays/es/npm/endpoint"
)

const (
	lookEvery    = 50 * time.Millisecond // whether the one who serves has ended
	drainTimeout = 10 * time.Second
	idleTimeout  = 2 * time.Minute
)

// A Server is the registry of a home. Of several for one home, in whichever processes,
// one serves; when it ends, another goes on in its place.
type Server struct {
	cfg   Config
	ready chan struct{}
	once  sync.Once
	found Served

	doubted time.Time // since when who should serve does not prove it; of Run alone
}

// Served says where clients find the registry of a home.
type Served struct {
	URL   string // with a slash at its end
	Token string
	Here  bool // by this Server
}

// New returns a Server that does not serve yet.
func New(cfg Config) (*Server, error) {
	cfg.Addr = cmp.Or(cfg.Addr, DefaultAddr)
	if err := CheckAddr(cfg.Addr); err != nil {
		return nil, err
	}
	return &Server{cfg: cfg, ready: make(chan struct{})}, nil
}

// Ready is closed when the registry is served, by this Server or another.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Served says where, once Ready is closed.
func (s *Server) Served() Served { return s.found }

func (s *Server) setReady(found Served) {
	s.once.Do(func() {
		s.found = found
		close(s.ready)
	})
}

func (s *Server) file(name string) string { return filepath.Join(s.cfg.Home.Dir(), name) }

// Run serves until ctx ends. Where another process of the home serves, it waits for that
// one to end; the error is ErrImpostor where somebody else answers in its place, and an
// *AddrError where the address is taken.
func (s *Server) Run(ctx context.Context) error {
	lock, err := filelock.Open(s.file("registry.lock"))
	if err != nil {
		return fmt.Errorf("serve npm's clients: %w", err)
	}
	defer lock.Close()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		mine, err := filelock.Try(lock)
		if err != nil {
			return fmt.Errorf("serve npm's clients: %w", err)
		}
		if mine {
			break
		}
		if err := s.lookForOther(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	return s.serve(ctx, func() { lock.Close() })
}

// lookForOther makes sure, once, that who serves is a process of this home.
func (s *Server) lookForOther(ctx context.Context) error {
	select {
	case <-s.ready:
		return nil
	default:
	}
	found, err := s.readServed()
	if err != nil || found.URL == "" {
		return err
	}
	if err := confirm(ctx, found); err != nil {
		if s.doubted.IsZero() {
			s.doubted = time.Now()
		}
		if time.Since(s.doubted) < confirmTimeout { // it may have begun just now
			return nil
		}
		return &AddrError{found.URL, err}
	}
	s.setReady(found)
	return nil
}

// serve listens, and gives the place free before the last requests are answered.
func (s *Server) serve(ctx context.Context, unlock func()) error {
	token, err := s.ownToken()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.cfg.Addr)
	if err != nil {
		return &AddrError{s.cfg.Addr, withoutAddr(err)}
	}
	url := "http://" + listener.Addr().String() + "/"
	m := s.cfg.mirror(token)
	handler, err := endpoint.New(endpoint.Config{Source: m, Base: url, Log: s.cfg.Log})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := atomicfile.Replace(s.file("registry.addr"), []byte(url+"\n")); err != nil {
		return errors.Join(fmt.Errorf("serve npm's clients: %w", err), listener.Close())
	}
	// What was asked for is answered after ctx has ended, for a while.
	base, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	h := &http.Server{
		Handler: confirming(handler, token), BaseContext: func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: idleTimeout, MaxHeaderBytes: 64 << 10,
	}
	keeping, stopKeeping := context.WithCancel(base)
	defer stopKeeping()
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.Run(keeping) })
	g.Go(func() error {
		if err := h.Serve(listener); !errors.Is(err, http.ErrServerClosed) && gctx.Err() == nil {
			return fmt.Errorf("serve npm's clients: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-gctx.Done()
		closing := listener.Close()
		unlock()
		drain, cancel := context.WithTimeout(base, drainTimeout)
		defer cancel()
		if h.Shutdown(drain) != nil {
			h.Close()
		}
		stopKeeping()
		if errors.Is(closing, net.ErrClosed) {
			closing = nil
		}
		return closing
	})
	s.setReady(Served{URL: url, Token: token, Here: true})
	return g.Wait()
}

// withoutAddr drops the address that net puts before its errors.
func withoutAddr(err error) error {
	var e *net.OpError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
