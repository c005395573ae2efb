package index

import (
	"context"
	"database/sql"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index/internal/db"
)

// Modules returns the modules of at most limit releases, in the order of their
// arrival after the one that an earlier call ended with; 0 is the beginning. A
// module may come several times. No modules means that there are no more.
func (x *Index) Modules(ctx context.Context, after int64, limit int) (modules []cid.Cid, last int64, err error) {
	const op = "list modules"
	rows, err := x.file.Readers.QueryContext(ctx, "SELECT record, module FROM releases WHERE record > ? ORDER BY record LIMIT ?", after, limit)
	if err != nil {
		return nil, 0, x.explain(op, err)
	}
	defer rows.Close()
	for last = after; rows.Next(); {
		var m db.CID
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

// EachModule calls visit with every module that a release names whose signature
// counts, once, and whether one of these is an own release. What is no CID any more
// is passed over: Verify tells of it.
func (x *Index) EachModule(ctx context.Context, visit func(module cid.Cid, own bool) error) error {
	err := x.file.View(ctx, func(q *db.Tx) error {
		return q.Each(ctx, "SELECT module, max(own) FROM releases JOIN records ON num = record WHERE invalid = '' GROUP BY module", nil, func(rows *sql.Rows) error {
			var raw []byte
			var own bool
			if err := rows.Scan(&raw, &own); err != nil {
				return err
			}
			module, err := cid.Cast(raw)
			if err != nil {
				return nil
			}
			return visit(module, own)
		})
	})
	if err != nil {
		return x.explain("list modules", err)
	}
	return nil
}
