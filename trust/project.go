package trust

import (
	"context"
	"fmt"
	"strings"

	"github.com/everythingstays/es/records"
)

// ProjectFile is the name of a project's trust file, beside its package.json.
const ProjectFile = "es.trust"

// ParseProject reads the trust file of a project. Beyond what Parse refuses, it
// refuses whatever could undo a decision of the user, or let in keys or names
// that the file does not show: all words but "key", the scope "*", a depth,
// follow=yes and imports=yes.
func ParseProject(b []byte) (*Policy, error) {
	p, err := Parse(b)
	if err != nil {
		return nil, err
	}
	return p, p.checkProject()
}

func (p *Policy) checkProject() error {
	for i, l := range p.lines {
		if l.stmt == nil {
			continue
		}
		e, ok := l.stmt.(Entry)
		if !ok {
			return &SyntaxError{Line: i + 1, Word: l.word, Raw: strings.TrimRight(l.raw, "\r\n"), Text: "a project's file has key lines only; write this into your own trust file"}
		}
		if err := checkProjectEntry(e); err != nil {
			return &SyntaxError{Line: i + 1, Word: l.word, Raw: strings.TrimRight(l.raw, "\r\n"), Text: err.Error()}
		}
	}
	return nil
}

func checkProjectEntry(e Entry) error {
	for _, s := range e.Scopes {
		if s == "*" {
			return fmt.Errorf("a project's file lets no key speak for all names; write names, prefix-* or @scope/*")
		}
	}
	if e.Depth > 0 {
		return fmt.Errorf("a project's file shows every key that it lets in; write no depth, and a line for each key")
	}
	if e.Imports {
		return fmt.Errorf("a project's file does not say who vouches for what registries publish; write no imports=yes")
	}
	if e.Follow {
		return fmt.Errorf("a project's file shows every key that it lets in; write no follow=yes, and a line for each key")
	}
	return nil
}

// LoadProject reads the project's trust file at path. A file that does not exist
// is empty.
func LoadProject(path string) (*Policy, error) { return load(path, ParseProject) }

// UpdateProject changes the project's trust file at path as Update does.
func UpdateProject(ctx context.Context, path string, edit func(*Policy) error) error {
	return update(ctx, path, ParseProject, edit)
}

// Overruled returns the lines of the project's file that have no effect on some
// of their scopes, by line: the user's own file has lines that hold all names in
// these scopes, and decides.
func (ev *Evaluator) Overruled(project *Policy) map[int][]records.Scope {
	if project == nil {
		return nil
	}
	lines := map[int][]records.Scope{}
	for _, e := range project.Entries() {
		for _, s := range e.Scopes {
			for own := range ev.scopes {
				if contains(own, s) {
					lines[e.Line] = append(lines[e.Line], s)
					break
				}
			}
		}
	}
	return lines
}

// contains reports whether every name in s is in t.
func contains(t, s records.Scope) bool {
	return t == s || t[len(t)-1] == '*' && (t == "*" || len(s) >= len(t)-1 && s[:len(t)-1] == t[:len(t)-1])
}
