package interop

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newcomer returns somebody at a place whose $HOME is empty, with es on the PATH
// and nothing else said: es makes its home where it does so by itself.
func newcomer(t testing.TB, p place) *user {
	t.Helper()
	return (&user{t: t, program: built(t, buildES), home: filepath.Join(t.TempDir(), ".es")}).at(p)
}

// shell runs a line of shell in dir, without a terminal.
func (u *user) shell(dir, line string) result {
	u.t.Helper()
	program, args := u.started("sh", "-c", line)
	r := run(u.t, dir, u.env(), program, args...)
	r.command = line
	return r
}

// says fails unless each text is in what the program printed, wherever lines end.
func (r result) says(t testing.TB, texts ...string) {
	t.Helper()
	plain := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	for _, text := range texts {
		if !strings.Contains(plain(r.stdout+"\n"+r.stderr), plain(text)) {
			t.Errorf("it does not say %q: %v", text, r)
		}
	}
}

// ends fails the test unless the program ended with the exit code and printed each
// text.
func (r result) ends(t testing.TB, code int, texts ...string) {
	t.Helper()
	if r.code != code {
		t.Fatalf("want exit code %d: %v", code, r)
	}
	r.says(t, texts...)
}

// answers are what somebody at a terminal types after what stands last there.
var answers = map[string]string{
	"[y/N] ":                       "y",
	"passphrase for the new key: ": "correct horse",
	"the same again: ":             "correct horse",
	"passphrase: ":                 "correct horse",
}

// colour is what a terminal does not show as text.
var colour = regexp.MustCompile("\x1b\\[[0-9;]*m")

// types runs a line of shell at a terminal of 80 columns and answers what is asked.
// stdout of the result is all that stands on the terminal then, stderr is empty.
func (u *user) types(dir, line string) result {
	u.t.Helper()
	person, program := pseudoTerminal(u.t)
	defer person.Close()
	name, args := u.started("sh", "-c", line)
	cmd := exec.CommandContext(u.t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, environment(append(u.env(), "TERM=xterm"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	program.Close()
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	var screen strings.Builder
	answered := 0
	for buffer := make([]byte, 4096); ; {
		n, err := person.Read(buffer)
		screen.Write(buffer[:n])
		for prompt, text := range answers {
			if strings.HasSuffix(screen.String()[answered:], prompt) {
				answered = screen.Len()
				if _, err := person.WriteString(text + "\n"); err != nil {
					u.t.Fatal(err)
				}
			}
		}
		if err != nil { // EIO: nobody has the other end open any more
			break
		}
	}
	if exit := new(exec.ExitError); !errors.As(cmd.Wait(), &exit) && cmd.ProcessState == nil {
		u.t.Fatalf("%s did not run", line)
	}
	return result{command: line, stdout: colour.ReplaceAllString(strings.ReplaceAll(screen.String(), "\r\n", "\n"), ""), code: cmd.ProcessState.ExitCode()}
}

// pseudoTerminal returns the two ends of a terminal of 80 columns.
func pseudoTerminal(t testing.TB) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return person, program
}
