package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
)

// Every command that es has, with runs of it: one that prints a result, and one that
// ends otherwise where there is one. A command that is not here fails the test.
// KEY, MODULE, PEER and OTHER stand for the home's key, the module that it has
// published, the address of a running node and the key of that node's home.
var commandRuns = map[string][][]string{
	"es":                       {{}, {"--version"}, {"nonsense"}},
	"es add":                   {{"add", "left-pad", "--force"}, {"add", "nobody-has-it"}},
	"es advise":                {{"advise", "left-pad@1", "look out"}, {"advise", "left-pad"}},
	"es ci":                    {{"ci"}, {"ci", "--omit", "all"}}, // the rest of it is in testdata/ci.txtar
	"es completion":            {{"completion"}, {"completion", "nonsense"}},
	"es completion bash":       {{"completion", "bash"}},
	"es completion fish":       {{"completion", "fish"}},
	"es completion powershell": {{"completion", "powershell"}},
	"es completion zsh":        {{"completion", "zsh"}},
	"es connect":               {{"connect", "PEER"}, {"connect", "nowhere"}},
	"es delegate":              {{"delegate", "OTHER", "left-pad", "--until", "2099-12-31"}, {"delegate", "OTHER"}},
	"es demo":                  {{"demo", "--nonsense"}}, // the rest of it is in testdata/demo.txtar
	"es deprecate":             {{"deprecate", "left-pad", "old"}, {"deprecate", "left-pad"}},
	"es doctor":                {{"doctor", "--offline"}, {"doctor"}},
	"es endorse":               {{"endorse", "left-pad@1.0.0"}, {"endorse", "nobody-has-it@1.0.0"}},
	"es export":                {{"export", "left-pad@1.0.0"}, {"export", "left-pad@2.0.0"}},
	"es heartbeat":             {{"heartbeat"}},
	"es help":                  {{"help"}, {"help", "trust", "add"}, {"help", "nonsense"}, {"search", "--help"}},
	"es import":                {{"import"}, {"import", "nonsense"}},
	"es bun":                   {{"bun", "--help"}}, // and testdata/client.txtar
	"es npm":                   {{"npm", "--help"}},
	"es pnpm":                  {{"pnpm", "--help"}},
	"es yarn":                  {{"yarn", "--help"}},
	"es import osv":            {{"import", "osv", "missing.json"}, {"import", "osv"}},          // and testdata/client.txtar
	"es import npm":            {{"import", "npm", "left-pad", "--offline"}, {"import", "npm"}}, // and testdata/import.txtar
	"es info":                  {{"info", "left-pad"}, {"info", "nobody-has-it"}},
	"es install":               {{"install"}, {"install", "--frozen", "left-pad"}},
	"es key":                   {{"key"}, {"key", "nonsense"}},
	"es key export":            {{"key", "export"}, {"key", "export", strings.Repeat("0", 40)}},
	"es key import":            {{"key", "import", "other.asc"}, {"key", "import", "missing.asc"}},
	"es key list":              {{"key", "list"}},
	"es key new":               {{"key", "new", "--name", "Cy", "--no-passphrase"}, {"key", "new"}},
	"es key revoke":            {{"key", "revoke", "--reason", "retired", "--yes"}, {"key", "revoke", strings.Repeat("0", 40), "--reason", "retired", "--yes"}},
	"es key use":               {{"key", "use", "KEY"}, {"key", "use", strings.Repeat("0", 40)}},
	"es list":                  {{"list"}, {"list", "more"}},
	"es node":                  {{"node", "--listen", "/ip4/127.0.0.1/tcp/0"}, {"node", "--offline"}},
	"es peers":                 {{"peers"}},
	"es publish":               {{"publish", "again"}, {"publish", "again", "--dry-run"}, {"publish", "nowhere"}},
	"es remove":                {{"remove", "left-pad"}, {"remove", "nobody-has-it"}},
	"es rotate":                {{"rotate", "OTHER", "--yes"}, {"rotate"}},
	"es search":                {{"search", "left-pad"}, {"search", "nobody-has-it"}},
	"es status":                {{"status"}},
	"es sync":                  {{"sync"}, {"sync", "--offline"}},
	"es tag":                   {{"tag", "left-pad@1.0.0", "next"}, {"tag", "left-pad@2.0.0", "next"}},
	"es trust":                 {{"trust"}, {"trust", "nonsense"}},
	"es trust add":             {{"trust", "add", "OTHER", "right-pad", "--yes"}, {"trust", "add", "OTHER", "right-pad"}},
	"es trust add npm":         {{"trust", "add", "npm", "left-pad"}, {"trust", "add", "npm"}}, // and testdata/authority.txtar
	"es trust deny npm":        {{"trust", "deny", "npm"}, {"trust", "deny", "npm", "left-pad"}},
	"es trust remove npm":      {{"trust", "remove", "npm"}, {"trust", "remove", "npm", "left-pad"}},
	"es trust deny":            {{"trust", "deny", "OTHER"}, {"trust", "deny", "nonsense"}},
	"es trust list":            {{"trust", "list"}},
	"es trust min-age":         {{"trust", "min-age", "3d"}, {"trust", "min-age", "3"}},
	"es trust pin":             {{"trust", "pin", "left-pad@1.0.0", "MODULE"}, {"trust", "pin", "left-pad@1.0.0", "--remove"}},
	"es trust remove":          {{"trust", "remove", "KEY"}, {"trust", "remove", "OTHER"}},
	"es trust threshold":       {{"trust", "threshold", "2", "left-pad"}, {"trust", "threshold", "left-pad", "--remove"}},
	"es update":                {{"update"}, {"update", "nobody-has-it"}},
	"es verify":                {{"verify"}, {"verify", "left-pad@1.0.0"}, {"verify", "left-pad@2.0.0"}},
	"es version":               {{"version"}, {"version", "more"}},
	"es why":                   {{"why", "left-pad"}, {"why", "left-pad@latest"}, {"why", "nobody-has-it"}},
	"es yank":                  {{"yank", "left-pad@1"}, {"yank", "left-pad"}},
}

// networked are the commands that are nothing without a network; the others run faster
// without.
var networked = []string{"connect", "doctor", "node", "peers", "status", "sync"}

// Every command ends with the same exit code with and without --json, and fails with 1
// when what it prints gets lost.
func TestEveryCommand(t *testing.T) {
	d := newDesk(t)
	c := newCommands(d)
	var paths []string
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		paths = append(paths, cmd.CommandPath())
		for _, sub := range cmd.Commands() {
			if !sub.Hidden {
				walk(sub)
			}
		}
	}
	root := cli.New(&ui.Streams{Out: io.Discard}, nil).Root(groups...)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd("completion")
	walk(root)
	for _, path := range paths {
		runs := commandRuns[path]
		if len(runs) == 0 {
			t.Errorf("%s has no runs in the table", path)
		}
		for _, args := range runs {
			c.compare(args)
		}
	}
	for path := range commandRuns {
		if !slices.Contains(paths, path) {
			t.Errorf("%s is in the table, and es does not have it", path)
		}
	}
}

// TestHelpFits is that a terminal of 80 columns breaks no line of any help, and none of
// what a refusal means, which is indented.
func TestHelpFits(t *testing.T) {
	var out bytes.Buffer
	root := cli.New(&ui.Streams{Out: io.Discard}, nil).Root(groups...)
	root.SetOut(&out)
	fits := func(of, text string, width int) {
		for line := range strings.Lines(text) {
			if line = strings.TrimSuffix(line, "\n"); ui.TextWidth(line) > width {
				t.Errorf("%s has a line of %d columns, not at most %d: %s", of, ui.TextWidth(line), width, line)
			}
		}
	}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		out.Reset()
		if err := cmd.Help(); err != nil || out.Len() == 0 {
			t.Errorf("help of %s: %d bytes, error %v", cmd.CommandPath(), out.Len(), err)
		}
		fits(cmd.CommandPath()+" --help", out.String(), cli.HelpColumns)
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(root)
	for kind, text := range cli.Meanings {
		fits(kind, text, cli.HelpColumns-len("    "))
	}
}

// commands runs each command in a copy of one home and one project.
type commands struct {
	*desk
	prepared string
	words    *strings.Replacer
}

func newCommands(d *desk) *commands {
	d.Helper()
	c := &commands{desk: d, prepared: d.TempDir()}
	must := func(args ...string) string {
		d.Helper()
		out, stderr, code := d.es(args...)
		if code != ui.ExitDone {
			d.Fatalf("es %v: exit code %d: %s", args, code, stderr)
		}
		return strings.TrimSpace(out)
	}
	write := func(name, text string) {
		d.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			d.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			d.Fatal(err)
		}
	}
	write("first/package.json", `{"name": "left-pad", "version": "1.0.0", "description": "pads"}`)
	write("again/package.json", `{"name": "left-pad", "version": "1.1.0"}`)
	write("package.json", `{"name": "app", "version": "1.0.0"}`)
	home := d.home
	d.home = filepath.Join(d.TempDir(), "other")
	other := must("key", "new", "--name", "Bob", "--no-passphrase")
	write("other.asc", must("key", "export")+"\n")
	addr := d.runNode()
	d.home = home
	key := must("key", "new", "--name", "Ada", "--no-passphrase")
	must("publish", "first", "--offline")
	must("add", "left-pad", "--offline")
	must("trust", "add", key, "left-pad", "--yes")
	must("key", "import", "other.asc")
	must("connect", addr)
	module := must("info", "left-pad", "--json")
	module = module[strings.Index(module, "bafy"):]
	module = module[:strings.Index(module, `"`)]
	for to, from := range map[string]string{"home": d.home, "app": "."} {
		if err := os.CopyFS(filepath.Join(c.prepared, to), os.DirFS(from)); err != nil {
			d.Fatal(err)
		}
	}
	c.words = strings.NewReplacer("KEY", key, "OTHER", other, "MODULE", module, "PEER", addr)
	return c
}

// runNode runs a node until the test ends and returns its address.
func (d *desk) runNode() string {
	d.Helper()
	ctx, cancel := context.WithCancel(d.Context())
	lines := make(lineWriter, 16)
	done := make(chan int, 1)
	go func() {
		done <- d.app(lines, io.Discard).Run(ctx, []string{"--home", d.home, "node", "--listen", "/ip4/127.0.0.1/tcp/0"}, groups...)
	}()
	d.Cleanup(func() { cancel(); <-done })
	for {
		select {
		case line := <-lines:
			if addr, ok := strings.CutPrefix(line, "listening "); ok {
				return strings.TrimSpace(addr)
			}
		case code := <-done:
			done <- code
			d.Fatalf("es node ended with exit code %d", code)
		}
	}
}

type lineWriter chan string

func (w lineWriter) Write(b []byte) (int, error) {
	w <- string(b)
	return len(b), nil
}

// full is a disk without room.
type full struct{ tried int }

func (f *full) Write(b []byte) (int, error) {
	f.tried += len(b)
	return 0, syscall.ENOSPC
}

// stopper ends a node that says that it is ready.
type stopper struct {
	bytes.Buffer
	stop func()
}

func (s *stopper) Write(b []byte) (int, error) {
	if string(b) == "ready\n" {
		s.stop()
	}
	return s.Buffer.Write(b)
}

func (c *commands) compare(args []string) {
	c.Helper()
	var codes []int
	if len(args) > 0 && !slices.Contains(networked, args[0]) {
		args = append(slices.Clone(args), "--offline")
	}
	for _, more := range [][]string{nil, {"--json"}} {
		var out stopper
		var said bytes.Buffer
		args := append(slices.Clone(args), more...)
		code := c.run(&out, &said, &out.stop, args)
		codes = append(codes, code)
		lost := &full{}
		lostCode := c.run(lost, io.Discard, new(func()), args)
		switch {
		case out.Len() > 0 && (lostCode == ui.ExitDone || code == ui.ExitDone && lostCode != ui.ExitFailed || lost.tried == 0):
			c.Errorf("es %v onto a full disk: exit code %d, %d bytes tried", args, lostCode, lost.tried)
		case out.Len() == 0 && lostCode != code:
			c.Errorf("es %v, which prints nothing, onto a full disk: exit code %d, want %d", args, lostCode, code)
		}
		c.Logf("es %v: exit code %d, %d bytes; %s", args, code, out.Len(), said.String())
	}
	if codes[0] != codes[1] {
		c.Errorf("es %v: exit code %d, with --json %d", args, codes[0], codes[1])
	}
}

// run runs a command in a new copy of what was prepared; stop is how to end it.
func (c *commands) run(out, err io.Writer, stop *func(), args []string) int {
	c.Helper()
	dir := c.TempDir()
	if err := os.CopyFS(dir, os.DirFS(c.prepared)); err != nil {
		c.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "home"), 0o700); err != nil {
		c.Fatal(err)
	}
	c.Chdir(filepath.Join(dir, "app"))
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	*stop = cancel
	all := []string{"--home", filepath.Join(dir, "home")}
	for _, a := range args {
		all = append(all, c.words.Replace(a))
	}
	return c.app(out, err).Run(ctx, all, groups...)
}
