package search

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/index/internal/texts"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// A Searcher finds names in an index. It may be used by several goroutines.
type Searcher struct {
	index    *index.Index
	resolver *resolve.Resolver
}

// New returns a Searcher over the index.
func New(x *index.Index) *Searcher { return &Searcher{x, resolve.New(x)} }

// Options say how much a search finds.
type Options struct {
	Limit int  // the most names
	All   bool // names of strangers too, though the user trusts somebody
}

// Found is what a search finds.
type Found struct {
	Names  []records.Name // the best first
	Hidden int            // how many names of strangers were passed over, at least
	// Suggestions are names that may have been meant when there are none.
	Suggestions []records.Name
}

// MaxCount is how far Count counts.
const MaxCount = 1000

// Search finds names (docs/program.md [X430]). The text may be any, and hold filters.
func (s *Searcher) Search(ctx context.Context, text string, o Options, evaluator *trust.Evaluator) (found Found, err error) {
	if o.Limit <= 0 {
		return Found{}, nil
	}
	err = s.index.View(ctx, "search", func(q *db.Tx) error {
		found, err = s.search(ctx, q, text, o, evaluator)
		return err
	})
	return found, err
}

func (s *Searcher) search(ctx context.Context, q *db.Tx, text string, o Options, evaluator *trust.Evaluator) (found Found, err error) {
	parsed, err := s.parse(ctx, q, text, evaluator)
	if err != nil || parsed.text == "" && len(parsed.filters) == 0 {
		return Found{}, err
	}
	f := &finding{Tx: q, query: parsed, limit: o.Limit}
	if f.trust, err = newFollowed(ctx, evaluator); err != nil {
		return Found{}, err
	}
	hide := !o.All && evaluator.BelievesOthers()
	ranked, err := f.all(ctx, hide)
	if err != nil {
		return Found{}, err
	}
	if found.Names, err = s.shown(ctx, f, ranked, evaluator); err != nil {
		return Found{}, err
	}
	if found.Hidden = len(f.hidden); len(found.Names)+found.Hidden == 0 {
		found.Suggestions, err = f.suggest(ctx)
	}
	return found, err
}

// all ranks the candidates. Strangers' are hidden or not.
func (f *finding) all(ctx context.Context, hide bool) ([]candidate, error) {
	f.hidden = map[records.Name]bool{}
	var same, longer, edited, words []candidate
	var err error
	filter := func(all []candidate, failed error) []candidate {
		if err == nil {
			err = failed
		}
		if err == nil {
			err = f.trust.mark(ctx, f.Tx, all)
		}
		if !hide {
			return all
		}
		return slices.DeleteFunc(all, func(c candidate) bool {
			if c.signed > 0 || string(c.name) == f.spelled() {
				return false
			}
			f.hidden[c.name] = true
			return true
		})
	}
	if len(f.filters) == 0 {
		same, longer = filter(f.same(ctx)), filter(f.longer(ctx))
		if f.trust.missing(longer) && (hide || len(longer) >= f.limit) {
			longer = append(filter(f.longerBy(ctx)), longer...)
		}
		if f.mayBeWrong(same, longer) {
			edited = filter(f.edited(ctx, len(longer)))
		}
	}
	if len(same)+len(longer) < f.limit || len(f.words) > 1 {
		words = filter(f.inWords(ctx, nil))
		if hide && len(words) < f.limit && len(f.hidden) > 0 && len(f.trust.few) > 0 {
			// Those whom the user follows may be behind many strangers.
			words = append(words, filter(f.inWords(ctx, f.trust.few))...)
		}
	}
	return f.arrange(same, longer, edited, words), err
}

const (
	// manyLonger is from how many names that go on with a text on it is taken for the
	// beginning of one, and for no typo.
	manyLonger = 10
	// shortText is up to how many letters it is taken for both.
	shortText = 3
	// wholeText is from how many letters on what is a name is taken for no other one.
	wholeText = 5
)

func (f *finding) isShort() bool { return len(texts.Unmarked(f.text)) <= shortText }

// mayBeWrong reports whether names are worth looking for that differ by one edit.
func (f *finding) mayBeWrong(same, longer []candidate) bool {
	switch {
	case f.isShort():
		return true
	case len(same) > 0 && (f.hasSpace() || len(f.text) >= wholeText && string(same[0].name) == f.text):
		return false
	}
	return len(longer) < manyLonger
}

// arrange orders the candidates of all kinds. In each kind, what keys sign that the user
// follows comes first.
func (f *finding) arrange(same, longer, edited, words []candidate) (all []candidate) {
	have := map[records.Name]bool{}
	put := func(from []candidate, n int) {
		for _, c := range from {
			if n > 0 && !have[c.name] {
				have[c.name] = true
				all = append(all, c)
				n--
			}
		}
	}
	for _, kind := range [][]candidate{same, longer, edited, words} {
		slices.SortStableFunc(kind, func(a, b candidate) int { return -compareBool(a.signed > 0, b.signed > 0) })
	}
	const rest = 1 << 30
	put(same, 1)
	switch {
	case len(longer) < manyLonger && !f.isShort():
		put(same, rest)
	case len(f.words) > 1:
		put(same, 4)
	case len(same) > 1:
		popular := same[1:]
		put(slices.DeleteFunc(slices.Clone(popular[:min(len(popular), 4)]), func(c candidate) bool { return c.weight < namesakeWeight }), rest)
	}
	switch {
	case f.hasSpace():
		put(words, rest)
	case f.isShort():
		put(edited, 3)
		put(longer, 3)
		put(edited, 1)
	case len(longer) < manyLonger:
		put(edited, 4)
	}
	put(longer, rest)
	put(same, rest)
	put(words, rest)
	put(edited, rest)
	return all
}

// namesakeWeight is from what weight on a name in a scope is shown beside its namesake.
const namesakeWeight = 7

// shown returns the first names under which a signature counts, those that are yanked or
// deprecated last but for what was asked for by its name.
func (s *Searcher) shown(ctx context.Context, f *finding, ranked []candidate, evaluator *trust.Evaluator) (names []records.Name, err error) {
	var retired []records.Name
	for len(ranked) > 0 && len(names) < f.limit {
		page := ranked[:min(len(ranked), f.limit)]
		ranked = ranked[len(page):]
		var list []records.Name
		for _, c := range page {
			list = append(list, c.name)
		}
		text, err := json.Marshal(list)
		if err != nil {
			return nil, err
		}
		type state struct {
			name         records.Name
			valid, noted bool
		}
		var states []state
		err = f.Each(ctx, statesQuery, []any{string(text)}, func(rows *sql.Rows) error {
			var st state
			err := rows.Scan(&st.name, &st.valid, &st.noted)
			states = append(states, st)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, st := range states {
			if !st.valid {
				continue
			}
			if st.noted && string(st.name) != f.spelled() {
				hit, err := s.Describe(ctx, st.name, evaluator)
				if err != nil {
					return nil, err
				}
				if hit.Retired() {
					retired = append(retired, st.name)
					continue
				}
			}
			names = append(names, st.name)
		}
	}
	names = append(names, retired...)
	return names[:min(len(names), f.limit)], nil
}

// statesQuery says of each name in the list ?1 whether a release of it counts, and whether
// there are notices about it.
const statesQuery = `SELECT value, EXISTS (SELECT 1 FROM releases JOIN records ON num = record WHERE releases.name = value AND invalid = ''),
	EXISTS (SELECT 1 FROM annotations WHERE annotations.name = value AND kind = 'notice') FROM json_each(?1)`

// Count counts the names that a search may find, strangers' too, up to MaxCount.
func (s *Searcher) Count(ctx context.Context, text string, evaluator *trust.Evaluator) (n int, err error) {
	err = s.index.View(ctx, "count names", func(q *db.Tx) error {
		parsed, err := s.parse(ctx, q, text, evaluator)
		if err != nil || parsed.text == "" && len(parsed.filters) == 0 {
			return err
		}
		n, err = (&finding{Tx: q, query: parsed}).count(ctx)
		return err
	})
	return n, err
}

func (f *finding) count(ctx context.Context) (n int, err error) {
	some := func(query string) string { return "SELECT name FROM (" + query + " LIMIT ?3)" }
	folded := texts.Unmarked(f.text)
	query := "SELECT ?2 AS name WHERE 0"
	if len(f.filters) == 0 && folded != "" {
		if !f.isScoped() {
			query += " UNION " + some("SELECT name FROM names WHERE folded = ?1")
		}
		switch {
		case f.hasSpace():
		case f.text == folded:
			query += " UNION " + some("SELECT name FROM names WHERE folded >= ?1 AND folded < ?1 || char(127)")
		default:
			query += " UNION " + some("SELECT name FROM names WHERE name >= ?2 AND name < ?2 || char(127)")
		}
	}
	args := []any{folded, f.text, MaxCount}
	if match := f.match(anywhere, f.begunWords()); match != "" {
		query += " UNION " + some("SELECT name FROM texts JOIN (SELECT rowid AS hit FROM words WHERE words MATCH ?4) ON num = hit")
		args = append(args, match)
	}
	_, err = f.Get(ctx, "SELECT count(*) FROM ("+query+")", args, &n)
	return min(n, MaxCount), err
}
