package trust

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/everythingstays/es/records"
)

// words are the first words this version knows, with what a line looks like.
var words = map[string]string{
	"key":       "key FINGERPRINT SCOPE... [label=TEXT] [depth=N] [until=YYYY-MM-DD] [follow=yes]",
	"deny":      "deny FINGERPRINT [label=TEXT]",
	"threshold": "threshold COUNT SCOPE",
	"pin":       "pin NAME VERSION CID",
	"min-age":   "min-age DURATION, as in 12h, 3d or 2w",
}

// A token is a word of a line, by its place in the line's raw text.
type token struct {
	text       string
	start, end int
}

// parseLine reads one line. Its error has no line number yet.
func parseLine(raw string) (line, *SyntaxError) {
	text := strings.TrimSuffix(strings.TrimSuffix(raw, "\n"), "\r")
	l := line{raw: raw}
	if len(text) > MaxLine {
		return l, &SyntaxError{Text: fmt.Sprintf("has %d bytes, the limit is %d; a key may have several lines", len(text), MaxLine)}
	}
	// Some editors and terminals show what follows as another line.
	if i := strings.IndexAny(text, "\r\x00"); i >= 0 {
		return l, &SyntaxError{Text: fmt.Sprintf("has the control character %q inside; remove it", text[i])}
	}
	l.word = firstWord(text)
	if l.word == "" {
		return l, nil
	}
	if _, known := words[l.word]; !known {
		return l, checkUnknown(l.word)
	}
	var err error
	if l.tokens, err = tokenize(text); err == nil {
		l.stmt, err = parseStatement(l.word, l.tokens[1:])
	}
	if err != nil {
		return l, &SyntaxError{Word: l.word, Text: err.Error()}
	}
	return l, nil
}

func firstWord(text string) string {
	text = strings.TrimLeft(text, " \t")
	if i := strings.IndexAny(text, " \t#"); i >= 0 {
		return text[:i]
	}
	return text
}

// checkUnknown refuses what cannot be a word of a later version, and is likely a
// known word that an editor or a hand spoiled.
func checkUnknown(word string) *SyntaxError {
	for i := 0; i < len(word); i++ {
		if c := word[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
			if lower := strings.ToLower(word); words[lower] != "" {
				return &SyntaxError{Text: fmt.Sprintf("starts with %q; write %s", word, lower)}
			}
			return &SyntaxError{Text: fmt.Sprintf("starts with %.40q; a line starts with key, deny, threshold, pin, min-age or #", word)}
		}
	}
	return nil
}

// tokenize splits a line at spaces and tabs. A '#' that starts a token starts a
// comment; a double quote holds spaces together.
func tokenize(text string) ([]token, error) {
	var ts []token
	for i := 0; i < len(text); {
		if text[i] == ' ' || text[i] == '\t' {
			i++
			continue
		}
		if text[i] == '#' {
			break
		}
		start, quoted := i, false
		for i < len(text) && (quoted || text[i] != ' ' && text[i] != '\t') {
			switch {
			case text[i] == '"':
				quoted = !quoted
			case text[i] == '\\' && quoted:
				i++ // the escaped byte, if there is one
			}
			i++
		}
		if quoted {
			return nil, fmt.Errorf("a quoted text does not end; close it with \"")
		}
		ts = append(ts, token{text[start:i], start, i})
	}
	return ts, nil
}

func parseStatement(word string, args []token) (any, error) {
	switch word {
	case "key":
		return parseKey(args)
	case "deny":
		return parseDeny(args)
	case "threshold":
		return parseThreshold(args)
	case "pin":
		return parsePin(args)
	}
	return parseMinAge(args)
}

func usage(word string) error { return fmt.Errorf("write %s", words[word]) }

func parseKey(args []token) (any, error) {
	var e Entry
	if len(args) < 2 {
		return nil, usage("key")
	}
	var err error
	if e.Fingerprint, err = parseFingerprint(args[0].text); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, t := range args[1:] {
		option, value, isOption := strings.Cut(t.text, "=")
		if !isOption {
			s, err := records.ParseScope(t.text)
			if err != nil {
				return nil, fmt.Errorf("%w; a scope is a name, a prefix such as left-*, @scope/* or *", err)
			}
			e.Scopes = append(e.Scopes, s)
			continue
		}
		if seen[option] {
			return nil, fmt.Errorf("%.40q stands twice; keep one", option)
		}
		seen[option] = true
		if err := e.setOption(option, value); err != nil {
			return nil, err
		}
	}
	if len(e.Scopes) == 0 {
		return nil, fmt.Errorf("names no scope, so the key may speak for nothing; %w", usage("key"))
	}
	return e, nil
}

func (e *Entry) setOption(option, value string) (err error) {
	switch option {
	case "label":
		e.Label, err = parseLabel(value)
	case "depth":
		if e.Depth, err = parseInt(value, 0, records.MaxDepthGrant); err != nil {
			err = fmt.Errorf("depth=%.40q: %w", value, err)
		}
	case "until":
		e.Until, err = parseDate(value)
	case "follow":
		if value != "yes" && value != "no" {
			return fmt.Errorf("follow=%.40q; write follow=yes or follow=no", value)
		}
		e.Follow = value == "yes"
	default:
		// An option of a later version may narrow the line; without it the
		// line would let in more than was meant.
		err = fmt.Errorf("%.40q is not an option this version of es knows; %w", option, usage("key"))
	}
	return err
}

func parseDeny(args []token) (any, error) {
	if len(args) < 1 || len(args) > 2 {
		return nil, usage("deny")
	}
	key, err := parseFingerprint(args[0].text)
	if err != nil {
		return nil, err
	}
	d := Denial{Fingerprint: key}
	if len(args) == 2 {
		value, ok := strings.CutPrefix(args[1].text, "label=")
		if !ok {
			return nil, fmt.Errorf("%.40q: a key is denied for all names; %w", args[1].text, usage("deny"))
		}
		if d.Label, err = parseLabel(value); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func parseThreshold(args []token) (any, error) {
	if len(args) != 2 {
		return nil, usage("threshold")
	}
	n, err := parseInt(args[0].text, 1, MaxThreshold)
	if err != nil {
		return nil, fmt.Errorf("%.40q: %w", args[0].text, err)
	}
	s, err := records.ParseScope(args[1].text)
	if err != nil {
		return nil, err
	}
	return Threshold{Keys: n, Scope: s}, nil
}

func parsePin(args []token) (any, error) {
	if len(args) != 3 {
		return nil, usage("pin")
	}
	name, err := records.ParseName(args[0].text)
	if err != nil {
		return nil, err
	}
	version, err := records.ParseVersion(args[1].text)
	if err != nil {
		return nil, err
	}
	module, err := parseModule(args[2].text)
	if err != nil {
		return nil, err
	}
	return Pin{Name: name, Version: version, Module: module}, nil
}

// parseModule takes the CID of a module as es prints it, so that one module has
// one spelling, and one that no record can name is not pinned in vain.
func parseModule(s string) (cid.Cid, error) {
	c, err := cid.Decode(s)
	if err != nil {
		return cid.Undef, fmt.Errorf("%.80q is not a module's CID; es prints them in base32, beginning with bafy", s)
	}
	if v1 := cid.NewCidV1(cid.DagProtobuf, c.Hash()); v1.String() != s {
		return cid.Undef, fmt.Errorf("%.80q is not how records name a module; write %s", s, v1)
	}
	if p := c.Prefix(); p.MhType != multihash.SHA2_256 || p.MhLength != 32 {
		return cid.Undef, fmt.Errorf("%.80q has another hash than sha2-256; no record can name it", s)
	}
	return c, nil
}

func parseMinAge(args []token) (any, error) {
	if len(args) != 1 || args[0].text == "" {
		return nil, usage("min-age")
	}
	s := args[0].text
	unit := map[byte]time.Duration{'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[s[len(s)-1]]
	n, err := parseInt(s[:len(s)-1], 0, 9999)
	if unit == 0 || err != nil {
		return nil, fmt.Errorf("%.40q is not a duration; %w", s, usage("min-age"))
	}
	return MinAge{Age: time.Duration(n) * unit}, nil
}

// parseFingerprint takes the digits alone: a shorter key id is not unique, and
// spaces would be other words.
func parseFingerprint(s string) (records.Fingerprint, error) {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return records.Fingerprint{}, fmt.Errorf("%.80q is not a fingerprint; write its 40 or 64 hexadecimal digits without spaces", s)
		}
	}
	b, err := hex.DecodeString(s)
	if err == nil {
		var key records.Fingerprint
		if key, err = records.FingerprintFromBytes(b); err == nil {
			return key, nil
		}
	}
	return records.Fingerprint{}, fmt.Errorf("%.80q has %d digits; write the whole fingerprint of 40 or 64", s, len(s))
}

// parseInt takes decimal digits without sign or leading zero.
func parseInt(s string, low, high int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || strconv.Itoa(n) != s || n < low || n > high {
		return 0, fmt.Errorf("write a number from %d to %d", low, high)
	}
	return n, nil
}

func parseDate(s string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, fmt.Errorf("until=%.40q is not a day; write until=YYYY-MM-DD, the last day on which the line counts", s)
	}
	return t, nil
}

// parseLabel reads a bare word, or a text in double quotes in which a backslash
// makes the next byte literal.
func parseLabel(s string) (string, error) {
	label := s
	if strings.HasPrefix(s, `"`) {
		inside := s[1:]
		var b strings.Builder
		for i := 0; ; i++ {
			if inside[i] == '"' {
				if i != len(inside)-1 {
					return "", fmt.Errorf("label=%.80q has text after its closing quote", s)
				}
				break
			}
			if inside[i] == '\\' {
				i++
				if inside[i] != '"' && inside[i] != '\\' {
					return "", fmt.Errorf(`label=%.80q: a backslash stands before " or \ only`, s)
				}
			}
			b.WriteByte(inside[i])
		}
		label = b.String()
	} else if strings.ContainsAny(s, `"\`) {
		return "", fmt.Errorf("label=%.80q: put the whole text in quotes", s)
	}
	return label, checkLabel(label)
}

func checkLabel(label string) error {
	if label == "" {
		return fmt.Errorf("the label is empty; leave label= out")
	}
	if err := records.CheckText(label, MaxLabel); err != nil {
		return fmt.Errorf("the label %q %w", label, err)
	}
	return nil
}

// formatLabel writes what parseLabel reads.
func formatLabel(label string) string {
	if !strings.ContainsAny(label, " \"\\#") {
		return label
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(label) + `"`
}
