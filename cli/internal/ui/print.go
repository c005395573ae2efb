package ui

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/everythingstays/es/records"
)

// Printf writes a line of the command's result to standard output.
func (s *Streams) Printf(format string, args ...any) {
	io.WriteString(s.Out, Visible(fmt.Sprintf(format+"\n", withoutLineEnds(args)...)))
}

// Linef is Printf for words: the line is broken between them where the terminal ends.
func (s *Streams) Linef(format string, args ...any) {
	line := Visible(fmt.Sprintf(format, withoutLineEnds(args)...))
	io.WriteString(s.Out, wrap(line, s.Columns)+"\n")
}

// Note says on standard error what happened; --quiet leaves it out.
func (s *Streams) Note(format string, args ...any) {
	if !s.Quiet {
		s.message(format, args...)
	}
}

// message writes a line to standard error, broken where the terminal ends.
func (s *Streams) message(format string, args ...any) {
	line := Visible(fmt.Sprintf("es: "+format, withoutLineEnds(args)...))
	io.WriteString(s.Err, wrap(line, s.ErrColumns)+"\n")
}

// Hint names the next command to type; --quiet leaves it out. It is one line, however long,
// so that the command can be copied.
func (s *Streams) Hint(format string, args ...any) {
	if !s.Quiet {
		s.Errf("es: hint: "+format+"\n", args...)
	}
}

// Again is this run's command line with more arguments, for a POSIX shell.
func (s *Streams) Again(more ...string) string {
	words := []string{"es"}
	for _, w := range slices.Concat(s.Args, more) {
		words = append(words, ShellWord(w))
	}
	return Safe(strings.Join(words, " "))
}

// ShellWord quotes s where a POSIX shell would change it.
func ShellWord(s string) string {
	if s != "" && strings.Trim(s, plainInShell) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

const plainInShell = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./_-"

// Warn is a note that --quiet does not leave out.
func (s *Streams) Warn(format string, args ...any) {
	s.message("warning: "+format, args...)
}

// Errf writes to standard error.
func (s *Streams) Errf(format string, args ...any) {
	io.WriteString(s.Err, Visible(fmt.Sprintf(format, withoutLineEnds(args)...)))
}

// Lines is text of several lines that es itself has laid out.
type Lines string

// withoutLineEnds makes what is put into a line stay in it: a name of a directory, an
// argument or an error with a line end must not begin a line that looks like one of
// es's own. Only Lines may.
func withoutLineEnds(args []any) []any {
	safe := slices.Clone(args)
	for i, a := range safe {
		var text string
		switch v := a.(type) {
		case Lines:
			continue
		case error:
			text = v.Error()
		case fmt.Stringer:
			text = v.String()
		default:
			if r := reflect.ValueOf(a); r.Kind() == reflect.String {
				text = r.String()
			}
		}
		if strings.Contains(text, "\n") {
			safe[i] = strings.ReplaceAll(text, "\n", `\n`)
		}
	}
	return safe
}

// Emit writes v as one JSON document.
func (s *Streams) Emit(v any) error {
	s.emitted = true
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(s.Out, Visible(b.String()))
	return err
}

// Safe makes any text fit for one line of a terminal: without control,
// invisible and direction-changing characters.
func Safe(s string) string { return records.CleanText(s, 4*records.MaxText) }

// UIDText is what a key says of its owner, safe to print.
func UIDText(uid string) string {
	if uid = Safe(uid); strings.TrimSpace(uid) == "" {
		return "(no user id)"
	}
	return uid
}

// Visible writes as JSON does, \u202e, what no terminal may get but the ends of lines: the
// last guard, for paths, arguments and files that nobody thought of.
func Visible(s string) string {
	if strings.IndexFunc(s, isHidden) < 0 {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch _, n := utf8.DecodeRuneInString(s[i:]); {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, "\\x%02x", s[i])
		case !isHidden(r):
			b.WriteRune(r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, "\\u%04x\\u%04x", hi, lo)
		default:
			fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}

// isHidden reports whether r must not be printed as it is: also what stands for bytes
// that are no UTF-8.
func isHidden(r rune) bool {
	return r != '\n' && (r < ' ' || r > '~') && (r == utf8.RuneError || records.CheckText(string(r), utf8.UTFMax) != nil)
}

// Ask puts a yes-or-no question. Without somebody to answer, the answer is no
// and the error says which flag answers it.
func (s *Streams) Ask(ctx context.Context, question string, yes bool, flag string) (bool, error) {
	if yes {
		return true, nil
	}
	if !s.Asks {
		return false, Hinted(errors.New(question+" needs an answer, and nobody is at this terminal"), "answer with %s", flag)
	}
	s.Errf("es: %s [y/N] ", question)
	line, err := Await(ctx, func() (string, error) { return bufio.NewReader(s.In).ReadString('\n') })
	if err != nil && err != io.EOF {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

// BytesText writes a number of bytes for people.
func BytesText(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n)
	for _, u := range []string{"kB", "MB", "GB"} {
		f /= unit
		if f < unit {
			return fmt.Sprintf("%.1f %s", f, u)
		}
	}
	return fmt.Sprintf("%.1f TB", f/unit)
}

// Plural writes "1 file" or "2 files".
func Plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if stem, y := strings.CutSuffix(one, "y"); y && !strings.ContainsAny(stem[len(stem)-1:], "aeou") {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, one)
}
