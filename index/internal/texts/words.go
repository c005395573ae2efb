package texts

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/records"
)

// A wordsWriter changes rows of the words table, by rising numbers.
type wordsWriter struct {
	*Writer
	rows   map[int64]*wordsRow // nil where a row goes
	levels map[records.Name]int64
}

type wordsRow struct {
	author  records.Fingerprint
	release *records.Release
}

// level is how often a name is needed, as the numbers of its texts say it.
func (w *wordsWriter) level(ctx context.Context, name records.Name) (int64, error) {
	if l, ok := w.levels[name]; ok {
		return l, nil
	}
	var related, dependents int64
	_, err := w.Get(ctx, "SELECT related, coalesce(n, 0) FROM names LEFT JOIN dependents USING (name) WHERE name = ?", []any{string(name)}, &related, &dependents)
	w.levels[name] = Level(related, dependents)
	return w.levels[name], err
}

// move brings a name and its texts to their places. Texts that wait are put after it.
func (w *wordsWriter) move(ctx context.Context, name records.Name) error {
	var related, dependents, place int64
	known, err := w.Get(ctx, "SELECT related, place, coalesce(n, 0) FROM names LEFT JOIN dependents USING (name) WHERE name = ?", []any{string(name)}, &related, &place, &dependents)
	if err != nil || !known {
		return err
	}
	if now := Place(name, related, dependents); now != place {
		if _, err := w.Exec(ctx, "UPDATE names SET place = ? WHERE name = ?", now, string(name)); err != nil {
			return err
		}
	}
	w.levels[name] = Level(related, dependents)
	type stored struct {
		num     int64
		strange bool
		author  records.Fingerprint
	}
	var all []stored
	err = w.Each(ctx, "SELECT num, author, EXISTS (SELECT 1 FROM strangers WHERE record = num & ?) FROM texts WHERE name = ?", []any{recordMask, string(name)}, func(rows *sql.Rows) error {
		var s stored
		var f db.Fingerprint
		err := rows.Scan(&s.num, &f, &s.strange)
		s.author = f.Fingerprint
		all = append(all, s)
		return err
	})
	if err != nil {
		return err
	}
	for _, s := range all {
		record := Record(s.num)
		now := Number(record, w.levels[name], s.strange)
		if now == s.num || w.waiting[key{name, s.author}] != nil {
			continue
		}
		body, err := w.Stored(ctx, record)
		if err != nil {
			return err
		}
		if _, err := w.Exec(ctx, "UPDATE texts SET num = ? WHERE num = ?", now, s.num); err != nil {
			return err
		}
		w.rows[s.num], w.rows[now] = nil, &wordsRow{s.author, body}
	}
	return nil
}

// put stores a text that waits.
func (w *wordsWriter) put(ctx context.Context, k key, t *text) error {
	level, err := w.level(ctx, k.name)
	if err != nil {
		return err
	}
	strange, err := w.Get(ctx, "SELECT 1 FROM strangers WHERE record = ?", []any{t.record}, new(int))
	if err != nil {
		return err
	}
	num := Number(t.record, level, strange)
	if t.was != 0 {
		w.rows[t.was] = nil
		_, err = w.Exec(ctx, "UPDATE texts SET num = ?, version = ? WHERE num = ?", num, string(t.release.Version), t.was)
	} else {
		_, err = w.Exec(ctx, "INSERT INTO texts (num, name, author, version) VALUES (?, ?, ?, ?)", num, string(k.name), k.author.Bytes(), string(t.release.Version))
	}
	w.rows[num] = &wordsRow{k.author, t.release}
	return err
}

func (w *wordsWriter) write(ctx context.Context) error {
	for _, num := range slices.Sorted(maps.Keys(w.rows)) {
		row := w.rows[num]
		if row == nil {
			if _, err := w.Exec(ctx, "DELETE FROM words WHERE rowid = ?", num); err != nil {
				return err
			}
			continue
		}
		if err := InsertWords(ctx, w.Tx, num, row.author, row.release); err != nil {
			return err
		}
	}
	return nil
}

// InsertWords gives the table words what search reads of a release.
func InsertWords(ctx context.Context, q *db.Tx, num int64, author records.Fingerprint, r *records.Release) error {
	_, err := q.Exec(ctx, "INSERT INTO words (rowid, name, description, keywords, signer, scope, license, depends) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		num, string(r.Name), r.Manifest.Description, strings.Join(r.Manifest.Keywords, "\n"), author.String(), Whole(r.Name.Scope()),
		licenses(r.Manifest.License), wholeNames(dependencies(r)))
	return err
}

// Whole makes one word of a name or the like, which search finds whole or not at all.
func Whole(s string) string {
	return strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f && !isAlphanumeric(r) {
			return 0xe000 + r // for private use: the words table takes it for a letter
		}
		return r
	}, s)
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// licenses are the words of a licence expression.
func licenses(expression string) string {
	words := strings.FieldsFunc(expression, func(r rune) bool { return r == ' ' || r == '(' || r == ')' })
	for i, w := range words {
		words[i] = Whole(w)
	}
	return strings.Join(words, " ")
}

func wholeNames(names []string) string {
	for i, n := range names {
		names[i] = Whole(n)
	}
	return strings.Join(names, " ")
}

// dependencies are the names that a release needs, or can do with, sorted.
func dependencies(r *records.Release) []string {
	names := map[string]bool{}
	for _, in := range []map[string]string{r.Manifest.Dependencies, r.Manifest.OptionalDependencies, r.Manifest.PeerDependencies} {
		for n := range in {
			names[n] = true
		}
	}
	delete(names, string(r.Name))
	return slices.Sorted(maps.Keys(names))
}
