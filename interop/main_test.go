package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// binaries is where TestMain has the programs under test built.
var binaries string

// roles are what this program is when a test starts it again, in a namespace.
var roles = map[string]func() error{"attack": attackMain, "watch": watchMain}

func TestMain(m *testing.M) {
	if addr := os.Getenv("ES_TEST_CROWD"); addr != "" {
		holdConnections(addr)
		return
	}
	if role, ok := roles[os.Getenv("ES_TEST_ROLE")]; ok {
		if err := role(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	dir, err := os.MkdirTemp("", "es-interop-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binaries = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// Each program is built at most once, and only when a test asks for it: kubo
// takes minutes when Go's build cache is cold.
var (
	buildES   = sync.OnceValues(func() (string, error) { return build("..", "es", "./cli/es") })
	buildIPFS = sync.OnceValues(func() (string, error) { return build("kubo", "ipfs", "github.com/ipfs/kubo/cmd/ipfs") })
)

func build(module, name, pkg string) (string, error) {
	program := filepath.Join(binaries, name)
	cmd := exec.Command("go", "build", "-o", program, pkg)
	cmd.Dir = module
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, output)
	}
	return program, nil
}

func built(t testing.TB, build func() (string, error)) string {
	t.Helper()
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// A result is what came of running a program to its end.
type result struct {
	command string
	stdout  string
	stderr  string
	code    int
}

func (r result) String() string {
	return fmt.Sprintf("%s: exit code %d\nstdout: %s\nstderr: %s", r.command, r.code, r.stdout, r.stderr)
}

// run runs a program in dir for at most two minutes. env is all that its
// environment has besides PATH and a language.
func run(t testing.TB, dir string, env []string, program string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = environment(env)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	r := result{
		command: filepath.Base(program) + " " + strings.Join(args, " "),
		stdout:  stdout.String(),
		stderr:  stderr.String(),
		code:    cmd.ProcessState.ExitCode(),
	}
	if ctx.Err() != nil {
		t.Fatalf("still running after two minutes: %v", r)
	}
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %s: %v", r.command, err)
	}
	return r
}

// must is run for a program that has to succeed; it returns standard output.
func must(t testing.TB, dir string, env []string, program string, args ...string) string {
	t.Helper()
	r := run(t, dir, env, program, args...)
	if r.code != 0 {
		t.Fatal(r)
	}
	return r.stdout
}

func environment(extra []string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}, extra...)
}

// eventually calls done every 20 ms until it says yes, for at most limit.
func eventually(t testing.TB, limit time.Duration, what string, done func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Since(start) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		<-tick.C
	}
	return time.Since(start)
}
