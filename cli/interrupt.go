package cli

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
	endWait     = 3 * time.Second
	nodeEndWait = 15 * time.Second
)

// An interruption is the signal that ended a command.
type interruption struct{ signal syscall.Signal }

func (i interruption) Error() string { return i.signal.String() }

// exitCode is what shells give for a program that the signal ended: 130 or 143.
func (i interruption) exitCode() int { return 128 + int(i.signal) }

// interruptible returns a context that ends with the first SIGINT or SIGTERM. A second
// one ends the process at once, and so does time.
func (a *app) interruptible(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		var why interruption
		select {
		case <-done:
			return
		case s := <-signals:
			why.signal, _ = s.(syscall.Signal)
		}
		cancel(why)
		wait := endWait
		if a.lingers.Load() {
			wait = nodeEndWait
		}
		select {
		case <-done:
		case <-signals:
			a.endNow(why)
		case <-time.After(wait):
			a.endNow(why)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

func (a *app) endNow(why interruption) {
	a.echo.restore()
	fmt.Fprintln(a.err, "es: interrupted")
	os.Exit(why.exitCode())
}

// await returns what f returns or, when ctx ends before, ctx's error: f may be waiting
// for somebody to type, and goes on.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
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
	return await(ctx, func() ([]byte, error) { return readHidden(in) })
}

// readFile reads a small file of the user's, until ctx ends; "-" is standard input.
func (a *app) readFile(ctx context.Context, path string) ([]byte, error) {
	return await(ctx, func() ([]byte, error) {
		const max = 1 << 20
		r := a.in
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
			return nil, fmt.Errorf("read %s: more than %s, which no key needs", path, bytesText(max))
		}
		return b, nil
	})
}

// errNoPassphrase is for a terminal that was closed at the prompt.
var errNoPassphrase = errors.New("no passphrase was entered")
