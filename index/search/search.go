package search

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

const (
	maxQuery = 256 // bytes of a search that are looked at
	maxTerms = 8   // words of a search that are looked at
	// minPrefix is the shortest last word that also finds longer words: shorter
	// ones begin too many.
	minPrefix = 3
	// candidates is how many names of each group are weighed for a place among
	// the hits, at least.
	candidates = 100
)

// A Searcher finds names in an index. It may be used by several goroutines.
type Searcher struct {
	index    *index.Index
	resolver *resolve.Resolver
}

// New returns a Searcher over the index.
func New(x *index.Index) *Searcher { return &Searcher{x, resolve.New(x)} }

// Search finds names: first the name that query spells, with or without a scope,
// then names that begin with it, then names whose name, description or keywords
// hold its words. In each of these groups trusted names come first. The query
// may be any text; limit is the most hits to return.
func (s *Searcher) Search(ctx context.Context, query string, limit int, evaluator *trust.Evaluator) ([]Hit, error) {
	query = strings.ToLower(strings.TrimSpace(clean(query)))
	if query == "" || limit <= 0 {
		return nil, nil
	}
	var hits []Hit
	seen := map[records.Name]bool{}
	for _, group := range []func(context.Context, string, int) ([]records.Name, error){s.searchExact, s.searchPrefix, s.searchFullText} {
		names, err := group(ctx, query, max(candidates, limit))
		if err != nil {
			return nil, err
		}
		var found []Hit
		for _, n := range names {
			if seen[n] {
				continue
			}
			seen[n] = true
			hit, ok, err := s.hit(ctx, n, evaluator)
			if err != nil {
				return nil, err
			}
			if ok {
				found = append(found, hit)
			}
		}
		slices.SortStableFunc(found, func(a, b Hit) int { return untrusted(a) - untrusted(b) })
		hits = append(hits, found[:min(len(found), limit-len(hits))]...)
		if len(hits) == limit {
			break
		}
	}
	for i := range hits {
		if err := s.fill(ctx, &hits[i], evaluator); err != nil {
			return nil, err
		}
	}
	return hits, nil
}

// hit says what is decided about a name, and which record shows it; none where nothing
// is. It reports false when no signature under the name counts.
func (s *Searcher) hit(ctx context.Context, name records.Name, evaluator *trust.Evaluator) (h Hit, ok bool, err error) {
	h.Name = name
	if h.Decision, h.shown, err = s.resolver.Shown(ctx, name, evaluator); err != nil || h.shown.Defined() {
		return h, err == nil, err
	}
	ok, err = s.index.HasRelease(ctx, index.Filter{Name: name, Valid: true})
	return h, ok, err
}

// fill adds to a hit who claims the name and, where nobody decides, which version is shown.
func (s *Searcher) fill(ctx context.Context, h *Hit, evaluator *trust.Evaluator) (err error) {
	if h.Claimants, h.Keys, err = s.resolver.Claimants(ctx, h.Name, evaluator); err != nil {
		return err
	}
	if !h.shown.Defined() && h.Keys > 0 {
		newest := h.Claimants[0]
		h.shown = newest.Record
		if h.Decision, _, err = s.resolver.DecideWithNotices(ctx, h.Name, newest.Newest, evaluator); err != nil {
			return err
		}
	}
	if h.Release, err = s.index.Release(ctx, h.shown); err != nil {
		return err
	}
	h.Label = evaluator.Label(h.Release.Author)
	return nil
}

func untrusted(h Hit) int {
	if h.Decision.State == trust.Trusted {
		return 0
	}
	return 1
}

// clean cuts a query to its limit and drops what no name or text can hold.
func clean(query string) string {
	if len(query) > maxQuery {
		query = query[:maxQuery]
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) && !unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, query)
}

// names runs a query for names.
func (s *Searcher) names(ctx context.Context, query string, args ...any) (names []records.Name, err error) {
	err = s.index.View(ctx, "search", func(q *db.Tx) error {
		return q.Each(ctx, query, args, func(rows *sql.Rows) error {
			var n records.Name
			err := rows.Scan(&n)
			names = append(names, n)
			return err
		})
	})
	return names, err
}

// searchExact finds the name itself, then the same name in any scope.
func (s *Searcher) searchExact(ctx context.Context, query string, limit int) ([]records.Name, error) {
	return s.names(ctx, "SELECT name FROM names WHERE name = ?1 OR base = ?1 ORDER BY name <> ?1, length(name), name LIMIT ?2", query, limit)
}

// searchPrefix finds names that begin with the query, then names that do so behind
// their scope, short ones first.
func (s *Searcher) searchPrefix(ctx context.Context, query string, limit int) ([]records.Name, error) {
	if strings.ContainsFunc(query, unicode.IsSpace) {
		return nil, nil
	}
	// Names are ASCII, so 0x7f is above whatever may follow.
	end := query + "\x7f"
	return s.names(ctx, `SELECT name FROM (
			SELECT name, 0 AS behind FROM names WHERE name >= ?1 AND name < ?2
			UNION ALL SELECT name, 1 FROM names WHERE base >= ?1 AND base < ?2 AND name <> base)
		ORDER BY behind, length(name), name LIMIT ?3`, query, end, limit)
}

// searchFullText finds names by their words.
func (s *Searcher) searchFullText(ctx context.Context, query string, limit int) ([]records.Name, error) {
	match := matchQuery(query)
	if match == "" {
		return nil, nil
	}
	return s.names(ctx, `SELECT name FROM texts JOIN (
			SELECT rowid AS hit, bm25(words, 10, 2, 4) AS score FROM words WHERE words MATCH ?1 ORDER BY score LIMIT ?2) ON num = hit
		GROUP BY name ORDER BY min(score), length(name), name`, match, 2*limit)
}

// Matching counts the names that Search may find when its limit is high enough.
func (s *Searcher) Matching(ctx context.Context, query string) (int64, error) {
	query = strings.ToLower(strings.TrimSpace(clean(query)))
	if query == "" {
		return 0, nil
	}
	count := `SELECT name FROM names WHERE name = ?1 OR base = ?1`
	if !strings.ContainsFunc(query, unicode.IsSpace) {
		count += ` UNION SELECT name FROM names WHERE name >= ?1 AND name < ?1 || char(127) UNION SELECT name FROM names WHERE base >= ?1 AND base < ?1 || char(127)`
	}
	args := []any{query}
	if match := matchQuery(query); match != "" {
		args = append(args, match)
		count += ` UNION SELECT name FROM texts JOIN (SELECT rowid AS hit FROM words WHERE words MATCH ?2) ON num = hit`
	}
	var n int64
	err := s.index.View(ctx, "count names", func(q *db.Tx) error {
		_, err := q.Get(ctx, "SELECT count(*) FROM ("+count+")", args, &n)
		return err
	})
	return n, err
}

// matchQuery turns any text into a query of FTS5 that asks for all of its words.
// Only letters and digits reach it, each word in quotes, so nothing in it can be
// an operator.
func matchQuery(query string) string {
	terms := strings.FieldsFunc(query, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
	if len(terms) == 0 {
		return ""
	}
	terms = terms[:min(len(terms), maxTerms)]
	last := terms[len(terms)-1]
	match := `"` + strings.Join(terms, `" "`) + `"`
	if utf8.RuneCountInString(last) >= minPrefix {
		match += "*"
	}
	return match
}
