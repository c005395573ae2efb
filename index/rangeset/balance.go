package rangeset

import (
	"context"

	"github.com/everythingstays/es/records"
)

// balance splits and merges the touched pages that have become too large or too
// small, and then the parents of what was split and merged.
func (t tree) balance(ctx context.Context, touched []delta) error {
	for level := range topLevel + 1 {
		var parents []delta
		for _, d := range touched {
			if level == 0 && d.count <= maxPage && d.count >= maxPage/minFill {
				continue
			}
			changed, err := t.balanceNode(ctx, level, d.at)
			if err != nil {
				return err
			}
			if !changed || level == topLevel {
				continue
			}
			p, err := t.node(ctx, level+1, d.at)
			if err != nil {
				return err
			}
			if n := len(parents); n == 0 || parents[n-1].at != p.first {
				parents = append(parents, delta{at: p.first})
			}
		}
		touched = parents
	}
	return nil
}

// balanceNode reports whether there are other nodes now than before.
func (t tree) balanceNode(ctx context.Context, level int, first string) (changed bool, err error) {
	for {
		n, err := t.node(ctx, level, first)
		if err != nil {
			return changed, err
		}
		size, err := t.size(ctx, level, n)
		if err != nil {
			return changed, err
		}
		if size > nodeLimit(level) {
			return true, t.split(ctx, level, n, size)
		}
		if size >= nodeLimit(level)/minFill {
			return changed, nil
		}
		merged, err := t.merge(ctx, level, n, size)
		if err != nil || !merged {
			return changed, err
		}
		changed = true
	}
}

// size returns how many elements or children a node has.
func (t tree) size(ctx context.Context, level int, n node) (int, error) {
	if level == 0 {
		return int(n.sum.Count), nil
	}
	var size int
	_, err := t.tx.Get(ctx, "SELECT count(*) FROM sums WHERE level = ? AND first >= ? AND first < ?",
		[]any{level - 1, []byte(n.first), []byte(n.end())}, &size)
	return size, err
}

// split cuts a node into equal parts.
func (t tree) split(ctx context.Context, level int, n node, size int) error {
	c := cutter{per: uint64((size + fill(level) - 1) / fill(level)), first: n.first}
	c.per = (uint64(size) + c.per - 1) / c.per
	var err error
	if level == 0 {
		err = t.eachElement(ctx, n.first, n.end(), func(e records.Element) error {
			c.element(e)
			return nil
		})
	} else {
		err = t.eachNode(ctx, level-1, n.first, n.end(), func(first string, s records.Sum) error {
			c.child(first, s)
			return nil
		})
	}
	if err != nil {
		return err
	}
	for _, part := range c.finish() {
		if err := t.putNode(ctx, level, part.first, part.sum); err != nil {
			return err
		}
	}
	return nil
}

// A cutter makes nodes of per elements or children each.
type cutter struct {
	per   uint64
	first string
	n     uint64
	sum   records.Sum
	last  records.Element
	nodes []node
}

func (c *cutter) cut(at string) {
	c.nodes = append(c.nodes, node{first: c.first, next: at, sum: c.sum})
	c.first, c.n, c.sum = at, 0, records.Sum{}
}

func (c *cutter) element(e records.Element) {
	if c.n == c.per {
		c.cut(between(c.last, e))
	}
	c.sum.Add(e)
	c.last = e
	c.n++
}

func (c *cutter) child(first string, s records.Sum) {
	if c.n == c.per {
		c.cut(first)
	}
	c.sum.AddSum(s)
	c.n++
}

func (c *cutter) finish() []node {
	c.cut("")
	return c.nodes
}

// between returns the shortest string that is above low and not above high.
func between(low, high records.Element) string {
	i := 0
	for i < len(low) && low[i] == high[i] {
		i++
	}
	return string(high[:i+1])
}

// merge joins a small node with a neighbour under the same parent if they fit.
func (t tree) merge(ctx context.Context, level int, n node, size int) (bool, error) {
	parent := node{}
	if level < topLevel {
		var err error
		if parent, err = t.node(ctx, level+1, n.first); err != nil {
			return false, err
		}
	}
	if n.next != "" && n.next < parent.end() {
		right, err := t.node(ctx, level, n.next)
		if err != nil {
			return false, err
		}
		if ok, err := t.join(ctx, level, n, right, size); ok || err != nil {
			return ok, err
		}
	}
	if n.first > parent.first {
		var before []byte
		if _, err := t.tx.Get(ctx, "SELECT max(first) FROM sums WHERE level = ? AND first < ?", []any{level, []byte(n.first)}, &before); err != nil {
			return false, err
		}
		left, err := t.node(ctx, level, string(before))
		if err != nil {
			return false, err
		}
		return t.join(ctx, level, left, n, size)
	}
	return false, nil
}

// join makes one node of two neighbours, one of which has the size.
func (t tree) join(ctx context.Context, level int, left, right node, size int) (bool, error) {
	both, err := t.size(ctx, level, node{first: left.first, next: right.next, sum: plus(left.sum, right.sum)})
	limit := fill(level)
	if size == 0 {
		limit = nodeLimit(level)
	}
	if err != nil || both > limit {
		return false, err
	}
	if err := t.putNode(ctx, level, left.first, plus(left.sum, right.sum)); err != nil {
		return false, err
	}
	_, err = t.tx.Exec(ctx, "DELETE FROM sums WHERE level = ? AND first = ?", level, []byte(right.first))
	return err == nil, err
}

func plus(a, b records.Sum) records.Sum {
	a.AddSum(b)
	return a
}
