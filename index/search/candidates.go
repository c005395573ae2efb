package search

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strings"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/index/internal/texts"
	"github.com/everythingstays/es/records"
)

const (
	// namesakes is how many names that are spelled alike are weighed.
	namesakes = 60
	// minCandidates is how many names of another kind are weighed at least.
	minCandidates = 40
)

// candidates is how many names of a kind are weighed for a place among the hits.
func (f *finding) candidates() int { return max(minCandidates, 2*f.limit) }

// A candidate is a name that may be among the hits.
type candidate struct {
	name   records.Name
	weight float64 // how much it is needed
	named  bool    // has all words itself
	signed int     // by how many keys that the user follows, or a pin
}

func (c *candidate) scoped() bool { return c.name[0] == '@' }

// A finding gathers candidates for a query, at one moment of the index.
type finding struct {
	*db.Tx
	query
	limit  int
	trust  *followed
	hidden map[records.Name]bool // names of strangers that were passed over
}

const candidateColumns = "names.name, related, coalesce(n, 0) FROM names LEFT JOIN dependents ON dependents.name = names.name"

// read runs a query for candidateColumns.
func (f *finding) read(ctx context.Context, sqlText string, args ...any) (all []candidate, err error) {
	err = f.Each(ctx, sqlText, args, func(rows *sql.Rows) error {
		var c candidate
		var related, dependents int64
		err := rows.Scan(&c.name, &related, &dependents)
		c.weight = texts.Weight(related, dependents)
		all = append(all, c)
		return err
	})
	return all, err
}

// isScoped reports whether the text is, or begins, a name with a scope.
func (f *finding) isScoped() bool { return strings.ContainsAny(f.text, "@/") }

func (f *finding) hasSpace() bool { return strings.Contains(f.text, " ") }

// spelled is the name that the text is, if it is one.
func (f *finding) spelled() string { return strings.ReplaceAll(f.text, " ", "-") }

// same finds the names that the text spells, whatever their scope and marks, that which it
// spells as it is first.
func (f *finding) same(ctx context.Context) (all []candidate, err error) {
	scope, base, scoped := strings.Cut(f.text, "/")
	if !scoped {
		base = f.text
	}
	folded := texts.Unmarked(base)
	if folded == "" || strings.HasPrefix(f.text, "@") && !scoped {
		return nil, nil
	}
	within := ""
	args := []any{folded, namesakes}
	if scoped {
		within = " AND names.name >= ?3 AND names.name < ?4"
		args = append(args, scope+"/", scope+"0")
	}
	all, err = f.read(ctx, "SELECT "+candidateColumns+" WHERE folded = ?1"+within+" ORDER BY place LIMIT ?2", args...)
	if err != nil || len(all) < 2 {
		return all, err
	}
	if err := f.addScopes(ctx, all); err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Or(-compareBool(string(a.name) == f.spelled(), string(b.name) == f.spelled()), compareBool(a.scoped(), b.scoped()), cmp.Compare(b.weight, a.weight))
	})
	return all, nil
}

// addScopes adds to the weight of names with scopes that of the scopes' own names.
func (f *finding) addScopes(ctx context.Context, all []candidate) error {
	scopes := map[string]float64{}
	for _, c := range all {
		if c.scoped() {
			scopes[c.name.Scope()[1:]] = 0
		}
	}
	if len(scopes) == 0 {
		return nil
	}
	found, err := f.read(ctx, "SELECT "+candidateColumns+" WHERE names.name IN (SELECT value FROM json_each(?))", array(scopes))
	if err != nil {
		return err
	}
	for _, c := range found {
		scopes[string(c.name)] = c.weight
	}
	for i := range all {
		if c := &all[i]; c.scoped() {
			c.weight += scopes[c.name.Scope()[1:]]
		}
	}
	return nil
}

func array(of map[string]float64) string {
	var names []string
	for n := range of {
		names = append(names, n)
	}
	text, _ := json.Marshal(names) // strings always can be
	return string(text)
}

// places are all values of names.place.
var places = func() string {
	var all []int64
	for p := range int64(texts.Places) {
		all = append(all, p)
	}
	text, _ := json.Marshal(all) // numbers always can be
	return string(text)
}()

// longer finds the names that go on with the text, those with the best places first.
func (f *finding) longer(ctx context.Context) ([]candidate, error) {
	if f.text == "" || f.hasSpace() {
		return nil, nil
	}
	// Names are ASCII, so 0x7f is above whatever may follow.
	folded := texts.Unmarked(f.text)
	byFolded := "SELECT " + placed + " AND folded >= ?2 AND folded < ?2 || char(127) LIMIT ?3"
	limit := f.candidates()
	if folded == f.text {
		return f.read(ctx, byFolded, places, folded, limit)
	}
	all, err := f.read(ctx, "SELECT "+placed+" AND names.name >= ?2 AND names.name < ?2 || char(127) LIMIT ?3", places, f.text, limit)
	if err != nil || f.isScoped() || folded == "" || len(all) >= f.limit {
		return all, err
	}
	behind, err := f.read(ctx, byFolded, places, folded, 10*limit)
	for _, c := range behind {
		if strings.HasPrefix(c.name.Base(), f.text) && c.scoped() {
			all = append(all, c)
		}
	}
	return all, err
}

// longerBy finds the names that go on with the text and that keys sign whom the user follows:
// they may be behind many others.
func (f *finding) longerBy(ctx context.Context) (all []candidate, err error) {
	if len(f.trust.few) == 0 || f.hasSpace() || !f.hasPrefix() {
		return nil, nil
	}
	found, err := f.texts(ctx, f.match("name", f.begunWords())+" AND "+among(f.trust.few))
	for _, c := range found {
		if strings.HasPrefix(string(c.name), f.text) || strings.HasPrefix(texts.Folded(c.name), texts.Unmarked(f.text)) {
			all = append(all, c)
		}
	}
	return all, err
}

// placed goes through names place by place.
const placed = `names.name, related, coalesce(n, 0) FROM json_each(?1) AS at CROSS JOIN names LEFT JOIN dependents ON dependents.name = names.name
	WHERE place = at.value`

// edited finds the names that are one edit away from the text.
func (f *finding) edited(ctx context.Context, longer int) ([]candidate, error) {
	text, alphabet, join := texts.Unmarked(f.text), letters, "IN (SELECT name FROM names WHERE folded = typed.value ORDER BY place LIMIT 3)"
	if f.isScoped() {
		text, alphabet, join = f.spelled(), nameBytes, "= typed.value"
	}
	if len(text) < 2 || len(text) > maxEdited || !isOf(text, alphabet) {
		return nil, nil
	}
	all, err := f.read(ctx, `SELECT names.name, related, coalesce(n, 0) FROM json_each(?) AS typed CROSS JOIN names ON names.name `+join+`
		LEFT JOIN dependents ON dependents.name = names.name`, edits(text, alphabet))
	if err != nil {
		return nil, err
	}
	spelled := func(c candidate) string {
		if f.isScoped() {
			return string(c.name)
		}
		return texts.Folded(c.name)
	}
	all = slices.DeleteFunc(all, func(c candidate) bool {
		// What others go on with was typed on purpose, behind a mark.
		return longer > 0 && (strings.HasPrefix(spelled(c), text) || f.behindMark() && strings.HasPrefix(spelled(c), text[:len(text)-1]))
	})
	likely := func(c candidate) float64 { return c.weight - unlikely(text, spelled(c)) }
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Or(compareBool(a.scoped(), b.scoped()), cmp.Compare(likely(b), likely(a)), cmp.Compare(a.name, b.name))
	})
	return all, nil
}

// behindMark reports whether the text has begun a word that is not its first.
func (f *finding) behindMark() bool {
	n := len(f.text)
	return n > 1 && !isOf(f.text[n-2:n-1], letters)
}

// inWords finds names by the words of texts: by whole words where names hold them all,
// then anywhere, then by words that go on, then by words without their endings. With by,
// only what these keys sign.
func (f *finding) inWords(ctx context.Context, by []records.Fingerprint) ([]candidate, error) {
	if len(f.words) == 0 && len(f.filters) == 0 {
		return nil, nil
	}
	w := &wordFinding{finding: f, have: map[records.Name]bool{}}
	if len(by) > 0 {
		w.by = " AND " + among(by)
	}
	w.add(ctx, "name", f.wholeWords())
	w.more(ctx, anywhere, f.wholeWords())
	f.byFit(w.all)
	if f.hasPrefix() {
		w.add(ctx, anywhere, f.begunWords())
	}
	if len(f.words) > 1 && len(f.filters) == 0 {
		w.add(ctx, anywhere, f.stems())
	}
	return w.all, w.err
}

// anywhere are the columns that words are looked for in.
const anywhere = "{name description keywords}"

// A wordFinding gathers names until there are enough.
type wordFinding struct {
	*finding
	by   string // a condition, or ""
	have map[records.Name]bool
	all  []candidate
	err  error
}

// add gathers names unless there are enough.
func (w *wordFinding) add(ctx context.Context, columns string, words []string) {
	if len(w.all) < w.limit {
		w.more(ctx, columns, words)
	}
}

// more gathers names.
func (w *wordFinding) more(ctx context.Context, columns string, words []string) {
	if w.err != nil {
		return
	}
	var found []candidate
	if found, w.err = w.texts(ctx, w.match(columns, words)+w.by); w.err != nil {
		return
	}
	for i := range found {
		found[i].named = columns == "name"
	}
	w.byFit(found)
	for _, c := range found {
		if !w.have[c.name] {
			w.have[c.name] = true
			w.all = append(w.all, c)
		}
	}
}

// texts finds the names of the first texts that match.
func (f *finding) texts(ctx context.Context, match string) ([]candidate, error) {
	return f.read(ctx, `SELECT names.name, related, coalesce(n, 0) FROM (SELECT rowid AS num FROM words WHERE words MATCH ? ORDER BY rowid LIMIT ?)
		CROSS JOIN texts USING (num) CROSS JOIN names ON names.name = texts.name LEFT JOIN dependents ON dependents.name = names.name`, match, f.candidates())
}

// byFit sorts names by how much they are needed and how much of them the words are.
func (f *finding) byFit(all []candidate) {
	length := 0
	for _, w := range f.words {
		length += len(w)
	}
	fit := func(c candidate) float64 {
		if c.named {
			return c.weight - 0.2*float64(max(0, len(c.name)-length))
		}
		return c.weight - unnamed
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(fit(b), fit(a)), cmp.Compare(len(a.name), len(b.name)))
	})
}

// unnamed is how much more a name is needed whose text alone has the words than one that
// has them itself, for both to fit as well.
const unnamed = 2.5

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
