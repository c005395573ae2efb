package interop

import (
	"debug/elf"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// blocks returns the indented blocks of a section of README.md, less the
// indentation.
func blocks(t *testing.T, section string) []string {
	t.Helper()
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(b), "\n"+section+"\n")
	if !ok {
		t.Fatalf("README.md has no %q", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var all []string
	inside := false
	for line := range strings.Lines(text) {
		rest, indented := strings.CutPrefix(line, "    ")
		switch {
		case indented && !inside:
			all = append(all, rest)
		case indented:
			all[len(all)-1] += rest
		}
		inside = indented
	}
	return all
}

// A session is a command of README's and what README shows of the terminal
// afterwards.
type session struct {
	command string
	shown   string
}

func sessions(block string) []session {
	var all []session
	for line := range strings.Lines(block) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			all = append(all, session{command: strings.TrimSpace(command)})
		} else if len(all) > 0 {
			all[len(all)-1].shown += line
		}
	}
	return all
}

var (
	readmeKey = regexp.MustCompile(`[0-9A-F]{4}\.\.\.40 hex digits\.\.\.`) // how README.md writes a fingerprint
	shortKey  = regexp.MustCompile(`\([0-9A-F]{4}\.\.\.\)`)                // and one that the terminal cuts
	someDay   = regexp.MustCompile(`\d{4}-\d\d-\d\d`)
	ellipsis  = regexp.MustCompile(`\s*\\\.\\\.\\\.\s*`)
)

// screen is what a terminal shows when it shows what README does, in that order:
// fingerprints and dates are anybody's, and an ellipsis stands for what is left out.
func (s session) screen() *regexp.Regexp {
	text := readmeKey.ReplaceAllString(strings.TrimSpace(s.shown), "\x00")
	text = shortKey.ReplaceAllString(text, "(...")
	text = regexp.QuoteMeta(someDay.ReplaceAllString(text, "\x01"))
	text = strings.NewReplacer("\x00", "[0-9A-F]{40}", "\x01", someDay.String(), "\n", `(?:\n|\n(?s:.*)\n)`, " ", `(?: |\n {4})`).Replace(ellipsis.ReplaceAllString(text, "(?s:.*)"))
	return regexp.MustCompile(`(?:^|\n)` + text + `\s*$`)
}

// installed installs es as README says and returns the program.
func installed(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("Install the program from a checkout with `([^`]+)`: one file").FindSubmatch(b)
	if m == nil {
		t.Fatal("README.md does not say how to install es")
	}
	dir := t.TempDir()
	must(t, "..", []string{"HOME=" + os.Getenv("HOME"), "GOBIN=" + dir}, "sh", "-c", string(m[1]))
	program := filepath.Join(dir, "es")
	// One file, which needs nothing else: no library is named in it.
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if libraries, err := f.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("es needs %q (%v)", libraries, err)
	}
	return program
}

// TestReadmeTour types what README's tour says, word for word, at a terminal: Ada
// publishes, Bob on another network installs, and a newcomer who knows nobody is led
// by what es prints. Only the address and the fingerprints are others.
func TestReadmeTour(t *testing.T) {
	program := installed(t)
	tour := blocks(t, "## A tour")
	if len(tour) != 3 {
		t.Fatalf("README's tour has %d blocks, want Ada's, Bob's and the newcomer's", len(tour))
	}
	net := newInternet(t)
	ada, bob := newcomer(t, net.host("ada")), newcomer(t, net.host("bob"))
	ada.program, bob.program = program, program
	l := newLAN(t, "tour", 73)
	l.prefix = "5.2.0" // a public one
	l.plug(ada.netns)
	leftPad := filepath.Join(filepath.Dir(ada.home), "left-pad")
	write(t, filepath.Join(leftPad, "package.json"), `{"name":"left-pad","version":"1.3.0","description":"pads on the left","main":"index.js"}`)
	write(t, filepath.Join(leftPad, "index.js"), "module.exports = s => s.padStart(8)\n")
	write(t, filepath.Join(leftPad, "README.md"), "# left-pad\n"+strings.Repeat("It pads on the left.\n", 460))

	var there *daemon
	at := filepath.Dir(ada.home)
	for line := range strings.Lines(tour[0]) {
		if command, _, _ := strings.Cut(line, "#"); strings.HasSuffix(strings.TrimSpace(command), "&") {
			there = ada.daemon(strings.Fields(strings.TrimSuffix(strings.TrimSpace(command), "&"))[2:]...)
			continue
		}
		r := ada.types(at, line)
		t.Log(r)
		if r.code != 0 {
			t.Fatal(r)
		}
	}
	if there == nil {
		t.Fatal("Ada's tour starts no es node")
	}

	key, err := os.ReadFile(filepath.Join(at, "ada.asc"))
	if err != nil {
		t.Fatal(err)
	}
	project := t.TempDir()
	write(t, filepath.Join(project, "ada.asc"), string(key))
	if !strings.HasPrefix(tour[1], "es connect /ip4/192.0.2.7/tcp/4011/p2p/12D3K... ") {
		t.Fatalf("Bob's tour does not begin with the address: %q", tour[1])
	}
	for line := range strings.Lines(strings.Replace(tour[1], "/ip4/192.0.2.7/tcp/4011/p2p/12D3K...", there.addrs[0], 1)) {
		r := bob.types(project, line)
		t.Log(r)
		if r.code != 0 {
			t.Fatal(r)
		}
	}
	if diff := differences(readTree(t, filepath.Join(project, "node_modules", "left-pad")), readTree(t, leftPad)); diff != "" {
		t.Error(diff)
	}
	newcomerTour(t, l, ada, tour[2])
}

// newcomerTour has somebody with nothing type what README shows, on a LAN where
// one other runs es node.
func newcomerTour(t *testing.T, l *lan, ada *user, block string) {
	someone := newcomer(t, place{netns: l.host("newcomer")})
	var keys []struct{ Fingerprint string }
	ada.json(&keys, "", "key", "list")
	project := t.TempDir()
	steps := sessions(block)
	if !slices.EqualFunc(steps, []string{"es search ", "es trust add ", "es add "}, func(s session, want string) bool { return strings.HasPrefix(s.command, want) }) {
		t.Fatalf("the newcomer's commands are %+v", steps)
	}
	for _, s := range steps {
		r := someone.types(project, readmeKey.ReplaceAllString(s.command, keys[0].Fingerprint))
		t.Log(r)
		if r.code != 0 {
			t.Fatal(r)
		}
		if !s.screen().MatchString(r.stdout) {
			t.Errorf("README shows\n%s\nthe terminal shows\n%s", s.shown, r.stdout)
		}
	}
}
