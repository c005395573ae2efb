package trust

import (
	"fmt"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust/authority"
	"github.com/everythingstays/es/trust/internal/word"
)

// words are the first words this version knows, with what a line looks like.
var words = map[string]string{
	"key":       "key FINGERPRINT SCOPE... [label=TEXT] [depth=N] [until=YYYY-MM-DD] [follow=yes] [imports=yes]",
	"deny":      "deny FINGERPRINT [label=TEXT]",
	"threshold": "threshold COUNT SCOPE",
	"pin":       "pin NAME VERSION CID",
	"min-age":   "min-age DURATION, as in 12h, 3d or 2w",
	"npm":       "npm SCOPE... registry=URL key=KEYID,KEY[,EXPIRES]... [label=TEXT] [until=YYYY-MM-DD], or unsigned=yes in place of keys",
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
	if l.tokens, err = word.Tokenize(text); err == nil {
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
			return &SyntaxError{Text: fmt.Sprintf("starts with %.40q; a line starts with key, npm, deny, threshold, pin, min-age or #", word)}
		}
	}
	return nil
}

func parseStatement(first string, args []word.Token) (any, error) {
	switch first {
	case "key":
		return parseKey(args)
	case "deny":
		return parseDeny(args)
	case "threshold":
		return parseThreshold(args)
	case "pin":
		return parsePin(args)
	case "npm":
		a, err := authority.Parse(args)
		if err != nil {
			err = fmt.Errorf("%w; %w", err, usage("npm"))
		}
		return a, err
	}
	return parseMinAge(args)
}

func usage(word string) error { return fmt.Errorf("write %s", words[word]) }

func parseKey(args []word.Token) (any, error) {
	var e Entry
	if len(args) < 2 {
		return nil, usage("key")
	}
	var err error
	if e.Fingerprint, err = word.ParseFingerprint(args[0].Text); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, t := range args[1:] {
		option, value, isOption := strings.Cut(t.Text, "=")
		if !isOption {
			s, err := word.ParseScope(t.Text)
			if err != nil {
				return nil, err
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
		e.Label, err = word.ParseLabel(value)
	case "depth":
		if e.Depth, err = word.ParseInt(value, 0, records.MaxDepthGrant); err != nil {
			err = fmt.Errorf("depth=%.40q: %w", value, err)
		}
	case "until":
		e.Until, err = word.ParseDate(value)
	case "follow":
		e.Follow, err = word.ParseYesNo(option, value)
	case "imports":
		e.Imports, err = word.ParseYesNo(option, value)
	default:
		// An option of a later version may narrow the line; without it the
		// line would let in more than was meant.
		err = fmt.Errorf("%.40q is not an option this version of es knows; %w", option, usage("key"))
	}
	return err
}

func parseDeny(args []word.Token) (any, error) {
	if len(args) < 1 || len(args) > 2 {
		return nil, usage("deny")
	}
	key, err := word.ParseFingerprint(args[0].Text)
	if err != nil {
		return nil, err
	}
	d := Denial{Fingerprint: key}
	if len(args) == 2 {
		value, ok := strings.CutPrefix(args[1].Text, "label=")
		if !ok {
			return nil, fmt.Errorf("%.40q: a key is denied for all names; %w", args[1].Text, usage("deny"))
		}
		if d.Label, err = word.ParseLabel(value); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func parseThreshold(args []word.Token) (any, error) {
	if len(args) != 2 {
		return nil, usage("threshold")
	}
	n, err := word.ParseInt(args[0].Text, 1, MaxThreshold)
	if err != nil {
		return nil, fmt.Errorf("%.40q: %w", args[0].Text, err)
	}
	s, err := records.ParseScope(args[1].Text)
	if err != nil {
		return nil, err
	}
	return Threshold{Keys: n, Scope: s}, nil
}

func parsePin(args []word.Token) (any, error) {
	if len(args) != 3 {
		return nil, usage("pin")
	}
	name, err := records.ParseName(args[0].Text)
	if err != nil {
		return nil, err
	}
	version, err := records.ParseVersion(args[1].Text)
	if err != nil {
		return nil, err
	}
	module, err := parseModule(args[2].Text)
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

func parseMinAge(args []word.Token) (any, error) {
	if len(args) != 1 || args[0].Text == "" {
		return nil, usage("min-age")
	}
	s := args[0].Text
	unit := map[byte]time.Duration{'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[s[len(s)-1]]
	n, err := word.ParseInt(s[:len(s)-1], 0, 9999)
	if unit == 0 || err != nil {
		return nil, fmt.Errorf("%.40q is not a duration; %w", s, usage("min-age"))
	}
	return MinAge{Age: time.Duration(n) * unit}, nil
}
