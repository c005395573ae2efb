package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"
)

// How long a command may take to end after a signal asked it to. It ends where it is
// then: what it stores is whole at every moment. A node takes leave of its peers.
const (
	EndWait     = 3 * time.Second
	nodeEndWait = 15 * time.Second
)

// An Interruption is the signal that ended a command.
type Interruption struct{ signal syscall.Signal }

func (i Interruption) Error() string { return i.signal.String() }

// ExitCode is what shells give for a program that the signal ended: 130 or 143.
func (i Interruption) ExitCode() int { return 128 + int(i.signal) }

// Interruptible returns a context that ends with the first SIGINT or SIGTERM. A second
// one ends the process at once, and so does time.
func (s *Streams) Interruptible(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		var why Interruption
		select {
		case <-done:
			return
		case got := <-signals:
			why.signal, _ = got.(syscall.Signal)
		}
		cancel(why)
		wait := EndWait
		if s.lingers.Load() {
			wait = nodeEndWait
		}
		select {
		case <-done:
		case <-signals:
			s.endNow(why)
		case <-time.After(wait):
			s.endNow(why)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

func (s *Streams) endNow(why Interruption) {
	s.echo.restore()
	fmt.Fprintln(s.Err, "es: interrupted")
	os.Exit(why.ExitCode())
}

// Await returns what f returns or, when ctx ends before, ctx's error: f may be waiting
// for somebody to type, and goes on.
func Await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// echo is that of the terminal, which is off while a passphrase is typed.
type echo struct {
	mu    sync.Mutex
	fd    int
	state *term.State // as it was, while the echo is off
}

// restore puts the echo back on.
func (t *echo) restore() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state != nil {
		_ = term.Restore(t.fd, t.state) // there may be no terminal any more
		t.state = nil
	}
}

// readPassword reads a line without its being seen, until ctx ends.
func (t *echo) readPassword(ctx context.Context, in *os.File) ([]byte, error) {
	fd := int(in.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.fd, t.state = fd, state
	t.mu.Unlock()
	defer t.restore()
	return Await(ctx, func() ([]byte, error) { return readHidden(in) })
}

// ReadFile reads a small file of the user's, until ctx ends; "-" is standard input.
func (s *Streams) ReadFile(ctx context.Context, path string) ([]byte, error) {
	return Await(ctx, func() ([]byte, error) {
		const max = 1 << 20
		r := s.In
		if path != "-" {
			f, err := os.Open(path) // a fifo waits for whoever writes to it
			if err != nil {
				return nil, err
			}
			defer f.Close()
			r = f
		}
		b, err := io.ReadAll(io.LimitReader(r, max+1))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		if len(b) > max {
			return nil, fmt.Errorf("read %s: more than %s, which no key needs", path, BytesText(max))
		}
		return b, nil
	})
}

// errNoPassphrase is for a terminal that was closed at the prompt.
var errNoPassphrase = errors.New("no passphrase was entered")

// Linger gives the command, which is a node, longer to end.
func (s *Streams) Linger() { s.lingers.Store(true) }

// ReadPassphrase asks for a passphrase at the terminal.
func (s *Streams) ReadPassphrase(ctx context.Context, prompt string) ([]byte, error) {
	in, ok := s.In.(*os.File)
	if !ok {
		return nil, errors.New("no terminal to read a passphrase from")
	}
	fmt.Fprintf(s.Err, "es: %s", prompt)
	p, err := s.echo.readPassword(ctx, in)
	fmt.Fprintln(s.Err)
	if errors.Is(err, io.EOF) {
		return nil, errNoPassphrase
	}
	if err != nil {
		return nil, fmt.Errorf("read passphrase: %w", err)
	}
	return p, nil
}
