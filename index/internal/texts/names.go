package texts

import (
	"context"
	"database/sql"
	"math"
	"strings"

	"github.com/everythingstays/es/records"
)

// What search ranks by must not come from one word alone: dependents weigh more than
// names that go on with another, which cost nothing. Whom the user trusts comes before
// all of it.

// Weight is how much a name is needed, by the names that are related to it and its
// dependents: each doubling adds about one.
func Weight(related, dependents int64) float64 {
	return 0.8*math.Log2(1+float64(related)) + 1.2*math.Log2(1+float64(dependents))
}

// Places of names: Place is below it.
const Places = 48

// Place says how soon a name is shown of those that begin with what was typed: short names
// and those that are needed much come first.
func Place(name records.Name, related, dependents int64) int64 {
	return int64(min(max(12+math.Floor(0.8*float64(len(name))-Weight(related, dependents)), 0), Places-1))
}

// A text's number says how soon search finds it: what strangers say comes last, then
// what is needed much comes first, and of that what came first.
const (
	recordBits  = 40
	recordMask  = 1<<recordBits - 1
	levelBits   = 5
	levels      = 1 << levelBits
	strangerBit = 1 << (recordBits + levelBits)
)

// Level is the part of Weight that texts are sorted by. It changes seldom.
func Level(related, dependents int64) int64 {
	return min(int64(Weight(related, dependents)), levels-1)
}

// Number is the number of the text of a release record.
func Number(record, level int64, stranger bool) int64 {
	num := (levels-1-level)<<recordBits | record
	if stranger {
		num |= strangerBit
	}
	return num
}

// Record is the number of the record whose text has the number.
func Record(num int64) int64 { return num & recordMask }

// Folded is a name as it is compared when neither its scope nor its marks matter:
// left-pad, left_pad and @acme/leftPad are leftpad.
func Folded(name records.Name) string { return Unmarked(name.Base()) }

// Unmarked is text without what is no letter or digit, in lower case.
func Unmarked(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && !isAlphanumeric(r) {
			return -1
		}
		return r
	}, strings.ToLower(s))
}

// insertName makes a name known to search.
func (b *Writer) insertName(ctx context.Context, name records.Name) error {
	if known, err := b.Get(ctx, "SELECT 1 FROM names WHERE name = ?", []any{string(name)}, new(int)); err != nil || known {
		return err
	}
	var related, dependents int64
	if _, err := b.Get(ctx, "SELECT "+RelatedQuery+", coalesce((SELECT n FROM dependents WHERE name = ?1), 0)", RelatedArguments(name), &related, &dependents); err != nil {
		return err
	}
	_, err := b.Exec(ctx, "INSERT INTO names (name, folded, skeleton, related, place) VALUES (?, ?, ?, ?, ?)",
		string(name), Folded(name), name.Skeleton(), related, Place(name, related, dependents))
	if err != nil {
		return err
	}
	return b.relate(ctx, name, 1)
}

// Drop takes what search has of an author's newest release of a name out of it.
func (b *Writer) Drop(ctx context.Context, author records.Fingerprint, had *records.Release) error {
	if err := b.countDependents(ctx, had, -1); err != nil {
		return err
	}
	args := []any{string(had.Name), author.Bytes()}
	if _, err := b.Exec(ctx, "DELETE FROM words WHERE rowid = (SELECT num FROM texts WHERE name = ? AND author = ?)", args...); err != nil {
		return err
	}
	_, err := b.Exec(ctx, "DELETE FROM texts WHERE name = ? AND author = ?", args...)
	return err
}

// DropName makes a name unknown to search of which no text is left.
func (b *Writer) DropName(ctx context.Context, name records.Name) error {
	if used, err := b.Get(ctx, "SELECT 1 FROM texts WHERE name = ?", []any{string(name)}, new(int)); err != nil || used {
		return err
	}
	if _, err := b.Exec(ctx, "DELETE FROM names WHERE name = ?", string(name)); err != nil {
		return err
	}
	return b.relate(ctx, name, -1)
}

// RelatedQuery counts the names that are related to ?1: ?2 and ?3 bound those that go on
// with it, ?4 and ?5 those in a scope of that name, and ?6 is its folded name, or NULL
// where it has a scope itself.
const RelatedQuery = `(SELECT count(*) FROM names WHERE name >= ?2 AND name < ?3)
	+ (SELECT count(*) FROM names WHERE name >= ?4 AND name < ?5)
	+ (SELECT count(*) FROM names WHERE folded = ?6 AND name < 'A' AND name >= '@')`

// RelatedArguments are those of RelatedQuery.
func RelatedArguments(name records.Name) []any {
	n := string(name)
	if n[0] == '@' {
		return []any{n, n + "-", n + "0", "", "", nil}
	}
	return []any{n, n + "-", n + "0", "@" + n + "/", "@" + n + "0", Folded(name)}
}

// relate adds to the counts of all names that the name is related to. The bytes from - to
// / are the marks that names go on with.
func (b *Writer) relate(ctx context.Context, name records.Name, by int) error {
	add := func(where string, arg any) error {
		return b.touch(ctx, "UPDATE names SET related = related + ? WHERE "+where+" RETURNING name", by, arg)
	}
	n := string(name)
	for i := 1; i < len(n); i++ {
		if (n[i] == '-' || n[i] == '.') && (n[0] != '@' || strings.Contains(n[:i], "/")) {
			if err := add("name = ?", n[:i]); err != nil {
				return err
			}
		}
	}
	scope := name.Scope()
	if scope == "" {
		return nil
	}
	if err := add("name = ?", scope[1:]); err != nil {
		return err
	}
	return add("folded = ? AND NOT (name < 'A' AND name >= '@')", Folded(name))
}

// touch notes the names that a statement returns: their place may be another one.
func (b *Writer) touch(ctx context.Context, query string, args ...any) error {
	var names []records.Name
	err := b.Each(ctx, query, args, func(rows *sql.Rows) error {
		var name records.Name
		err := rows.Scan(&name)
		names = append(names, name)
		return err
	})
	for _, name := range names {
		b.touched[name] = true
	}
	return err
}

// Touch says that the texts of an author's names may have another place.
func (b *Writer) Touch(ctx context.Context, author records.Fingerprint) error {
	return b.touch(ctx, "SELECT DISTINCT name FROM records JOIN releases ON record = num WHERE records.author = ? AND records.kind = 'release'", author.Bytes())
}

// countDependents adds to how many texts name the dependencies of a release, which may be
// nil.
func (b *Writer) countDependents(ctx context.Context, r *records.Release, by int64) error {
	if r == nil {
		return nil
	}
	for _, name := range dependencies(r) {
		var n int64
		if _, err := b.Get(ctx, "INSERT INTO dependents (name, n) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET n = n + ?2 RETURNING n", []any{name, by}, &n); err != nil {
			return err
		}
		if n == 0 {
			if _, err := b.Exec(ctx, "DELETE FROM dependents WHERE name = ?", name); err != nil {
				return err
			}
		}
		b.touched[records.Name(name)] = true
	}
	return nil
}

// DependentsIn adds up what the table dependents must say.
func DependentsIn(sums map[string]int64, r *records.Release) {
	for _, name := range dependencies(r) {
		sums[name]++
	}
}
