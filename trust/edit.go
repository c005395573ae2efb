package trust

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust/authority"
	"github.com/everythingstays/es/trust/internal/word"
)

// AddKey adds a "key" line for those of e's scopes that the key does not have yet
// under the same label, depth, until, follow and imports, after the key's other lines or
// at the end of the file. It reports whether there was anything to add. Lines
// only ever add up: to narrow what a key has, RemoveKey first.
func (p *Policy) AddKey(e Entry) (bool, error) {
	scopes := slices.Clone(e.Scopes)
	last := -1
	for i, l := range p.lines {
		have, ok := l.stmt.(Entry)
		if !ok || have.Fingerprint != e.Fingerprint {
			continue
		}
		last = i
		if have.Depth == e.Depth && have.Until.Equal(e.Until) && have.Follow == e.Follow && have.Imports == e.Imports && (e.Label == "" || have.Label == e.Label) {
			scopes = slices.DeleteFunc(scopes, func(s records.Scope) bool { return slices.Contains(have.Scopes, s) })
		}
	}
	if len(scopes) == 0 && len(e.Scopes) > 0 {
		return false, nil
	}
	e.Scopes = scopes
	return true, p.insert(last+1, last < 0, formatEntry(e))
}

func formatEntry(e Entry) string {
	var b strings.Builder
	b.WriteString("key " + e.Fingerprint.String())
	for i, s := range e.Scopes {
		if !slices.Contains(e.Scopes[:i], s) {
			b.WriteString(" " + string(s))
		}
	}
	if e.Label != "" {
		b.WriteString(" label=" + word.FormatLabel(e.Label))
	}
	if e.Depth != 0 {
		b.WriteString(" depth=" + strconv.Itoa(e.Depth))
	}
	if !e.Until.IsZero() {
		b.WriteString(" until=" + e.Until.UTC().Format(time.DateOnly))
	}
	if e.Follow {
		b.WriteString(" follow=yes")
	}
	if e.Imports {
		b.WriteString(" imports=yes")
	}
	return b.String()
}

// RemoveKey takes the scopes off the key's lines, and removes lines that are left
// with none; without scopes it removes all "key" lines of the key. It returns
// how many scopes were taken off. The rest of a line, comment included, stays.
func (p *Policy) RemoveKey(key records.Fingerprint, scopes ...records.Scope) int {
	return p.removeScopes(scopes, func(stmt any) []records.Scope {
		if e, ok := stmt.(Entry); ok && e.Fingerprint == key {
			return e.Scopes
		}
		return nil
	})
}

// removeScopes takes the scopes, or all, off the lines of which of returns any.
func (p *Policy) removeScopes(scopes []records.Scope, of func(stmt any) []records.Scope) int {
	removed := 0
	p.lines = slices.DeleteFunc(p.lines, func(l line) bool {
		have := of(l.stmt)
		if len(have) > 0 && (len(scopes) == 0 || containsAll(scopes, have)) {
			removed += len(have)
			return true
		}
		return false
	})
	for i, l := range p.lines {
		if len(of(l.stmt)) > 0 {
			removed += p.cutScopes(i, scopes)
		}
	}
	return removed
}

func containsAll(set, all []records.Scope) bool {
	return !slices.ContainsFunc(all, func(s records.Scope) bool { return !slices.Contains(set, s) })
}

// cutScopes removes the tokens of the scopes, each with the space before it.
func (p *Policy) cutScopes(i int, scopes []records.Scope) int {
	l := p.lines[i]
	raw, cut, first := l.raw, 0, 2
	if l.word == "npm" {
		first = 1
	}
	for k := len(l.tokens) - 1; k >= first; k-- {
		if slices.Contains(scopes, records.Scope(l.tokens[k].Text)) {
			raw = raw[:l.tokens[k-1].End] + raw[l.tokens[k].End:]
			cut++
		}
	}
	if cut == 0 {
		return 0
	}
	changed, err := parseLine(raw)
	if err != nil {
		panic("trust: a line without one of its scopes does not parse: " + err.Text)
	}
	p.lines[i] = changed
	return cut
}

// AddAuthority adds an "npm" line for those of a's scopes for which no line of the file
// says just that, in the place of what the file says of the registry in these scopes: a
// registry that has new keys has them in place of the old ones, unless a has both. It
// reports whether there was anything to add.
func (p *Policy) AddAuthority(a authority.Authority) (bool, error) {
	for i := range a.Keys { // as a line has them
		a.Keys[i].Expires = a.Keys[i].Expires.Truncate(time.Second)
	}
	scopes := slices.Clone(a.Scopes)
	for _, have := range p.Authorities() {
		if a.SameGrant(&have) {
			scopes = slices.DeleteFunc(scopes, func(s records.Scope) bool { return slices.Contains(have.Scopes, s) })
		}
	}
	if len(scopes) == 0 && len(a.Scopes) > 0 {
		return false, nil
	}
	a.Scopes = scopes
	text, err := a.Format()
	if err != nil {
		return false, fmt.Errorf("edit trust file: %w", err)
	}
	after := p.Clone()
	after.RemoveAuthority(a.Registry, scopes...)
	if err := after.insert(len(after.lines), true, text); err != nil {
		return false, err
	}
	p.lines, p.eol = after.lines, after.eol
	return true, nil
}

// RemoveAuthority takes the scopes off the registry's lines, as RemoveKey does those of a
// key.
func (p *Policy) RemoveAuthority(registry string, scopes ...records.Scope) int {
	return p.removeScopes(scopes, func(stmt any) []records.Scope {
		if a, ok := stmt.(authority.Authority); ok && a.Registry == registry {
			return a.Scopes
		}
		return nil
	})
}

// Deny adds a "deny" line for the key and reports whether there was none. The
// key's "key" lines stay: they go on to end the search for broader scopes.
func (p *Policy) Deny(key records.Fingerprint, label string) (bool, error) {
	if p.Denied(key) {
		return false, nil
	}
	text := "deny " + key.String()
	if label != "" {
		text += " label=" + word.FormatLabel(label)
	}
	return true, p.insert(len(p.lines), true, text)
}

// Allow removes the "deny" lines of the key and reports whether there were any.
func (p *Policy) Allow(key records.Fingerprint) bool {
	return p.remove(func(stmt any) bool {
		d, ok := stmt.(Denial)
		return ok && d.Fingerprint == key
	})
}

// SetThreshold makes keys the number of keys that must agree in the scope, in
// place of what the file says of that scope. A threshold of one is what counts
// without a line; it is written all the same, since a broader line may ask more.
func (p *Policy) SetThreshold(keys int, scope records.Scope) error {
	return p.replace(fmt.Sprintf("threshold %d %s", keys, scope), func(stmt any) bool {
		t, ok := stmt.(Threshold)
		return ok && t.Scope == scope
	})
}

// RemoveThreshold removes the "threshold" line of exactly this scope and reports
// whether there was one.
func (p *Policy) RemoveThreshold(scope records.Scope) bool {
	return p.remove(func(stmt any) bool {
		t, ok := stmt.(Threshold)
		return ok && t.Scope == scope
	})
}

// SetPin decides what name@version is, in place of an earlier decision.
func (policy *Policy) SetPin(name records.Name, version records.Version, module cid.Cid) error {
	return policy.replace(fmt.Sprintf("pin %s %s %s", name, version, module), func(stmt any) bool {
		p, ok := stmt.(Pin)
		return ok && p.Name == name && p.Version == version
	})
}

// RemovePin removes the pin of name@version and reports whether there was one.
func (policy *Policy) RemovePin(name records.Name, version records.Version) bool {
	return policy.remove(func(stmt any) bool {
		p, ok := stmt.(Pin)
		return ok && p.Name == name && p.Version == version
	})
}

// SetMinAge makes age what the file says of it: whole hours, up to 9999, or whole
// days, up to as many.
func (p *Policy) SetMinAge(age time.Duration) error {
	const day = 24 * time.Hour
	text := ""
	switch {
	case age < 0 || age%time.Hour != 0:
		return fmt.Errorf("edit trust file: min-age of %v is not whole hours", age)
	case age%day == 0 && age > 0:
		text = fmt.Sprintf("min-age %dd", age/day)
	default:
		text = fmt.Sprintf("min-age %dh", age/time.Hour)
	}
	return p.replace(text, func(stmt any) bool { _, ok := stmt.(MinAge); return ok })
}

// RemoveMinAge removes the "min-age" line and reports whether there was one.
func (p *Policy) RemoveMinAge() bool {
	return p.remove(func(stmt any) bool { _, ok := stmt.(MinAge); return ok })
}

// Clone returns a copy that can be changed by itself.
func (p *Policy) Clone() *Policy {
	return &Policy{lines: slices.Clone(p.lines), eol: p.eol}
}

func (p *Policy) remove(match func(stmt any) bool) bool {
	n := len(p.lines)
	p.lines = slices.DeleteFunc(p.lines, func(l line) bool { return match(l.stmt) })
	return len(p.lines) < n
}

// replace puts text where the first match is, keeping the comment behind it, or
// at the end of the file.
func (p *Policy) replace(text string, match func(stmt any) bool) error {
	i := slices.IndexFunc(p.lines, func(l line) bool { return match(l.stmt) })
	if i < 0 {
		return p.insert(len(p.lines), true, text)
	}
	l := p.lines[i]
	tail := l.raw[l.tokens[len(l.tokens)-1].End:]
	changed, err := parseLine(text + tail)
	if err != nil {
		return fmt.Errorf("edit trust file: %w", err)
	}
	p.lines[i] = changed
	return nil
}

// insert adds a line before line i, or at the end of the file.
func (p *Policy) insert(i int, atEnd bool, text string) error {
	if p.eol == "" {
		p.eol = "\n"
	}
	l, err := parseLine(text + p.eol)
	if err == nil && (l.stmt == nil || strings.Contains(text, "\n")) {
		err = &SyntaxError{Text: fmt.Sprintf("%.80q is not one line", text)}
	}
	if err != nil {
		return fmt.Errorf("edit trust file: %w", err)
	}
	if atEnd {
		i = len(p.lines)
	}
	// The last line of a file that was written by hand may have no end.
	if i > 0 && !strings.HasSuffix(p.lines[i-1].raw, "\n") {
		p.lines[i-1].raw += p.eol
	}
	p.lines = slices.Insert(p.lines, i, l)
	return nil
}
