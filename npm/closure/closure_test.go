package closure

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/everythingstays/es/npm/registry"
)

// world gives packuments of JSON.
type world struct {
	packuments map[string]string
	asked      atomic.Int32
}

func (w *world) Packument(_ context.Context, name string) (*registry.Packument, error) {
	w.asked.Add(1)
	text, ok := w.packuments[name]
	if !ok {
		return nil, errors.New("404")
	}
	return registry.ParsePackument([]byte(text))
}

// packumentOf writes "1.0.0 {fields}" per line.
func packumentOf(name, latest string, versions ...string) string {
	var b strings.Builder
	for i, v := range versions {
		version, fields, _ := strings.Cut(v, " ")
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, "%q: {%s}", version, fields)
	}
	return fmt.Sprintf(`{"name": %q, "dist-tags": {"latest": %q, "next": "3.0.0-rc.1", "gone": "9.9.9"}, "versions": {%s}}`, name, latest, b.String())
}

func newWorld() *world {
	return &world{packuments: map[string]string{
		"a": packumentOf("a", "1.1.0",
			`1.0.0 "dependencies": {"b": "^1.0.0", "o": "*"}, "optionalDependencies": {"o": "1", "win": "1"}`,
			`1.1.0 "dependencies": {"b": "^2"}, "peerDependencies": {"p": "1", "q": "1"}, "peerDependenciesMeta": {"q": {"optional": true}}`,
			`2.0.0 "dependencies": {"missing": "1", "g": "git+https://h.example/g.git", "alias": "npm:@s/real@1"}`,
			`2.1.0 "deprecated": "broken"`,
			`3.0.0-rc.1 `),
		"b":       packumentOf("b", "2.0.0", "1.0.0", `1.5.0 "dependencies": {"a": "1.0.0"}`, "2.0.0"),
		"o":       packumentOf("o", "1.0.0", "1.0.0"),
		"p":       packumentOf("p", "1.0.0", "1.0.0"),
		"q":       packumentOf("q", "1.0.0", "1.0.0"),
		"win":     packumentOf("win", "1.0.0", `1.0.0 "os": ["win32"]`),
		"old":     packumentOf("old", "2.0.0", `1.0.0 "deprecated": "d"`, `1.1.0 "deprecated": "d"`, `2.0.0 "deprecated": "d"`),
		"@s/real": packumentOf("@s/real", "1.0.0", "1.0.0"),
		"odd":     packumentOf("odd", "1.0.0", "1.0.0", "1.0", "v2"),
	}}
}

func linux(os, _, _ []string) bool {
	for _, o := range os {
		if o != "linux" {
			return false
		}
	}
	return true
}

func TestFind(t *testing.T) {
	for _, c := range []struct {
		request, spec string
		o             Options
		want, failed  string
	}{
		{"a", "", Options{}, "a@1.1.0 b@2.0.0 p@1.0.0", ""},
		{"a", "latest", Options{Alone: true}, "a@1.1.0", ""},
		{"a", "^1", Options{Alone: true}, "a@1.1.0", ""},
		{"a", "1.0.0", Options{}, "a@1.0.0 b@1.5.0 o@1.0.0 win@1.0.0", ""},
		{"a", "1.0.0", Options{Runs: linux}, "a@1.0.0 b@1.5.0 o@1.0.0", ""},
		{"a", ">=1", Options{Alone: true}, "a@1.1.0", ""},   // latest is in the range
		{"a", "^2", Options{Alone: true}, "a@2.0.0", ""},    // 2.1.0 is deprecated
		{"a", "2.1.0", Options{Alone: true}, "a@2.1.0", ""}, // asked for
		{"a", "next", Options{Alone: true}, "a@3.0.0-rc.1", ""},
		{"old", "^1", Options{}, "old@1.1.0", ""}, // all are deprecated
		{"x", "npm:@s/real@^1", Options{}, "@s/real@1.0.0", ""},
		{"x", "npm:@s/real", Options{}, "@s/real@1.0.0", ""},
		{"a", "2.0.0", Options{}, "@s/real@1.0.0 a@2.0.0", "g@git+https://h.example/g.git, which a@2.0.0 needs; missing@1, which a@2.0.0 needs"},
		{"a", "^7", Options{}, "", "a@^7"},
		{"a", "gone", Options{}, "", "a@gone"},
		{"a", "nosuch", Options{}, "", "a@nosuch"},
		{"a", "file:../a", Options{}, "", "a@file:../a"},
		{"a", "user/repo", Options{}, "", "a@user/repo"},
		{"../a", "1", Options{}, "", "../a@1"},
		{"missing", "", Options{}, "", "missing"},
		{"b", "", Options{AllVersions: true}, "a@1.0.0 b@1.0.0 b@1.5.0 b@2.0.0 o@1.0.0 win@1.0.0", ""},
		{"odd", "", Options{AllVersions: true, Alone: true}, "odd@1.0.0", ""},
	} {
		w := newWorld()
		releases, failures, err := Find(t.Context(), w, []Request{{c.request, c.spec}}, c.o)
		if err != nil {
			t.Errorf("%s@%s: %v", c.request, c.spec, err)
			continue
		}
		var got, failed []string
		for i := range releases {
			got = append(got, releases[i].String())
		}
		for i := range failures {
			text := strings.TrimPrefix(failures[i].Error(), "find ")
			at := strings.LastIndex(text, failures[i].Err.Error())
			failed = append(failed, strings.TrimSuffix(text[:at], ": "))
		}
		if strings.Join(got, " ") != c.want || strings.Join(failed, "; ") != c.failed {
			t.Errorf("%s@%s: %s; failed: %s", c.request, c.spec, strings.Join(got, " "), strings.Join(failed, "; "))
		}
	}
}

// TestPackumentsAreAskedOnce: also where a hundred packages wait for one.
func TestPackumentsAreAskedOnce(t *testing.T) {
	w := &world{packuments: map[string]string{"b": packumentOf("b", "1.0.0", "1.0.0")}}
	var requests []Request
	for i := range 100 {
		name := fmt.Sprintf("a%d", i)
		w.packuments[name] = packumentOf(name, "1.0.0", fmt.Sprintf(`1.0.0 "dependencies": {"b": ">=0.%d"}`, i))
		requests = append(requests, Request{name, ""})
	}
	releases, failures, err := Find(t.Context(), w, requests, Options{})
	if err != nil || len(failures) > 0 || len(releases) != 101 || w.asked.Load() != 101 {
		t.Errorf("%d releases, %v, %v, %d packuments asked", len(releases), failures, err, w.asked.Load())
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Find(ctx, newWorld(), []Request{{"a", ""}}, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
