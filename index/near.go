package index

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// Nearby is a name that another looks like.
type Nearby struct {
	Name    records.Name
	Signers []records.Fingerprint // who decide about it and have released it, sorted
}

// Near returns the names that name looks like (SPEC.md section 3.6) and that
// somebody who decides about them has released, but none by a key that has released
// name too. It does not ask whether name itself is known.
func (x *Index) Near(ctx context.Context, name records.Name, view *trust.View) ([]Nearby, error) {
	const op = "find names that look alike"
	slips, err := json.Marshal(slipsOf(string(name)))
	if err != nil {
		return nil, err
	}
	rows, err := x.r.QueryContext(ctx, nearQuery, string(name), name.Skeleton(), string(slips))
	if err != nil {
		return nil, x.explain(op, err)
	}
	defer rows.Close()
	var releasers []releaser
	for rows.Next() {
		var r releaser
		var author fingerprint
		if err := rows.Scan(&r.name, &author, &r.both); err != nil {
			return nil, x.explain(op, err)
		}
		if r.author = author.Fingerprint; name.LooksLike(r.name) {
			releasers = append(releasers, r)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, x.explain(op, err)
	}
	return nearby(ctx, releasers, view)
}

// A releaser has released a name, and perhaps the one that it looks like too.
type releaser struct {
	name   records.Name
	author records.Fingerprint
	both   bool
}

// nearby takes the releasers who decide; their names are sorted.
func nearby(ctx context.Context, releasers []releaser, view *trust.View) ([]Nearby, error) {
	var near []Nearby
	same := map[records.Name]bool{}
	for _, r := range releasers {
		ruling, err := view.Ruling(ctx, r.name)
		if err != nil {
			return nil, err
		}
		if !ruling.Decides(r.author) {
			continue
		}
		if n := len(near); n == 0 || near[n-1].Name != r.name {
			near = append(near, Nearby{Name: r.name})
		}
		last := &near[len(near)-1]
		last.Signers = append(last.Signers, r.author)
		same[r.name] = same[r.name] || r.both
	}
	return slices.DeleteFunc(near, func(n Nearby) bool { return same[n.Name] }), nil
}

// nearQuery finds who has released names with the skeleton ?2 or in the list ?3, and
// whether they have released ?1 too.
const nearQuery = `SELECT name, author, EXISTS (SELECT 1 FROM releases JOIN records ON num = record
		WHERE releases.name = ?1 AND releases.author = texts.author AND void = '')
	FROM texts WHERE name IN (SELECT name FROM names WHERE skeleton = ?2 UNION SELECT value FROM json_each(?3))
		AND EXISTS (SELECT 1 FROM releases JOIN records ON num = record
			WHERE releases.name = texts.name AND releases.author = texts.author AND void = '')
	ORDER BY name, author`

// Released reports whether the author has a release of each name that counts.
func (x *Index) Released(ctx context.Context, author records.Fingerprint, names ...records.Name) (bool, error) {
	for _, name := range names {
		var has bool
		err := x.r.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM releases JOIN records ON num = record
			WHERE name = ? AND releases.author = ? AND void = '')`, string(name), author.Bytes()).Scan(&has)
		if err != nil {
			return false, x.explain("find releases", err)
		}
		if !has {
			return false, nil
		}
	}
	return true, nil
}

const nameBytes = "abcdefghijklmnopqrstuvwxyz0123456789-._"

// slipsOf returns everything that is one edit away from the name, names or not.
func slipsOf(name string) []string {
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

// fillSkeletons gives their skeleton to names that were stored without.
func (b *batch) fillSkeletons(ctx context.Context) error {
	var names []string
	err := b.each(ctx, "SELECT name FROM names WHERE skeleton = ''", nil, func(rows *sql.Rows) error {
		var n string
		err := rows.Scan(&n)
		names = append(names, n)
		return err
	})
	if err != nil {
		return err
	}
	for _, n := range names {
		if _, err := b.exec(ctx, "UPDATE names SET skeleton = ? WHERE name = ?", records.Name(n).Skeleton(), n); err != nil {
			return err
		}
	}
	return nil
}
