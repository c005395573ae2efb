package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// hostile returns n texts, each with some of what takes over a terminal, turns text
// around or cannot be seen.
func hostile(n int) []string {
	bad := []string{"\x1b[31m", "\x1b]0;owned\x07", "\r", "\b\b\b", "\t", "\x7f", "\u009b31m", "\u0085", "\x9b2J", "\xff", "\x80", "\u202e", "\u2066", "\u2069", "\u200e",
		"\u061c", "\u200b", "\u200d", "\ufeff", "\u2028", "\u00ad", "\U000e0041", "\x00", "\x1b(0", "\v", "\f", "\x9d"}
	for c := range rune(0x20) {
		bad = append(bad, string(c))
	}
	for c := rune(0x7f); c < 0xa0; c++ {
		bad = append(bad, string(c))
	}
	r := rand.New(rand.NewPCG(15, 0))
	words := []string{"left-pad", "", "lib", "@acme/x", "1.0.0", "--json", "key", "Ada <a@example.org>", "'", "\"", "%s%n", "\\u202e"}
	var all []string
	for i := range n {
		s := words[r.IntN(len(words))] + bad[i%len(bad)]
		for range r.IntN(4) {
			s += words[r.IntN(len(words))] + bad[r.IntN(len(bad))]
		}
		all = append(all, s+words[r.IntN(len(words))])
	}
	return all
}

// leak returns what of s no terminal may get.
func leak(s string) string {
	for i, r := range s {
		_, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\n':
		case r < 0x20, 0x7f <= r && r <= 0x9f, r == utf8.RuneError && n == 1, unicode.Is(unicode.Bidi_Control, r), unicode.Is(unicode.Cf, r),
			unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return fmt.Sprintf("%q in %q", s[i:i+n], s[max(0, i-60):min(len(s), i+60)])
		}
	}
	return ""
}

// A wall is a desk at which nothing hostile may be printed.
type wall struct {
	*desk
	ran, leaks int
}

// es runs a command, with and without --json.
func (w *wall) es(args ...string) {
	w.Helper()
	for _, more := range [][]string{nil, {"--json"}} {
		out, err, _ := w.desk.es(append(slices.Clone(more), args...)...)
		w.ran++
		for _, text := range []string{out, err} {
			if bad := leak(text); bad != "" {
				if w.leaks++; w.leaks < 20 {
					w.Errorf("es %q: %s", args, bad)
				}
			}
		}
	}
}

func (w *wall) write(name, text string) {
	w.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		w.Fatal(err)
	}
}

// TestThreat15HostileText is that no command prints, with or without --json, what takes
// over a terminal, turns text around or cannot be seen, whatever comes in where a record
// cannot refuse it: arguments, paths, the environment, trust files, package.json,
// es-lock.json, file names and user ids. 2,000 strings with ES_FULL=1, or 20, of which
// each goes through some commands, and all through every one.
func TestThreat15HostileText(t *testing.T) {
	n := 20
	if os.Getenv("ES_FULL") != "" {
		n = 2000
	}
	w := &wall{desk: newDesk(t)}
	ada := w.key("Ada")
	fpr := ada.Key().Fingerprint().String()
	w.says(ada, time.Hour, w.packs(`{"name": "lib", "version": "1.0.0"}`))
	w.must("trust", "add", fpr, "lib", "--yes")
	w.must("key", "new", "--name", "Me", "--no-passphrase")
	for i, s := range hostile(n) {
		w.arguments(s, i)
		switch i % 5 {
		case 0:
			w.manifest(s, i/5)
		case 1:
			w.lockfile(s, i/5)
		case 2:
			w.trustFiles(s, fpr, i/5)
		case 3:
			w.names(s)
		case 4:
			w.userID(s, i)
		}
	}
	addr := newDesk(t).serve(strings.Join(hostile(50), " ")) // which peers are told
	for _, c := range []string{"connect " + addr, "peers", "sync", "status", "doctor", "add nothing"} {
		w.es(strings.Fields(c)...)
	}
	t.Logf("%d commands, %d leaks", w.ran, w.leaks)
}

// arguments puts s wherever a command takes a word; each string meets some commands,
// and each command many strings.
func (w *wall) arguments(s string, i int) {
	arg := strings.ReplaceAll(s, "\x00", "\\0") // no process can be given one
	all := [][]string{
		{arg}, {"search", arg}, {"info", arg}, {"info", "lib@" + arg}, {"why", arg}, {"why", "lib@" + arg}, {"add", arg}, {"add", "lib@" + arg}, {"install", arg},
		{"remove", arg}, {"trust", "add", arg, "lib"}, {"trust", "add", arg, arg}, {"trust", "remove", arg}, {"trust", "deny", arg}, {"trust", "pin", arg, arg}, {"trust", "pin", "lib@1.0.0", arg},
		{"trust", "threshold", "2", arg}, {"trust", "threshold", arg, "lib"}, {"trust", "min-age", arg}, {"trust", arg}, {"key", "new", "--name", arg, "--no-passphrase"},
		{"key", "new", "--name", "x", "--email", arg, "--no-passphrase"}, {"key", "import", arg}, {"key", "use", arg}, {"key", "export", arg}, {"key", "revoke", arg},
		{"key", "revoke", "--reason", arg}, {"publish", arg}, {"publish", "--tag", arg}, {"tag", arg, arg}, {"tag", "lib@1.0.0", arg}, {"deprecate", arg, arg}, {"deprecate", "lib@1.0.0", arg},
		{"yank", arg}, {"advise", "lib", arg}, {"endorse", arg}, {"endorse", "lib@1.0.0", "--text", arg}, {"endorse", "lib@1.0.0", "--module", arg}, {"delegate", arg, "lib"}, {"rotate", arg},
		{"heartbeat", "--within", arg}, {"connect", arg}, {"export", arg}, {"verify", arg}, {"node", "--listen", arg}, {"node", "--bootstrap", arg}, {"node", "--private", arg},
		{"update", arg}, {"completion", arg}, {"help", arg}, {"add", "lib", "--accept-key", arg}, {"search", "lib", "--limit", arg}, {"--" + arg}, {"-" + arg}, {"--home", arg + "/\x00", "status"},
		{"doctor", arg}, {"sync", arg}, {"list", arg}, {"status", arg}, {"peers", arg}, {"demo", arg}, {"version", arg},
	}
	for k := range 4 {
		w.es(append([]string{"--offline"}, all[(4*i+k)%len(all)]...)...)
	}
}

const nobody = `{"name": "app", "version": "1.0.0"}`

// manifest puts s into the package.json of a project.
func (w *wall) manifest(s string, i int) {
	quoted, _ := json.Marshal(s)
	raw := strings.ReplaceAll(s, "\n", "")
	manifest := func(field string) string { return strings.TrimSuffix(nobody, "}") + ", " + field + "}" }
	inside := []string{
		manifest(fmt.Sprintf(`"esDependencies": {%s: "^1"}`, quoted)), manifest(fmt.Sprintf(`"esDependencies": {"lib": %s}`, quoted)),
		manifest(fmt.Sprintf(`"description": %s, "license": %s, "homepage": %s, "keywords": [%s]`, quoted, quoted, quoted, quoted)),
		manifest(fmt.Sprintf(`"bin": {%s: %s}`, quoted, quoted)), manifest(fmt.Sprintf(`"dependencies": {%s: %s}`, quoted, quoted)), fmt.Sprintf(`{"name": %s, "version": "1.0.0"}`, quoted),
		fmt.Sprintf(`{"name": "app", "version": %s}`, quoted), manifest(`"` + raw + `": 1`), raw, manifest(fmt.Sprintf(`"files": [%s], "scripts": {"install": %s}`, quoted, quoted)),
	}
	w.write("package.json", inside[i%len(inside)])
	for _, c := range [][]string{{"list"}, {"install"}, {"add", "lib"}, {"publish", "--dry-run"}, {"verify"}} {
		w.es(append([]string{"--offline"}, c...)...)
	}
}

// lockfile puts s into the es-lock.json of a project.
func (w *wall) lockfile(s string, i int) {
	quoted, _ := json.Marshal(s)
	raw := strings.ReplaceAll(s, "\n", "")
	w.write("package.json", strings.TrimSuffix(nobody, "}")+`, "esDependencies": {"lib": "^1"}}`)
	locks := []string{
		fmt.Sprintf(`{"lockfileVersion": 1, "packages": {"node_modules/lib": {"version": %s}}}`, quoted), fmt.Sprintf(`{"lockfileVersion": 1, "packages": {%s: {}}}`, quoted),
		raw, fmt.Sprintf(`{%s: 1}`, quoted), fmt.Sprintf(`{"lockfileVersion": 1, "packages": {"node_modules/lib": {"version": "1.0.0", "module": %s, "signer": %s}}}`, quoted, quoted),
	}
	w.write("es-lock.json", locks[i%len(locks)])
	w.es("--offline", "install", "--frozen")
	w.es("--offline", "list")
	os.Remove("es-lock.json")
}

// trustFiles puts s into the project's trust file, and then into the user's.
func (w *wall) trustFiles(s, fpr string, i int) {
	w.write("package.json", nobody)
	raw := strings.ReplaceAll(s, "\n", "")
	lines := []string{
		fmt.Sprintf("key %s lib label=%q", fpr, raw), "key " + raw + " lib", "quorum " + raw, raw, fmt.Sprintf("key %s %s", fpr, raw), fmt.Sprintf("key %s lib until=%s", fpr, raw),
		fmt.Sprintf("key %s lib label=\"%s\"", fpr, raw),
	}
	w.write("es.trust", lines[i%len(lines)]+"\n")
	own := filepath.Join(w.home, "trust")
	before, _ := os.ReadFile(own)
	for _, name := range []string{"es.trust", own} {
		if name == own {
			w.write(own, lines[(i+3)%len(lines)]+"\n")
			os.Remove("es.trust")
		}
		for _, c := range [][]string{{"trust", "list"}, {"why", "lib"}, {"info", "lib"}, {"add", "lib"}, {"doctor"}} {
			w.es(append([]string{"--offline"}, c...)...)
		}
	}
	w.write(own, string(before))
}

// names calls files and directories s.
func (w *wall) names(s string) {
	dir := w.TempDir()
	w.write(filepath.Join(dir, "package.json"), `{"name": "named", "version": "1.0.0"}`)
	if name := strings.NewReplacer("/", "_", "\x00", "").Replace(s); name != "" {
		w.write(filepath.Join(dir, name), "x")
		w.es("--offline", "publish", "--dry-run", dir)
		w.es("--offline", "publish", filepath.Join(dir, name))
		home := w.home
		w.home = filepath.Join(dir, "home"+name)
		w.es("--offline", "trust", "list")
		w.es("--offline", "add", "lib")
		w.es("--offline", "status")
		w.home = home
	}
}

// userID has somebody with s for a user id release something.
func (w *wall) userID(s string, i int) {
	w.Helper()
	e, err := openpgp.NewEntity(strings.NewReplacer("\x00", "", "(", "", ")", "", "<", "", ">", "").Replace(s), "", "", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		w.Fatal(err)
	}
	var b bytes.Buffer
	if err := e.SerializePrivateWithoutSigning(&b, nil); err != nil {
		w.Fatal(err)
	}
	k, err := sign.ReadSecretKey(b.Bytes(), nil)
	if err != nil {
		w.Fatal(err)
	}
	name := records.Name(fmt.Sprintf("by-%d", i))
	w.says(k, 0, &records.Release{Name: name, Version: "1.0.0", Module: w.packs(fmt.Sprintf(`{"name": %q, "version": "1.0.0"}`, name)).Module, Size: 1, Files: 1})
	fpr := k.Key().Fingerprint().String()
	for _, c := range [][]string{{"search", string(name)}, {"info", string(name)}, {"why", string(name)}, {"add", string(name)}, {"trust", "add", fpr, string(name)},
		{"trust", "add", fpr, string(name), "--yes"}, {"trust", "list"}, {"trust", "remove", fpr}, {"trust", "deny", fpr}, {"trust", "remove", fpr}} {
		w.es(append([]string{"--offline"}, c...)...)
	}
}
