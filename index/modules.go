package index

import (
	"context"

	"github.com/ipfs/go-cid"
)

// Modules returns the modules of at most limit releases, in the order of their
// arrival after the one that an earlier call ended with; 0 is the beginning. A
// module may come several times. No modules means that there are no more.
func (x *Index) Modules(ctx context.Context, after int64, limit int) (modules []cid.Cid, last int64, err error) {
	const op = "list modules"
	rows, err := x.r.QueryContext(ctx, "SELECT record, module FROM releases WHERE record > ? ORDER BY record LIMIT ?", after, limit)
	if err != nil {
		return nil, 0, x.explain(op, err)
	}
	defer rows.Close()
	for last = after; rows.Next(); {
		var m link
		if err := rows.Scan(&last, &m); err != nil {
			return nil, 0, x.explain(op, err)
		}
		modules = append(modules, m.Cid)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, x.explain(op, err)
	}
	return modules, last, nil
}
