package ui

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// Exit codes. docs/refusals.md lists them.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitTrust       = 3 // needs a trust decision
	ExitIntegrity   = 4 // wrong bytes, or an author said two things
	ExitNotFound    = 5
	ExitUnreachable = 6 // nobody reachable has it
)

// hintedError adds to err the next command to type, and an exit code where
// err's type does not decide it.
type hintedError struct {
	err   error
	hints []string
	code  int
}

func (e *hintedError) Error() string { return e.err.Error() }
func (e *hintedError) Unwrap() error { return e.err }

// Hinted adds to err what to type next.
func Hinted(err error, format string, args ...any) error {
	return &hintedError{err: err, hints: []string{fmt.Sprintf(format, args...)}}
}

// Coded adds to err an exit code, and what to type next.
func Coded(code int, err error, hints ...string) error {
	return &hintedError{err: err, code: code, hints: hints}
}

// Message returns what went wrong on one safe line. Where an error has several, from
// names of files or arguments, say, their ends are shown.
func Message(err error) string {
	return Safe(strings.ReplaceAll(strings.TrimRight(err.Error(), "\n"), "\n", `\n`))
}

// Explain returns the exit code of err, or the given one where err has none, and the
// commands that lead on.
func Explain(err error, code int) (_ int, hints []string) {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Code, r.Next
	}
	var h *hintedError
	for e := err; errors.As(e, &h); e = h.err {
		hints = append(hints, h.hints...)
		if h.code != 0 {
			code = h.code
		}
	}
	return code, hints
}

// Fail prints err with what to type next, as JSON too where that is asked for and nothing
// was printed, and returns the exit code.
func (s *Streams) Fail(err error, code int, hints []string) int {
	var r *Refusal
	if errors.As(err, &r) {
		s.Errf("es: %s\n", Lines(r.Block(s.ErrColumns)))
	} else {
		s.message("%s", Message(err))
	}
	for _, h := range hints {
		s.Errf("es: hint: %s\n", h)
	}
	if s.JSON && !s.emitted {
		if err := s.Emit(describeError(err, code, hints)); err != nil {
			s.Errf("es: print the error: %s\n", Message(err))
		}
	}
	return code
}

// Interrupted says that a signal ended the command, and returns the exit code for cause.
func (s *Streams) Interrupted(cause error) int {
	fmt.Fprintln(s.Err, "es: interrupted")
	var why Interruption
	if errors.As(cause, &why) {
		return why.ExitCode()
	}
	return Interruption{syscall.SIGINT}.ExitCode()
}
