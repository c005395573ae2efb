// Package lookalike finds, in an index, the names that another looks like (SPEC.md section
// 3.6): what a user should be asked about before they take one for the other.
package lookalike

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// A Match is a name that another looks like.
type Match struct {
	Name    records.Name
	Signers []records.Fingerprint // who decide about it and have released it, sorted
}

// Find returns the names that name looks like (SPEC.md section 3.6) and that
// somebody who decides about them has released, but none by a key that has released
// name too. It does not ask whether name itself is known.
func Find(ctx context.Context, x *index.Index, name records.Name, evaluator *trust.Evaluator) ([]Match, error) {
	edits, err := json.Marshal(editDistance1(string(name)))
	if err != nil {
		return nil, err
	}
	var releasers []releaser
	err = x.View(ctx, "find names that look alike", func(q *db.Tx) error {
		return q.Each(ctx, releasersQuery, []any{string(name), name.Skeleton(), string(edits)}, func(rows *sql.Rows) error {
			var r releaser
			var author db.Fingerprint
			if err := rows.Scan(&r.name, &author, &r.both); err != nil {
				return err
			}
			if r.author = author.Fingerprint; name.LooksLike(r.name) {
				releasers = append(releasers, r)
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return decided(ctx, releasers, evaluator)
}

// A releaser has released a name, and perhaps the one that it looks like too.
type releaser struct {
	name   records.Name
	author records.Fingerprint
	both   bool
}

// decided takes the releasers who decide; their names are sorted.
func decided(ctx context.Context, releasers []releaser, evaluator *trust.Evaluator) ([]Match, error) {
	var found []Match
	same := map[records.Name]bool{}
	for _, r := range releasers {
		ruling, err := evaluator.Ruling(ctx, r.name)
		if err != nil {
			return nil, err
		}
		if !ruling.Decides(r.author) {
			continue
		}
		if n := len(found); n == 0 || found[n-1].Name != r.name {
			found = append(found, Match{Name: r.name})
		}
		last := &found[len(found)-1]
		last.Signers = append(last.Signers, r.author)
		same[r.name] = same[r.name] || r.both
	}
	return slices.DeleteFunc(found, func(n Match) bool { return same[n.Name] }), nil
}

// releasersQuery finds who has released names with the skeleton ?2 or in the list ?3, and
// whether they have released ?1 too.
const releasersQuery = `SELECT name, author, EXISTS (SELECT 1 FROM releases JOIN records ON num = record
		WHERE releases.name = ?1 AND releases.author = texts.author AND invalid = '')
	FROM texts WHERE name IN (SELECT name FROM names WHERE skeleton = ?2 UNION SELECT value FROM json_each(?3))
		AND EXISTS (SELECT 1 FROM releases JOIN records ON num = record
			WHERE releases.name = texts.name AND releases.author = texts.author AND invalid = '')
	ORDER BY name, author`

const nameBytes = "abcdefghijklmnopqrstuvwxyz0123456789-._"

// editDistance1 returns everything that is one edit away from the name, names or not.
func editDistance1(name string) []string {
	n := len(name)
	all := make([]string, 0, 2*n*(len(nameBytes)+1)+len(nameBytes))
	for i := range n + 1 {
		for j := range len(nameBytes) {
			all = append(all, name[:i]+nameBytes[j:j+1]+name[i:])
			if i < n {
				all = append(all, name[:i]+nameBytes[j:j+1]+name[i+1:])
			}
		}
		if i < n {
			all = append(all, name[:i]+name[i+1:])
		}
		if i+1 < n {
			all = append(all, name[:i]+name[i+1:i+2]+name[i:i+1]+name[i+2:])
		}
	}
	return all
}
