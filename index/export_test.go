package index

import (
	"context"

	"github.com/everythingstays/es/records"
)

// ExecOnWriter runs SQL on the write connection, to spoil it for a test.
func (x *Index) ExecOnWriter(ctx context.Context, query string) error {
	_, err := x.w.ExecContext(ctx, query)
	return err
}

// PutElements puts elements into the set (true) and takes others out, though they
// stand for nothing.
func (x *Index) PutElements(ctx context.Context, changes map[records.Element]bool) error {
	return x.write(ctx, false, func(b *batch) error {
		b.set = changes
		return nil
	})
}

// CheckSums compares the sums with the elements alone.
func (x *Index) CheckSums(ctx context.Context) error {
	return x.snapshot(ctx, func(q queries) error { return q.checkSums(ctx) })
}

// Nodes returns how many nodes each level has.
func (x *Index) Nodes(ctx context.Context) (n [topLevel + 1]int, err error) {
	for level := range n {
		if err := x.r.QueryRowContext(ctx, "SELECT count(*) FROM sums WHERE level = ?", level).Scan(&n[level]); err != nil {
			return n, err
		}
	}
	return n, nil
}

// MaxPage is the most elements of a page.
const MaxPage = maxPage

// MaxNode is the most children of a node.
const MaxNode = maxNode

// SetCrowd says how many records of one kind about a name are a crowd.
func (x *Index) SetCrowd(n int) { x.crowd = n }
