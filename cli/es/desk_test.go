package main

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/cli/nodecmd"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// A desk is where somebody works: a home, and a project in the current directory.
// Commands run in this process.
type desk struct {
	*testing.T
	home string
	env  map[string]string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	t.Chdir(t.TempDir())
	return &desk{t, filepath.Join(t.TempDir(), "home"), map[string]string{"ES_DHT": "off", "ES_MDNS": "off"}}
}

// es runs a command without a terminal.
func (d *desk) es(args ...string) (stdout, stderr string, code int) {
	d.Helper()
	var out, err screen
	code = d.app(&out, &err).Run(d.Context(), append([]string{"--home", d.home}, args...), groups...)
	return out.String(), err.String(), code
}

// A screen keeps what is written to it, also by a library that logs while the command
// speaks: as a terminal does.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// app is es without a terminal.
func (d *desk) app(out, err io.Writer) cli.App {
	return cli.New(&ui.Streams{In: strings.NewReader(""), Out: out, Err: err, Getenv: func(name string) string { return d.env[name] }}, nodecmd.Join)
}

// in opens the home for f.
func (d *desk) in(f func(context.Context, *home.Home) error) {
	d.Helper()
	h, err := home.Open(d.Context(), d.home)
	if err != nil {
		d.Fatal(err)
	}
	defer h.Close()
	if err := f(d.Context(), h); err != nil {
		d.Fatal(err)
	}
}

// key makes somebody's key, a year old.
func (d *desk) key(name string) *sign.SecretKey {
	d.Helper()
	k, err := sign.NewSecretKey(name, "", time.Now().AddDate(-1, 0, 0))
	if err != nil {
		d.Fatal(err)
	}
	return k
}

// says has the home hear of a record that somebody signed some time ago.
func (d *desk) says(k *sign.SecretKey, ago time.Duration, body records.Body) {
	d.Helper()
	d.hears(k, time.Now().Add(-ago), time.Time{}, body)
}

// hears has the home hear of a record that was made at one time, at another, or now when
// that is zero.
func (d *desk) hears(k *sign.SecretKey, made, heard time.Time, body records.Body) {
	d.Helper()
	d.in(func(ctx context.Context, h *home.Home) error {
		author := k.Key().Fingerprint()
		seq, prev, err := authorlog.New(h.Index()).Head(ctx, author)
		if err != nil {
			return err
		}
		v, err := sign.Sign(ctx, k, &records.Record{Author: author, Seq: seq, Prev: prev, Time: made.Unix(), Body: body})
		if err != nil {
			return err
		}
		_, err = h.Index().Add(ctx, v, k.Key(), index.Source{At: heard})
		return err
	})
}

// packs puts a module into the home and returns the release that describes it.
func (d *desk) packs(packageJSON string, more ...string) *records.Release {
	d.Helper()
	files := fstest.MapFS{"package.json": {Data: []byte(packageJSON), Mode: 0o644}}
	for _, name := range more {
		files[name] = &fstest.MapFile{Data: []byte(name), Mode: 0o644}
	}
	var m *modules.Module
	d.in(func(ctx context.Context, h *home.Home) error {
		set, err := modules.ScanFS(files)
		if err != nil {
			return err
		}
		batch := h.Blocks().Batch()
		if m, err = set.Pack(ctx, batch); err != nil {
			return err
		}
		return batch.Commit(ctx)
	})
	return &records.Release{Name: m.Name, Version: m.Version, Module: m.CID, Size: m.Size, Files: m.Files, Manifest: m.Manifest, Pins: m.Pins}
}
