package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/everythingstays/es/records"
)

// printf writes a line of the command's result to standard output.
func (a *app) printf(format string, args ...any) {
	fmt.Fprintf(a.out, format+"\n", args...)
}

// note says on standard error what happened; --quiet leaves it out.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.err, "es: "+format+"\n", args...)
	}
}

// hint names the next command to type.
func (a *app) hint(format string, args ...any) {
	a.note("hint: "+format, args...)
}

// again is this run's command line with more arguments, for a POSIX shell.
func (a *app) again(more ...string) string {
	words := []string{"es"}
	for _, w := range slices.Concat(a.args, more) {
		words = append(words, shellWord(w))
	}
	return safe(strings.Join(words, " "))
}

// shellWord quotes s where a POSIX shell would change it.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, plainInShell) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

const plainInShell = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./_-"

// warn is a note that --quiet does not leave out.
func (a *app) warn(format string, args ...any) {
	fmt.Fprintf(a.err, "es: warning: "+format+"\n", args...)
}

// emit writes v as one JSON document.
func (a *app) emit(v any) error {
	a.emitted = true
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// table writes rows in columns; the cells must be safe already.
func (a *app) table(rows [][]string) {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(w, strings.TrimRight(strings.Join(r, "\t"), "\t"))
	}
	w.Flush()
}

// safe makes any text fit for one line of a terminal: without control,
// invisible and direction-changing characters.
func safe(s string) string { return records.CleanText(s, 4*records.MaxText) }

// ask puts a yes-or-no question. Without somebody to answer, the answer is no
// and the error says which flag answers it.
func (a *app) ask(question string, yes bool, flag string) (bool, error) {
	if yes {
		return true, nil
	}
	if !a.asks {
		return false, hinted(errors.New(question+" needs an answer, and nobody is at this terminal"), "answer with %s", flag)
	}
	fmt.Fprintf(a.err, "es: %s [y/N] ", question)
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && err != io.EOF {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

// bytesText writes a number of bytes for people.
func bytesText(n int64) string {
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

// plural writes "1 file" or "2 files".
func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if stem, y := strings.CutSuffix(one, "y"); y && !strings.ContainsAny(stem[len(stem)-1:], "aeou") {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, one)
}
