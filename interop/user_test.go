package interop

import (
	"bufio"
	"cmp"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A user is somebody with a home directory of their own who runs es.
type user struct {
	t       testing.TB
	program string
	home    string
	gnupg   string // GNUPGHOME, for those whose keys are in gpg
	dht     string // what ES_DHT says to all but es node with flags; "" for off
	netns   string // network namespace, "" for that of the test
	mdns    string // like dht
	usual   bool   // the environment says neither
	core    string // on which alone es runs, "" for any; in a namespace
}

func newUser(t testing.TB) *user {
	t.Helper()
	return &user{t: t, program: built(t, buildES), home: filepath.Join(t.TempDir(), "es")}
}

// newAuthor returns a user with a key, and the key's fingerprint.
func newAuthor(t testing.TB, name string) (*user, string) {
	t.Helper()
	u := newUser(t)
	u.es("", "key", "new", "--name", name, "--email", name+"@example.org", "--no-passphrase")
	var keys []struct {
		Fingerprint string
		Default     bool
	}
	u.json(&keys, "", "key", "list")
	if len(keys) != 1 || !keys[0].Default {
		t.Fatalf("key list: %+v, want one default key", keys)
	}
	return u, keys[0].Fingerprint
}

func (u *user) env() []string {
	env := []string{"HOME=" + filepath.Dir(u.home)}
	if filepath.Base(u.home) == ".es" { // where es looks by itself
		env = append(env, "PATH="+filepath.Dir(u.program)+":"+os.Getenv("PATH"))
	} else {
		env = append(env, "ES_HOME="+u.home)
	}
	if !u.usual {
		env = append(env, "ES_DHT="+cmp.Or(u.dht, "off"), "ES_MDNS="+cmp.Or(u.mdns, "off"))
	}
	if u.gnupg != "" {
		env = append(env, "GNUPGHOME="+u.gnupg)
	}
	return env
}

// try runs es in dir; an empty dir is the user's own.
func (u *user) try(dir string, args ...string) result {
	u.t.Helper()
	if dir == "" {
		dir = filepath.Dir(u.home)
	}
	program, args := u.command(args...)
	return run(u.t, dir, u.env(), program, args...)
}

// command is how es is started in the user's network.
func (u *user) command(args ...string) (string, []string) {
	return u.started(u.program, args...)
}

// started is how a program is started in the user's network.
func (u *user) started(program string, args ...string) (string, []string) {
	if u.netns == "" {
		return program, args
	}
	in := []string{"netns", "exec", u.netns}
	if u.core != "" {
		in = append(in, "taskset", "-c", u.core)
	}
	return "ip", append(append(in, program), args...)
}

// es runs es in dir, where it has to succeed, and returns standard output.
func (u *user) es(dir string, args ...string) string {
	u.t.Helper()
	r := u.try(dir, args...)
	if r.code != 0 {
		u.t.Fatal(r)
	}
	return r.stdout
}

// json runs es with --json and decodes what it prints.
func (u *user) json(v any, dir string, args ...string) {
	u.t.Helper()
	out := u.es(dir, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		u.t.Fatalf("es %s --json: %v in %q", strings.Join(args, " "), err, out)
	}
}

// published is what `es publish --json` prints.
type published struct {
	Name     string
	Version  string
	Module   string
	Record   string
	Envelope string
	Files    int
	Size     int64
}

func (u *user) publish(dir string) published {
	u.t.Helper()
	var p published
	u.json(&p, dir, "publish")
	return p
}

// project makes a directory with an empty package.json in it.
func (u *user) project() string {
	u.t.Helper()
	dir := u.t.TempDir()
	write(u.t, filepath.Join(dir, "package.json"), `{"name":"project","version":"1.0.0","private":true}`)
	return dir
}

// A daemon is a running `es node`.
type daemon struct {
	user  *user
	addrs []string // with the peer id, as other nodes dial them
	cmd   *exec.Cmd
	log   string
}

// node starts `es node` on the loopback interface and waits until it is ready.
// It is stopped, and has to stop by itself, when the test ends.
func (u *user) node(args ...string) *daemon {
	u.t.Helper()
	return u.daemon(append([]string{"--listen", "/ip4/127.0.0.1/tcp/0"}, args...)...)
}

// daemon starts es node where its arguments say.
func (u *user) daemon(args ...string) *daemon {
	u.t.Helper()
	logfile, err := os.CreateTemp(filepath.Dir(u.home), "node-*.log")
	if err != nil {
		u.t.Fatal(err)
	}
	defer logfile.Close()
	program, args := u.command(append([]string{"node"}, args...)...)
	cmd := exec.Command(program, args...)
	cmd.Dir = filepath.Dir(u.home)
	cmd.Env = environment(u.env())
	cmd.Stderr = logfile
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		u.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	d := &daemon{user: u, cmd: cmd, log: logfile.Name()}
	u.t.Cleanup(d.stop)
	ready := make(chan []string, 1)
	go func() {
		var addrs []string
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if addr, ok := strings.CutPrefix(lines.Text(), "listening "); ok {
				addrs = append(addrs, addr)
			}
			if lines.Text() == "ready" {
				ready <- addrs
			}
		}
		close(ready)
		_, _ = io.Copy(io.Discard, stdout)
	}()
	select {
	case addrs := <-ready:
		d.addrs = addrs
	case <-time.After(30 * time.Second):
	}
	if len(d.addrs) == 0 {
		u.t.Fatalf("es node is not ready:\n%s", d.messages())
	}
	return d
}

func (d *daemon) messages() string {
	data, err := os.ReadFile(d.log)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// stop ends the node the way a person does and waits for it.
func (d *daemon) stop() {
	if d.cmd.ProcessState != nil {
		return
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(15*time.Second, func() {
		d.user.t.Errorf("es node still runs 15 s after SIGTERM:\n%s", d.messages())
		_ = d.cmd.Process.Kill()
	})
	defer late.Stop()
	if err := d.cmd.Wait(); err != nil {
		d.user.t.Errorf("es node: %v\n%s", err, d.messages())
	}
	if strings.Contains(d.messages(), "panic:") {
		d.user.t.Errorf("es node panicked:\n%s", d.messages())
	}
}

// waitForPeer waits until the node has a peer that takes records.
func (u *user) waitForPeer() {
	u.t.Helper()
	eventually(u.t, 10*time.Second, "a peer that takes records", func() bool {
		var peers []struct{ Gossip bool }
		u.json(&peers, "", "peers")
		return len(peers) > 0 && peers[0].Gossip
	})
}

func write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
