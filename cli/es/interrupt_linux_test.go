package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everythingstays/es/cli/internal/ui"
)

// seat is somebody at a terminal.
type seat struct {
	t    *testing.T
	own  *os.File // what the person sees and types
	line *os.File // the program's side
	mu   sync.Mutex
	seen bytes.Buffer
}

func newSeat(t *testing.T) *seat {
	t.Helper()
	own, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { own.Close() })
	n, err := unix.IoctlGetInt(int(own.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(own.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close() })
	s := &seat{t: t, own: own, line: line}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := own.Read(b)
			s.mu.Lock()
			s.seen.Write(b[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return s
}

func (s *seat) shows(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.seen.String(), text)
}

func (s *seat) echoes() bool {
	state, err := unix.IoctlGetTermios(int(s.line.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// start runs es at the seat.
func (s *seat) start(home string, args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "es", args...)
	cmd.Env = append(os.Environ(), "ES_HOME="+home, "ES_DHT=off", "ES_MDNS=off", "ES_PASSPHRASE=")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.line, s.line, s.line
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return cmd
}

// ends waits for the program, and returns its exit code.
func ends(t *testing.T, cmd *exec.Cmd, within time.Duration) int {
	t.Helper()
	done := make(chan struct{})
	go func() {
		cmd.Wait() // the exit code says it
		close(done)
	}()
	select {
	case <-done:
		if s := cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signaled() {
			return 128 + int(s.Signal()) // before es catches it, and as a shell tells it
		}
		return cmd.ProcessState.ExitCode()
	case <-time.After(within):
		cmd.Process.Kill()
		<-done
		t.Errorf("es %q still runs after %v", cmd.Args[1:], within)
		return -1
	}
}

// prompt is how long an interrupted command may take: it has nothing to finish.
const prompt = 2 * time.Second

// Whoever is asked can leave: by the keyboard and by a signal, with the echo on again.
func TestThreat65InterruptedQuestions(t *testing.T) {
	asked := map[string]struct {
		args []string
		says string
	}{
		"passphrase of a new key": {[]string{"key", "new", "--name", "B"}, "passphrase for the new key: "},
		"passphrase":              {[]string{"heartbeat"}, "passphrase: "},
		"trust":                   {[]string{"trust", "add", strings.Repeat("0123456789", 4), "foo"}, "[y/N] "},
		"revoke":                  {[]string{"key", "revoke", "--reason", "retired"}, "passphrase: "},
	}
	home := filepath.Join(t.TempDir(), "home")
	made := exec.CommandContext(t.Context(), "es", "key", "new", "--name", "A", "-q")
	made.Env = append(os.Environ(), "ES_HOME="+home, "ES_PASSPHRASE=secret")
	if out, err := made.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	type act struct {
		code int
		do   func(*seat, *exec.Cmd) error
	}
	types := func(key string) func(*seat, *exec.Cmd) error {
		return func(s *seat, _ *exec.Cmd) error { _, err := io.WriteString(s.own, key); return err }
	}
	signals := func(sig os.Signal) func(*seat, *exec.Cmd) error {
		return func(_ *seat, cmd *exec.Cmd) error { return cmd.Process.Signal(sig) }
	}
	for what, q := range asked {
		for how, a := range map[string]act{
			"ctrl-C": {130, types("\x03")}, "ctrl-D": {1, types("\x04")},
			"SIGINT": {130, signals(os.Interrupt)}, "SIGTERM": {143, signals(syscall.SIGTERM)},
		} {
			t.Run(what+" "+how, func(t *testing.T) {
				s := newSeat(t)
				cmd := s.start(home, q.args...)
				for deadline := time.Now().Add(waitLimit); !s.shows(q.says) || strings.Contains(q.says, "pass") && s.echoes(); {
					if time.Now().After(deadline) {
						cmd.Process.Kill()
						t.Fatalf("no question: %s", s.seen.String())
					}
					<-time.After(5 * time.Millisecond)
				}
				if err := a.do(s, cmd); err != nil {
					t.Fatal(err)
				}
				if code := ends(t, cmd, prompt); code != a.code {
					t.Errorf("exit code %d, want %d\n%s", code, a.code, s.seen.String())
				}
				if !s.echoes() {
					t.Error("the terminal shows nothing that is typed any more")
				}
			})
		}
	}
}

// What is read may never come: from standard input, or a fifo that nobody writes to.
func TestThreat65InterruptedReads(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	project := filepath.Join(dir, "project")
	if err := os.Mkdir(project, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(project, "package.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := strings.Repeat("0123456789", 4)
	for _, c := range []struct {
		args   []string
		within time.Duration
	}{
		{[]string{"key", "import", "-"}, prompt},
		{[]string{"key", "import", fifo}, prompt},
		{[]string{"trust", "add", "-", "foo"}, prompt},
		{[]string{"trust", "add", fifo, "foo"}, prompt},
		{[]string{"trust", "deny", fifo}, prompt},
		{[]string{"node", "--private", fifo}, prompt},
		{[]string{"key", "revoke", f, "--certificate", fifo}, prompt},
		{[]string{"list"}, ui.EndWait + prompt}, // the last resort, where nothing waits for ctx
	} {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(strings.Join(c.args, " ")+" "+sig.String(), func(t *testing.T) {
				cmd := exec.CommandContext(t.Context(), "es", c.args...)
				cmd.Dir = project
				cmd.Env = append(os.Environ(), "ES_HOME="+filepath.Join(dir, "home"), "ES_DHT=off", "ES_MDNS=off")
				in, err := cmd.StdinPipe() // stays open, and says nothing
				if err != nil {
					t.Fatal(err)
				}
				defer in.Close()
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				waitsInRead(t, cmd.Process.Pid)
				if err := cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				if code := ends(t, cmd, c.within); code != 128+int(sig) && code != 1 && code != 5 {
					t.Errorf("exit code %d", code)
				}
			})
		}
	}
}

// waitsInRead waits until the process has caught signals and sleeps.
func waitsInRead(t *testing.T, pid int) {
	t.Helper()
	idle, last := 0, ""
	for deadline := time.Now().Add(waitLimit); time.Now().Before(deadline); {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')'):]))
		used := fields[0] + fields[1] + fields[12] + " " + fields[13] // state and times
		if used == last {
			idle++
		} else {
			idle, last = 0, used
		}
		if idle == 20 { // nothing computed for a while
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Error("it never came to rest")
}

// A node that is stopped, as by ctrl-Z, holds no command: it says so, and goes on.
func TestThreat65StoppedNode(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "es", args...)
		cmd.Env = append(os.Environ(), "ES_HOME="+filepath.Join(dir, "home"), "ES_DHT=off", "ES_MDNS=off")
		cmd.Dir = dir
		return cmd
	}
	n := run("node", "--listen", "/ip4/127.0.0.1/tcp/0")
	out, err := n.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	defer n.Wait()
	defer n.Process.Kill()
	for lines := bufio.NewScanner(out); ; {
		if !lines.Scan() {
			t.Fatal("the node was never ready")
		}
		if lines.Text() == "ready" {
			break
		}
	}
	if err := n.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	said, err := run("peers").CombinedOutput()
	if err != nil || !strings.Contains(string(said), fmt.Sprintf("es: warning: the running es node (process %d) has not answered", n.Process.Pid)) {
		t.Errorf("es peers: %v\n%s", err, said)
	}
	if err := n.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if said, err := run("status").CombinedOutput(); err != nil || !strings.HasPrefix(string(said), "node      running, es ") {
		t.Errorf("es status when it goes on: %v\n%s", err, said)
	}
}
