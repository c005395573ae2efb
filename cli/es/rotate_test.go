package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/node"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// must runs a command that succeeds.
func (d *desk) must(args ...string) (stdout, stderr string) {
	d.Helper()
	stdout, stderr, code := d.es(args...)
	if code != ui.ExitDone {
		d.Fatalf("es %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout, stderr
}

// publish releases a version of the module lib.
func (d *desk) publish(version string) {
	d.Helper()
	dir := d.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"name": "lib", "version": "`+version+`"}`), 0o644); err != nil {
		d.Fatal(err)
	}
	d.must("--offline", "publish", dir)
}

func (d *desk) newKey(name string) string {
	d.Helper()
	out, _ := d.must("key", "new", "--name", name, "--no-passphrase")
	return regexp.MustCompile(`(?m)^[0-9A-F]{40}$`).FindString(out)
}

// steal has a thief sign with an own key of the home, at any place of its log.
func (d *desk) steal(seq int64, body records.Body) {
	d.Helper()
	d.in(func(ctx context.Context, h *home.Home) error {
		own, err := h.Keys(ctx)
		if err != nil {
			return err
		}
		s, err := h.Signer(ctx, own[0], sign.GPG{}, nil)
		if err != nil {
			return err
		}
		_, prev, err := authorlog.New(h.Index()).Head(ctx, own[0].Fingerprint())
		if err != nil {
			return err
		}
		v, err := sign.Sign(ctx, s, &records.Record{Author: own[0].Fingerprint(), Seq: seq, Prev: append([]cid.Cid{}, prev...), Time: time.Now().Unix(), Body: body})
		if err != nil {
			return err
		}
		_, err = h.Index().Add(ctx, v, s.Key(), index.Source{})
		return err
	})
}

// serve runs a node of the home until the test ends, and returns its address.
func (d *desk) serve(version string) string {
	d.Helper()
	h, err := home.Open(d.Context(), d.home)
	if err != nil {
		d.Fatal(err)
	}
	n, err := node.New(d.Context(), h, node.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Version: version})
	if err != nil {
		d.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(d.Context()))
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	d.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			d.Errorf("run node: %v", err)
		}
		h.Close()
	})
	select {
	case <-n.Ready():
	case err := <-done:
		d.Fatal(err)
	}
	s, err := n.Status(d.Context())
	if err != nil || len(s.Addrs) == 0 {
		d.Fatalf("status %+v, %v", s, err)
	}
	return s.Addrs[0]
}

// TestThreat8FastForward is that a thief who brings the author's log to its end, so that
// nothing can come after what they said, stops nobody for long: the author rotates,
// revokes the old key and publishes, and that resolves after one sync for who follows
// successors, while who does not is led to the new key.
func TestThreat8FastForward(t *testing.T) {
	owner := newDesk(t)
	old := owner.newKey("Ada")
	owner.publish("1.0.0")
	owner.steal(1<<53-1, &records.Tag{Name: "lib", Tag: "latest", Version: "1.0.0"})
	if _, stderr, code := owner.es("--offline", "tag", "lib@1.0.0", "next"); code != ui.ExitFailed || !strings.Contains(stderr, "es rotate moves to it") {
		t.Fatalf("after the jump: exit code %d\n%s", code, stderr)
	}
	next := owner.newKey("Ada again")
	owner.must("--offline", "rotate", next, "--key", old)
	owner.must("--offline", "key", "revoke", old, "--reason", "superseded", "--yes")
	owner.publish("2.0.0")
	addr := owner.serve("test")

	for _, follows := range []bool{true, false} {
		r := newDesk(t)
		line := []string{"trust", "add", old, "lib", "--label", "ada", "--yes"}
		if follows {
			line = append(line, "--follow")
		}
		r.must(line...)
		r.must("connect", addr)
		r.must("sync")
		if follows {
			out, _ := r.must("add", "lib", "--accept-key", old, "--accept-key", next)
			if !strings.Contains(out, "lib@2.0.0") {
				t.Errorf("who follows gets\n%s", out)
			}
			continue
		}
		_, stderr := r.must("add", "lib", "--accept-key", old)
		if !strings.Contains(stderr, "names a successor, which you do not follow: es trust add "+next) {
			t.Errorf("who does not follow is told\n%s", stderr)
		}
		_, stderr, code := r.es("add", "lib@2.0.0")
		if code != ui.ExitTrust || !strings.Contains(stderr, "es trust add "+old+" lib --follow   (both keys say that "+next+" succeeds it)") {
			t.Errorf("who does not follow and asks for more: exit code %d\n%s", code, stderr)
		}
		r.must("trust", "add", old, "lib", "--follow", "--yes")
		if out, _ := r.must("add", "lib", "--accept-key", next, "--accept-key", old); !strings.Contains(out, "lib@2.0.0") {
			t.Errorf("who does as told gets\n%s", out)
		}
	}
}
