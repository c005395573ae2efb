package index

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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

// Search finds names: first the name that query spells, with or without a scope,
// then names that begin with it, then names whose name, description or keywords
// hold its words. In each of these groups trusted names come first. The query
// may be any text; limit is the most hits to return.
func (x *Index) Search(ctx context.Context, query string, limit int, view *trust.View) ([]Hit, error) {
	query = strings.ToLower(strings.TrimSpace(clean(query)))
	if query == "" || limit <= 0 {
		return nil, nil
	}
	var hits []Hit
	seen := map[records.Name]bool{}
	for _, group := range []func(context.Context, string, int) ([]records.Name, error){x.exactly, x.beginning, x.speaking} {
		names, err := group(ctx, query, max(candidates, limit))
		if err != nil {
			return nil, x.explain("search", err)
		}
		var found []Hit
		for _, n := range names {
			if seen[n] {
				continue
			}
			seen[n] = true
			hit, ok, err := x.hit(ctx, n, view)
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
		if err := x.fill(ctx, &hits[i], view); err != nil {
			return nil, err
		}
	}
	return hits, nil
}

// fill adds to a hit who claims the name and, where nobody decides, which version is shown.
func (x *Index) fill(ctx context.Context, h *Hit, view *trust.View) error {
	claimants, err := x.claimants(ctx, h.Name, view, nil)
	if err != nil {
		return err
	}
	h.Keys = len(claimants)
	if h.Claimants, err = x.introduce(ctx, claimants); err != nil {
		return err
	}
	if !h.shown.Defined() && len(claimants) > 0 {
		var id link
		err := x.r.QueryRowContext(ctx, "SELECT id FROM records WHERE num = ?", claimants[0].newest).Scan(&id)
		if err != nil {
			return x.explain("search", err)
		}
		h.shown = id.Cid
		if h.Decision, _, err = x.About(ctx, h.Name, claimants[0].Newest, view); err != nil {
			return err
		}
	}
	if h.Release, err = x.Release(ctx, h.shown); err != nil {
		return err
	}
	h.Label = view.Label(h.Release.Author)
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

func (x *Index) names(ctx context.Context, query string, args ...any) ([]records.Name, error) {
	rows, err := x.r.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []records.Name
	for rows.Next() {
		var n records.Name
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		names = append(names, n)
	}
	return names, rows.Err()
}

// exactly finds the name itself, then the same name in any scope.
func (x *Index) exactly(ctx context.Context, query string, limit int) ([]records.Name, error) {
	return x.names(ctx, "SELECT name FROM names WHERE name = ?1 OR base = ?1 ORDER BY name <> ?1, length(name), name LIMIT ?2", query, limit)
}

// beginning finds names that begin with the query, then names that do so behind
// their scope, short ones first.
func (x *Index) beginning(ctx context.Context, query string, limit int) ([]records.Name, error) {
	if strings.ContainsFunc(query, unicode.IsSpace) {
		return nil, nil
	}
	// Names are ASCII, so 0x7f is above whatever may follow.
	end := query + "\x7f"
	return x.names(ctx, `SELECT name FROM (
			SELECT name, 0 AS behind FROM names WHERE name >= ?1 AND name < ?2
			UNION ALL SELECT name, 1 FROM names WHERE base >= ?1 AND base < ?2 AND name <> base)
		ORDER BY behind, length(name), name LIMIT ?3`, query, end, limit)
}

// speaking finds names by their words.
func (x *Index) speaking(ctx context.Context, query string, limit int) ([]records.Name, error) {
	match := matchQuery(query)
	if match == "" {
		return nil, nil
	}
	return x.names(ctx, `SELECT name FROM texts JOIN (
			SELECT rowid AS hit, bm25(words, 10, 2, 4) AS score FROM words WHERE words MATCH ?1 ORDER BY score LIMIT ?2) ON num = hit
		GROUP BY name ORDER BY min(score), length(name), name`, match, 2*limit)
}

// Matching counts the names that Search may find when its limit is high enough.
func (x *Index) Matching(ctx context.Context, query string) (int64, error) {
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
	if err := x.r.QueryRowContext(ctx, "SELECT count(*) FROM ("+count+")", args...).Scan(&n); err != nil {
		return 0, x.explain("count names", err)
	}
	return n, nil
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

// hit says what is decided about a name, and which record shows it; none where nothing
// is. It reports false when no signature under the name counts.
func (x *Index) hit(ctx context.Context, name records.Name, view *trust.View) (Hit, bool, error) {
	c, err := x.claimed(ctx, name, view)
	if err != nil {
		return Hit{}, false, err
	}
	h := Hit{Name: name}
	ch := c.choose(c.latest(), false)
	switch {
	case ch.version != "":
		h.shown, h.Decision = ch.decision.Record, ch.decision
		return h, true, nil
	case len(ch.skipped) > 0:
		h.Decision = ch.skipped[0].Decision
		for _, claim := range h.Decision.Claims {
			if claim.Void == "" && claim.Endorse == "" {
				h.shown = claim.Record
				return h, true, nil
			}
		}
	}
	var counts bool
	err = x.r.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM releases JOIN records ON num = record WHERE name = ? AND void = '')", string(name)).Scan(&counts)
	if err != nil {
		return Hit{}, false, x.explain("search", err)
	}
	return h, counts, nil
}

func unix(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }
