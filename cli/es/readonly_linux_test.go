package main

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// nobodyUser is the user of the tests that an administrator runs.
const nobodyUser = 65534

// ownHome is a home that has a key, a release and a project, in a directory that the
// user nobody can enter.
type ownHome struct {
	t       *testing.T
	program string
	dir     string
	home    string
}

func newOwnHome(t *testing.T) *ownHome {
	t.Helper()
	o := &ownHome{t: t, dir: t.TempDir()}
	o.home, o.program = filepath.Join(o.dir, "home"), filepath.Join(o.dir, "es")
	if err := os.Chmod(filepath.Dir(o.dir), 0o755); err != nil { // closed to others otherwise
		t.Fatal(err)
	}
	self, err := exec.LookPath("es")
	if err != nil {
		t.Fatal(err)
	}
	copyProgram(t, self, o.program)
	for name, text := range map[string]string{
		"lib/package.json": `{"name": "lib", "version": "1.0.0"}`, "lib/index.js": "module.exports = 1\n",
		"app/package.json": `{"name": "app", "version": "1.0.0"}`,
	} {
		path := filepath.Join(o.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o.must("", "key", "new", "--name", "Ada", "--no-passphrase")
	o.must("lib", "publish", "--offline")
	o.must("app", "add", "lib", "--yes", "--offline")
	if err := os.RemoveAll(filepath.Join(o.dir, "app", "node_modules")); err != nil {
		t.Fatal(err)
	}
	return o
}

// copyProgram makes the program one that every user can run: a test's own directory is
// closed to others.
func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	r, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, r); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func (o *ownHome) command(in string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(o.t.Context(), o.program, args...)
	cmd.Dir = filepath.Join(o.dir, in)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + o.dir, "ES_HOME=" + o.home, "ES_DHT=off", "ES_MDNS=off", "TMPDIR=" + os.TempDir()}
	return cmd
}

func (o *ownHome) must(in string, args ...string) {
	o.t.Helper()
	if out, err := o.command(in, args...).CombinedOutput(); err != nil {
		o.t.Fatalf("es %q: %v\n%s", args, err, out)
	}
}

// readingCommands are all that only read, with what they print for this home.
var readingCommands = []struct {
	args string
	want string
}{
	{"search lib", `\*  lib  1\.0\.0`},
	{"search nothing", `nothing found`},
	{"info lib", `lib@1\.0\.0  trusted`},
	{"why lib", `lib@1\.0\.0 is trusted`},
	{"list", `lib@1\.0\.0`},
	{"trust list", `your own key`},
	{"key list", `Ada`},
	{"key export", `BEGIN PGP PUBLIC KEY BLOCK`},
	{"status", `index     1 record by 1 author`},
	{"peers", `no peers connected`},
	{"verify --stored", `1 key, 1 record`},
	{"verify lib@1.0.0", `signature good`},
	{"export lib@1.0.0 -o exported", `record\.cbor`},
	{"publish ../lib --dry-run", `nothing was signed or stored`},
	{"doctor", `ok +index`},
	{"install --frozen", `lib@1\.0\.0`},
	{"install --frozen --offline", `1 package in place`},
	{"version", `.`},
	{"completion bash", `es`},
}

// check runs all of them by way of run, and then that they have left the home as it was.
func (o *ownHome) check(run func(*exec.Cmd)) {
	before := o.listing()
	for _, c := range readingCommands {
		cmd := o.command("app", strings.Fields(c.args)...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		run(cmd)
		err := cmd.Run()
		fine := err == nil || c.args == "search nothing" || c.args == "list" // which tell by the exit code what they found
		if !fine || !regexp.MustCompile(c.want).Match(out.Bytes()) {
			o.t.Errorf("es %s: %v, want %s\n%s", c.args, err, c.want, out.Bytes())
		}
	}
	for _, args := range []string{"key new --name Eve --no-passphrase", "trust min-age 3d", "sync", "install", "verify --repair"} {
		cmd := o.command("app", strings.Fields(args)...)
		run(cmd)
		if out, err := cmd.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("it cannot be written")) {
			o.t.Errorf("es %s: %v, want a line that says that the home cannot be written\n%s", args, err, out)
		}
	}
	if after := o.listing(); !slices.Equal(before, after) {
		o.t.Errorf("the home was changed:\n%q\n%q", before, after)
	}
}

func (o *ownHome) listing() []string {
	var all []string
	err := filepath.WalkDir(o.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		all = append(all, path+" "+info.Mode().String()+" "+info.ModTime().String())
		return nil
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return all
}

// SPEC N101. What only reads works for a user who may not write.
func TestReadOnlyHomeByMode(t *testing.T) {
	o := newOwnHome(t)
	root := os.Geteuid() == 0
	err := filepath.WalkDir(o.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && root {
			err = os.Lchown(path, nobodyUser, nobodyUser)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	err = filepath.WalkDir(o.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			dirs = append(dirs, path)
			return nil
		}
		return os.Chmod(path, 0o400)
	})
	if err != nil {
		t.Fatal(err)
	}
	chmod := func(mode fs.FileMode) {
		for _, d := range dirs {
			if err := os.Chmod(d, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	chmod(0o500)
	defer chmod(0o700)
	o.check(func(cmd *exec.Cmd) {
		if root {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobodyUser, Gid: nobodyUser}}
		}
	})
}

// SPEC N101. And on a file system that is mounted for reading, for whoever owns it.
func TestReadOnlyHomeByMount(t *testing.T) {
	o := newOwnHome(t)
	o.check(func(cmd *exec.Cmd) {
		args := append([]string{"-c", `mount --bind "$ES_HOME" "$ES_HOME" && mount -o remount,bind,ro "$ES_HOME" && exec "$@"`, "sh"}, cmd.Args...)
		cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh"}, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		if os.Geteuid() != 0 {
			cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		}
	})
}
