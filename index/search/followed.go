package search

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

const (
	// fewFollowed is how many keys one query for texts asks for.
	fewFollowed = 64
	// authorsOf is how many authors of a name are looked at.
	authorsOf = 50
)

// followed are whom the user believes about any name, or follows to such.
type followed struct {
	evaluator *trust.Evaluator
	keys      map[records.Fingerprint]bool
	few       []records.Fingerprint // all of them, when they are few
}

func newFollowed(ctx context.Context, evaluator *trust.Evaluator) (*followed, error) {
	keys, err := evaluator.Followed(ctx)
	if err != nil {
		return nil, err
	}
	f := &followed{evaluator: evaluator, keys: map[records.Fingerprint]bool{}}
	for _, k := range keys {
		f.keys[k] = true
	}
	if len(keys) <= fewFollowed {
		f.few = keys
	}
	return f, nil
}

// missing reports whether there may be names that keys sign whom the user follows beyond
// the candidates, since some of these are by others.
func (f *followed) missing(all []candidate) bool {
	return len(f.keys) > 0 && (len(all) == 0 || slices.ContainsFunc(all, func(c candidate) bool { return c.signed == 0 }))
}

// mark counts who signs the candidates that the user follows.
func (f *followed) mark(ctx context.Context, q *db.Tx, all []candidate) error {
	if len(all) == 0 || len(f.keys) == 0 && !f.evaluator.BelievesOthers() {
		return nil
	}
	names := make([]records.Name, len(all))
	at := map[records.Name]*candidate{}
	for i := range all {
		names[i], at[all[i].name] = all[i].name, &all[i]
	}
	list, err := json.Marshal(names)
	if err != nil {
		return err
	}
	return q.Each(ctx, `SELECT value, (SELECT group_concat(hex(author)) FROM (SELECT author FROM texts WHERE name = value LIMIT ?2))
		FROM json_each(?1)`, []any{string(list), authorsOf}, func(rows *sql.Rows) error {
		var name records.Name
		var by sql.NullString
		if err := rows.Scan(&name, &by); err != nil {
			return err
		}
		return f.count(ctx, q, at[name], strings.Split(by.String, ","))
	})
}

func (f *followed) count(ctx context.Context, q *db.Tx, c *candidate, authors []string) error {
	for _, text := range authors {
		raw, err := hex.DecodeString(text)
		if err != nil {
			return err
		}
		if key, err := records.FingerprintFromBytes(raw); err == nil && f.keys[key] {
			c.signed++
		}
	}
	if c.signed == 0 && f.evaluator.Pins(c.name) {
		c.signed = 1
	}
	if c.signed > 0 || len(authors) < authorsOf {
		return nil
	}
	// A crowd claims the name: only who decides about it is looked for.
	ruling, err := f.evaluator.Ruling(ctx, c.name)
	if err != nil {
		return err
	}
	for _, g := range ruling.Deciders() {
		found, err := q.Get(ctx, "SELECT 1 FROM texts WHERE name = ? AND author = ?", []any{string(c.name), g.Key.Bytes()}, new(int))
		if err != nil {
			return err
		}
		if found {
			c.signed++
		}
	}
	return nil
}
