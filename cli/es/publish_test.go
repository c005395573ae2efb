package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

func (d *desk) write(name, text string) {
	d.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		d.Fatal(err)
	}
}

// TestPublishAsks: at a terminal whatever is told is asked about before it is signed, and
// no answer signs nothing.
func TestPublishAsks(t *testing.T) {
	d := newDesk(t)
	if _, stderr, code := d.es("key", "new", "--name", "Me", "--no-passphrase"); code != 0 {
		t.Fatal(stderr)
	}
	publish := func(answer string, args ...string) (stderr string, code int) {
		var out, err bytes.Buffer
		a := d.app(&out, &err)
		a.Asks, a.In = true, strings.NewReader(answer)
		code = a.Run(t.Context(), append([]string{"--home", d.home, "--offline", "publish"}, args...), groups...)
		return err.String(), code
	}
	for i, fields := range []string{`,"main":"dist/a.js"`, `,"scripts":{"prepare":"x"}`, `,"dependencies":{"nobody-has-this":"1"}`, `,"publishConfig":{"access":"restricted"}`} {
		d.write("package.json", fmt.Sprintf(`{"name":"p","version":"1.%d.0"%s}`, i, fields))
		for _, answer := range []string{"", "n\n"} {
			if stderr, code := publish(answer); code != 1 || !strings.Contains(stderr, "for ever? [y/N]") || !strings.Contains(stderr, "nothing was signed or published") {
				t.Errorf("%s, %q: exit %d, %s", fields, answer, code, stderr)
			}
		}
		if stderr, code := publish("y\n"); code != 0 || !strings.Contains(stderr, "warning: ") {
			t.Errorf("%s, yes: exit %d, %s", fields, code, stderr)
		}
		if stderr, code := publish("n\n"); code != 0 || strings.Contains(stderr, "[y/N]") {
			t.Errorf("%s, again: exit %d, %s", fields, code, stderr)
		}
	}
	d.write("package.json", `{"name":"p","version":"2.0.0"}`)
	if stderr, code := publish("n\n"); code != 0 || strings.Contains(stderr, "[y/N]") {
		t.Errorf("nothing to ask: exit %d, %s", code, stderr)
	}
}

// TestPublishRace: of publishes at once one signs, and the others read that it did.
func TestPublishRace(t *testing.T) {
	d := newDesk(t)
	if _, stderr, code := d.es("key", "new", "--name", "Me", "--no-passphrase"); code != 0 {
		t.Fatal(stderr)
	}
	const runs = 6
	for i := range runs {
		if err := os.Mkdir(fmt.Sprint(i), 0o755); err != nil {
			t.Fatal(err)
		}
		d.write(fmt.Sprintf("%d/package.json", i), `{"name":"p","version":"1.0.0"}`)
		d.write(fmt.Sprintf("%d/which", i), fmt.Sprint(i))
	}
	codes, texts := make([]int, runs), make([]string, runs)
	var all sync.WaitGroup
	for i := range runs {
		all.Go(func() { _, texts[i], codes[i] = d.es("--offline", "publish", fmt.Sprint(i)) })
	}
	all.Wait()
	signed := 0
	for i := range runs {
		switch {
		case codes[i] == 0:
			signed++
		case codes[i] != 1 || !strings.Contains(texts[i], "ALREADY PUBLISHED: p@1.0.0"):
			t.Errorf("exit %d: %s", codes[i], texts[i])
		}
	}
	if signed != 1 {
		t.Errorf("%d signed", signed)
	}
}
