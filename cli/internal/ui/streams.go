// Package ui is how es speaks with whoever runs it: results and messages, tables, progress,
// refusals, questions and exit codes. It knows nothing of modules, records or networks, and
// makes whatever it prints safe for a terminal.
package ui

import (
	"io"
	"os"
	"sync/atomic"

	"golang.org/x/term"
)

// Streams are where a command reads and writes, and how.
type Streams struct {
	In     io.Reader
	Out    io.Writer
	Err    io.Writer
	Getenv func(string) string

	Args  []string // of this run, the program's name left out
	JSON  bool     // print results as one JSON document
	Quiet bool     // print results and errors only
	TTY   bool     // messages go to a terminal: show progress there
	Asks  bool     // someone can answer a question

	Columns    int  // of the terminal that results go to; 0 without one
	Colour     bool // it shows colours
	ErrColumns int  // of the terminal that messages go to; 0 without one

	emitted bool // something was printed as JSON
	echo    echo
	lingers atomic.Bool // an ending command may take nodeEndWait
}

// Standard are the streams of this process.
func Standard() *Streams {
	s := &Streams{
		In:     os.Stdin,
		Out:    os.Stdout,
		Err:    os.Stderr,
		Getenv: os.Getenv,
		TTY:    term.IsTerminal(int(os.Stderr.Fd())),
		Asks:   term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())),
	}
	s.Columns, s.Colour = terminal(os.Stdout, os.Getenv)
	s.ErrColumns, _ = terminal(os.Stderr, os.Getenv)
	return s
}

// defaultColumns is how wide a terminal is of which that is not known.
const defaultColumns = 80

// terminal returns how wide a terminal is, defaultColumns when that is not known, and
// whether it shows colours; 0 and false when the file is none.
func terminal(f *os.File, getenv func(string) string) (columns int, colour bool) {
	if !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 {
		columns = defaultColumns
	}
	return columns, showsColours(getenv)
}

// showsColours reports whether the terminal that the environment describes does.
func showsColours(getenv func(string) string) bool {
	name := getenv("TERM")
	return getenv("NO_COLOR") == "" && name != "" && name != "dumb"
}

// NameTerminal tells gpg's agent on which terminal to ask for a passphrase, when
// the user's shell does not.
func NameTerminal() {
	if os.Getenv("GPG_TTY") != "" || !term.IsTerminal(int(os.Stdin.Fd())) {
		return
	}
	if tty, err := os.Readlink("/proc/self/fd/0"); err == nil { // Linux alone has it
		os.Setenv("GPG_TTY", tty)
	}
}
