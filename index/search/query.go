package search

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/index/internal/texts"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

const (
	maxQuery = 256 // bytes of a search that are looked at
	maxTerms = 8   // words of a search that are looked at
	// minPrefix is the shortest last word that also finds longer words: shorter
	// ones begin too many.
	minPrefix = 3
	// maxAuthors is how many keys author: may stand for.
	maxAuthors = 100
)

// Filters are what a search can be narrowed by, with what each takes.
var Filters = map[string]string{
	"author":  "a fingerprint or its beginning, your label of the key, or part of its user id",
	"keyword": "a keyword",
	"scope":   "a scope, such as @acme",
	"license": "a licence, such as MIT",
	"depends": "the name of a dependency",
}

// A query is what a user asks for.
type query struct {
	text    string   // in lower case, without filters
	words   []string // of the text
	filters []string // as conditions of FTS5
}

// parse reads any text.
func (s *Searcher) parse(ctx context.Context, q *db.Tx, typed string, evaluator *trust.Evaluator) (query, error) {
	var parsed query
	var text []string
	for _, field := range strings.Fields(strings.ToLower(clean(typed))) {
		kind, value, ok := strings.Cut(field, ":")
		if !ok || Filters[kind] == "" || value == "" {
			text = append(text, field)
			continue
		}
		condition, err := s.filter(ctx, q, kind, value, evaluator)
		if err != nil {
			return query{}, err
		}
		parsed.filters = append(parsed.filters, condition)
	}
	parsed.text = strings.Join(text, " ")
	words := strings.FieldsFunc(parsed.text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
	parsed.words = words[:min(len(words), maxTerms)]
	return parsed, nil
}

// Words are the words of a search that names and texts may hold, without its filters.
func Words(typed string) (words []string) {
	for field := range strings.FieldsSeq(strings.ToLower(clean(typed))) {
		if kind, value, ok := strings.Cut(field, ":"); ok && Filters[kind] != "" && value != "" {
			continue
		}
		words = append(words, field)
	}
	return words
}

// clean cuts a query to its limit and drops what no name or text can hold.
func clean(query string) string {
	if len(query) > maxQuery {
		query = query[:maxQuery]
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) && !unicode.IsSpace(r) || 0xe000 <= r && r < 0xf900 {
			return ' '
		}
		return r
	}, query)
}

// filter returns a filter as a condition of FTS5.
func (s *Searcher) filter(ctx context.Context, q *db.Tx, kind, value string, evaluator *trust.Evaluator) (string, error) {
	switch kind {
	case "author":
		keys, err := authors(ctx, q, value, evaluator)
		return among(keys), err
	case "keyword":
		return "keywords : " + quoted(value), nil
	case "scope":
		return "scope : " + quoted(texts.Whole("@"+strings.TrimPrefix(value, "@"))), nil
	case "license":
		return "license : " + quoted(texts.Whole(value)), nil
	}
	return "depends : " + quoted(texts.Whole(value)), nil
}

// quoted is text of which nothing can be an operator of FTS5.
func quoted(text string) string { return `"` + strings.ReplaceAll(text, `"`, `""`) + `"` }

// among is the condition that a text is by one of the keys.
func among(keys []records.Fingerprint) string {
	if len(keys) == 0 {
		return `signer : "nobody"` // a fingerprint is hexadecimal
	}
	var all []string
	for _, k := range keys {
		all = append(all, quoted(k.String()))
	}
	return "signer : (" + strings.Join(all, " OR ") + ")"
}

// authors returns the keys whose fingerprints begin with the text, whose labels are it, or
// whose user ids hold it.
func authors(ctx context.Context, q *db.Tx, text string, evaluator *trust.Evaluator) (keys []records.Fingerprint, err error) {
	isHex := len(text) >= 8 && strings.Trim(text, "0123456789abcdef") == ""
	err = q.Each(ctx, "SELECT fingerprint, block FROM keys", nil, func(rows *sql.Rows) error {
		var f db.Fingerprint
		var block sql.RawBytes
		if err := rows.Scan(&f, &block); err != nil {
			return err
		}
		if isHex && strings.HasPrefix(hex.EncodeToString(f.Bytes()), text) || strings.EqualFold(evaluator.Label(f.Fingerprint), text) || hasUserID(block, text) {
			keys = append(keys, f.Fingerprint)
		}
		if len(keys) == maxAuthors {
			return db.ErrStop
		}
		return nil
	})
	return keys, err
}

// hasUserID reports whether the user id of a key holds the text, in any case. Few blocks
// are parsed: the user id stands in them as it is.
func hasUserID(block []byte, text string) bool {
	if !bytes.Contains(bytes.ToLower(block), []byte(text)) {
		return false
	}
	key, err := sign.ParseKey(bytes.Clone(block))
	return err == nil && strings.Contains(strings.ToLower(key.UserID()), text)
}

// match is a condition of FTS5 for texts that have all words in some of the columns, and
// pass the filters; "" when it asks for nothing. Each word is in quotes; a star makes it
// the beginning of longer ones.
func (p *query) match(columns string, words []string) string {
	var all []string
	if len(words) > 0 {
		all = append(all, columns+" : ("+strings.Join(words, " AND ")+")")
	}
	return strings.Join(append(all, p.filters...), " AND ")
}

// wholeWords are the words for match.
func (p *query) wholeWords() []string {
	words := make([]string, len(p.words))
	for i, w := range p.words {
		words[i] = quoted(w)
	}
	return words
}

// begunWords are the words of which the last may go on.
func (p *query) begunWords() []string {
	words := p.wholeWords()
	if p.hasPrefix() {
		words[len(words)-1] += "*"
	}
	return words
}

// endings are those of words that mean much the same without.
var endings = []string{"ization", "ations", "ation", "ings", "ing", "ers", "er", "ors", "or", "ed", "es", "s", "e"}

const (
	minStem = 4
	// maxStem is the longest beginning of words that the words table has a list of.
	maxStem = 5
)

// stems are the words without their endings.
func (p *query) stems() []string {
	words := make([]string, len(p.words))
	for i, w := range p.words {
		for _, e := range endings {
			if base, ok := strings.CutSuffix(w, e); ok && len(base) >= minStem {
				w = base
				break
			}
		}
		if utf8.RuneCountInString(w) < minPrefix {
			words[i] = quoted(w)
			continue
		}
		words[i] = quoted(string([]rune(w)[:min(maxStem, utf8.RuneCountInString(w))])) + "*"
	}
	return words
}

// hasPrefix reports whether the last word may be the beginning of a longer one.
func (p *query) hasPrefix() bool {
	return len(p.words) > 0 && utf8.RuneCountInString(p.words[len(p.words)-1]) >= minPrefix
}
