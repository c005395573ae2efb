package index

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// Nearby is a name that another looks like.
type Nearby struct {
	Name    records.Name
	Signers []records.Fingerprint // who decide about it and have released it, sorted
}

// Near returns the names that name looks like (SPEC.md section 3.6) and that
// somebody who decides about them has released. It does not ask what is known of
// name itself.
func (x *Index) Near(ctx context.Context, name records.Name, view *trust.View) ([]Nearby, error) {
	slips, err := json.Marshal(slipsOf(string(name)))
	if err != nil {
		return nil, err
	}
	const (
		op   = "find names that look alike"
		said = ` FROM texts JOIN names USING (name) WHERE EXISTS (SELECT 1 FROM releases JOIN records ON num = record
			WHERE releases.name = texts.name AND releases.author = texts.author AND void = '') AND `
	)
	rows, err := x.r.QueryContext(ctx, "SELECT name, author"+said+"skeleton = ? UNION SELECT name, author"+said+
		"name IN (SELECT value FROM json_each(?)) ORDER BY name, author", name.Skeleton(), string(slips))
	if err != nil {
		return nil, x.explain(op, err)
	}
	defer rows.Close()
	var near []Nearby
	for rows.Next() {
		var known records.Name
		var author fingerprint
		if err := rows.Scan(&known, &author); err != nil {
			return nil, x.explain(op, err)
		}
		if !name.LooksLike(known) || !view.Decides(author.Fingerprint, known) {
			continue
		}
		if n := len(near); n == 0 || near[n-1].Name != known {
			near = append(near, Nearby{Name: known})
		}
		last := &near[len(near)-1]
		last.Signers = append(last.Signers, author.Fingerprint)
	}
	if err := rows.Err(); err != nil {
		return nil, x.explain(op, err)
	}
	return near, nil
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
