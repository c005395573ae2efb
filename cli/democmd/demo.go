package democmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/testdata/samples"
)

func demoCommand(a cli.App) *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "show the whole story on this machine",
		Long: `Runs the main job with real processes and real connections over loopback: an
author publishes, a seeder relays, a reader who trusts the author searches, adds
and runs the program, and a stranger who trusts nobody is refused.

Everything happens in a temporary directory; your own home is not touched.`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, args []string) error { return runDemo(cmd.Context(), a, keep) },
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave the temporary directory for a look around")
	return cmd
}

// demoModules are the names of the samples, at version 1.0.0 each.
var demoModules = []string{"@everythingstays/greeting", "hello-es"}

// demoWait bounds each wait of the demo: on loopback all of them are short, so
// one that is not is a failure.
const demoWait = 30 * time.Second

func runDemo(ctx context.Context, a cli.App, keep bool) (err error) {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the es program: %w", err)
	}
	dir, err := os.MkdirTemp("", "es-demo-")
	if err != nil {
		return err
	}
	if keep {
		defer a.Note("everything is in %s", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	ctx, cancel := context.WithCancel(ctx)
	d := &demo{app: a, exe: exe, dir: dir}
	defer d.stopNodes()
	defer cancel()
	if err := writeSamples(filepath.Join(dir, "author", "src")); err != nil {
		return err
	}
	return d.play(ctx)
}

// demo is one performance; each person in it has a directory with a home.
type demo struct {
	app   cli.App
	exe   string
	dir   string
	nodes map[string]*demoNode
}

type demoNode struct {
	cmd  *exec.Cmd
	addr string
	log  bytes.Buffer
	done chan struct{}
}

func (d *demo) play(ctx context.Context) error {
	for _, step := range []func(context.Context) error{d.start, d.publish, d.search, d.leave, d.add, d.stranger} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	d.say("That was all of it: no registry, no account, no server of ours.")
	return nil
}

func (d *demo) start(ctx context.Context) error {
	d.say("Four computers, here four processes with homes of their own. They know only the seeder, which passes on what it hears.")
	if err := d.startNode(ctx, "seeder", "--seed", "all"); err != nil {
		return err
	}
	seeder := d.nodes["seeder"].addr
	for _, who := range []string{"author", "reader", "stranger"} {
		if err := d.startNode(ctx, who, "--bootstrap", seeder); err != nil {
			return err
		}
	}
	// What is announced before somebody listens, he does not hear.
	return d.until(ctx, "the seeder has met the others", func() bool { return d.listeners(ctx, "seeder") == 3 })
}

func (d *demo) publish(ctx context.Context) error {
	d.say("The author makes a key and publishes two modules.")
	if _, err := d.es(ctx, "author", "", "key", "new", "--name", "Ada", "--email", "ada@example.org", "--no-passphrase"); err != nil {
		return err
	}
	for _, m := range samples.Dirs {
		if _, err := d.es(ctx, "author", "", "publish", "src/"+m); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) search(ctx context.Context) error {
	d.say("The reader's node has heard of it through the seeder. It believes nobody yet, so it says who claims what.")
	for _, name := range demoModules {
		if err := d.until(ctx, name+" reaches the reader", func() bool { return d.knows(ctx, "reader", name) }); err != nil {
			return err
		}
	}
	_, err := d.es(ctx, "reader", "", "search", "hello")
	return err
}

func (d *demo) leave(ctx context.Context) error {
	for _, name := range demoModules {
		if err := d.until(ctx, "the seeder has "+name, func() bool { return d.holds(ctx, "seeder", name) }); err != nil {
			return err
		}
	}
	d.say("The author goes offline. The modules stay, because the seeder has fetched them.")
	return d.stopNode("author")
}

func (d *demo) add(ctx context.Context) error {
	d.say("The reader decides to believe the author for these names, and adds the program.")
	fpr, err := d.authorKey(ctx)
	if err != nil {
		return err
	}
	if _, err := d.es(ctx, "reader", "", "trust", "add", fpr, "hello-es", "@everythingstays/*", "--label", "ada", "--yes"); err != nil {
		return err
	}
	if _, err := d.es(ctx, "reader", "app", "add", "hello-es", "--yes"); err != nil {
		return err
	}
	return d.runProgram(ctx)
}

func (d *demo) runProgram(ctx context.Context) error {
	program := filepath.Join("node_modules", ".bin", "hello-es")
	if _, err := exec.LookPath("node"); err != nil {
		d.say("node is not on this machine, so the program is not run: reader$ %s", program)
		_, err := os.Stat(filepath.Join(d.dir, "reader", "app", program))
		return err
	}
	d.say("It runs.")
	if runtime.GOOS == "windows" {
		program += ".cmd"
	}
	out, err := d.run(ctx, "reader", "app", filepath.Join(d.dir, "reader", "app", program), []string{"reader"}, program+" reader")
	if err != nil {
		return err
	}
	if !strings.Contains(out, "reader") {
		return fmt.Errorf("the installed program printed %q", out)
	}
	return nil
}

func (d *demo) stranger(ctx context.Context) error {
	d.say("A stranger has heard the same, and believes nobody: nothing is installed, and the hint says what would change that.")
	if err := d.until(ctx, "hello-es reaches the stranger", func() bool { return d.knows(ctx, "stranger", "hello-es") }); err != nil {
		return err
	}
	_, err := d.es(ctx, "stranger", "app", "add", "hello-es", "--yes")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != ui.ExitTrust {
		return fmt.Errorf("the stranger's es add must end with exit code %d, but: %v", ui.ExitTrust, err)
	}
	d.app.Printf("  (exit code %d)", exit.ExitCode())
	if _, err := os.Stat(filepath.Join(d.dir, "stranger", "app", "node_modules", "hello-es")); err == nil {
		return errors.New("the stranger has node_modules/hello-es all the same")
	}
	return nil
}

// startNode starts `es node` for who and waits until it is ready.
func (d *demo) startNode(ctx context.Context, who string, args ...string) error {
	if err := os.MkdirAll(filepath.Join(d.dir, who, "app"), 0o755); err != nil {
		return err
	}
	args = append([]string{"node", "--listen", "/ip4/127.0.0.1/tcp/0"}, args...)
	d.prompt(who, "es "+strings.Join(args, " ")+" &")
	n := &demoNode{done: make(chan struct{})}
	n.cmd = d.command(ctx, who, "", d.exe, args)
	n.cmd.Stderr = &n.log
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := n.cmd.Start(); err != nil {
		return fmt.Errorf("start the %s's node: %w", who, err)
	}
	if d.nodes == nil {
		d.nodes = map[string]*demoNode{}
	}
	d.nodes[who] = n
	ready := make(chan struct{})
	go n.read(out, ready)
	select {
	case <-ready:
	case <-n.done:
		return fmt.Errorf("the %s's node ended before it was ready:\n%s", who, n.log.String())
	case <-time.After(demoWait):
		return fmt.Errorf("the %s's node was not ready after %v", who, demoWait)
	case <-ctx.Done():
		return ctx.Err()
	}
	d.app.Printf("  listening %s", n.addr)
	return nil
}

// read takes the node's address from its output and waits for its end.
func (n *demoNode) read(out io.Reader, ready chan<- struct{}) {
	defer close(n.done)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if addr, ok := strings.CutPrefix(lines.Text(), "listening "); ok && n.addr == "" {
			n.addr = addr
		}
		if lines.Text() == "ready" {
			close(ready)
		}
	}
	n.cmd.Wait()
}

func (d *demo) stopNode(who string) error {
	n := d.nodes[who]
	delete(d.nodes, who)
	d.prompt(who, "kill %1")
	n.stop()
	return nil
}

func (n *demoNode) stop() {
	if n.cmd.Process.Signal(os.Interrupt) != nil { // Windows has no such signal
		n.cmd.Process.Kill()
	}
	select {
	case <-n.done:
	case <-time.After(demoWait):
		n.cmd.Process.Kill()
		<-n.done
	}
}

func (d *demo) stopNodes() {
	for _, n := range d.nodes {
		n.stop()
	}
}

// es runs one command of es for who, in a directory below who's, and shows it
// with its output.
func (d *demo) es(ctx context.Context, who, dir string, args ...string) (string, error) {
	if dir != "" {
		if err := os.MkdirAll(filepath.Join(d.dir, who, dir), 0o755); err != nil {
			return "", err
		}
	}
	return d.run(ctx, who, dir, d.exe, args, "es "+strings.Join(shellQuoted(args), " "))
}

func (d *demo) run(ctx context.Context, who, dir, program string, args []string, shown string) (string, error) {
	d.prompt(path.Join(who, dir), shown)
	var out bytes.Buffer
	var both transcript
	cmd := d.command(ctx, who, dir, program, args)
	cmd.Stdout = io.MultiWriter(&out, &both)
	cmd.Stderr = &both
	err := cmd.Run()
	for line := range strings.Lines(both.text.String()) {
		d.app.Linef("  %s", strings.TrimRight(line, "\r\n"))
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return "", fmt.Errorf("run %s: %w", shown, err)
	}
	if err != nil {
		return out.String(), fmt.Errorf("%s$ %s: %w", who, shown, err)
	}
	return out.String(), nil
}

// transcript takes both outputs of a program, in the order in which they come.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(b)
}

func (d *demo) command(ctx context.Context, who, dir, program string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = filepath.Join(d.dir, who, filepath.FromSlash(dir))
	cmd.Env = append(os.Environ(), "ES_HOME="+filepath.Join(d.dir, who, "home"), "ES_PASSPHRASE=", "ES_DHT=off", "ES_MDNS=off")
	cmd.WaitDelay = time.Second
	return cmd
}

// knows asks who's index for a name. That nothing is found is an exit code, and
// no error here.
func (d *demo) knows(ctx context.Context, who, name string) bool {
	out, _ := d.command(ctx, who, "", d.exe, []string{"info", name, "--json"}).Output()
	var info struct{ Versions []struct{ Version string } }
	return json.Unmarshal(out, &info) == nil && len(info.Versions) > 0
}

// listeners counts the peers of who's node that take records.
func (d *demo) listeners(ctx context.Context, who string) int {
	out, _ := d.command(ctx, who, "", d.exe, []string{"peers", "--json"}).Output()
	var peers []api.PeerInfo
	json.Unmarshal(out, &peers) // what is not JSON has no peers
	n := 0
	for _, p := range peers {
		if p.Gossip {
			n++
		}
	}
	return n
}

// holds reports whether every block of the module is at who's.
func (d *demo) holds(ctx context.Context, who, name string) bool {
	out, _ := d.command(ctx, who, "", d.exe, []string{"verify", name + "@1.0.0", "--json"}).Output()
	var claims []struct{ Stored bool }
	return json.Unmarshal(out, &claims) == nil && len(claims) > 0 && claims[0].Stored
}

func (d *demo) authorKey(ctx context.Context) (string, error) {
	out, err := d.command(ctx, "author", "", d.exe, []string{"key", "list", "--json"}).Output()
	if err != nil {
		return "", fmt.Errorf("list the author's keys: %w", err)
	}
	var keys []struct{ Fingerprint string }
	if err := json.Unmarshal(out, &keys); err != nil || len(keys) != 1 {
		return "", fmt.Errorf("the author must have one key, but es key list --json prints %q", out)
	}
	return keys[0].Fingerprint, nil
}

// until polls a condition that other processes bring about.
func (d *demo) until(ctx context.Context, what string, ok func() bool) error {
	deadline := time.After(demoWait)
	for !ok() {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			return fmt.Errorf("waited %v in vain until %s", demoWait, what)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (d *demo) say(format string, args ...any) {
	d.app.Printf("")
	d.app.Linef("# "+format, args...)
}

func (d *demo) prompt(who, line string) { d.app.Printf("%s$ %s", who, line) }

func shellQuoted(args []string) []string {
	out := make([]string, len(args))
	for i, s := range args {
		if strings.ContainsAny(s, " *~$&'\"") {
			s = "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
		}
		out[i] = s
	}
	return out
}

// writeSamples writes the sample modules out as a checkout would hold them.
func writeSamples(dir string) error {
	return fs.WalkDir(samples.FS, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if e.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		b, err := fs.ReadFile(samples.FS, name)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o644)
	})
}
