package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/everythingstays/es/records"
)

// The set of elements (SPEC.md section 13.1) and a counted tree of their sums
// over it. A row of sums is a node: it stands for the elements from its first on,
// up to the first of the next node of its level. The nodes of level 0 are pages
// of elements; those of a higher level have nodes of the one below as children,
// and their firsts are firsts there too. Each level begins with the empty string.
const setSchema = `
CREATE TABLE elements (
	element BLOB PRIMARY KEY
) WITHOUT ROWID;

CREATE TABLE sums (
	level INTEGER NOT NULL,
	first BLOB NOT NULL,
	count INTEGER NOT NULL,
	sum   BLOB NOT NULL, -- of records.Sum
	PRIMARY KEY (level, first)
) WITHOUT ROWID;
`

const (
	maxPage  = 128 // elements of a page
	maxNode  = 64  // children of a node
	minFill  = 4   // a node that is less than a fourth full is merged if it can be
	topLevel = 2   // has any number of nodes: about one for 250,000 elements
)

// atEnd is above every element.
const atEnd = "\xff"

// nodeLimit returns how many elements or children a node of the level may have.
func nodeLimit(level int) int {
	if level == 0 {
		return maxPage
	}
	return maxNode
}

// fill is how full the nodes are that a split makes, and the most that a merge
// may fill one: neither leads to the other at once.
func fill(level int) int { return nodeLimit(level) * 3 / 4 }

// A sumScanner scans the sum column.
type sumScanner struct{ *records.Sum }

func (s sumScanner) Scan(v any) (err error) {
	b, ok := v.([]byte)
	if !ok {
		return fmt.Errorf("sum is a %T", v)
	}
	*s.Sum, err = records.ParseSum(b)
	return err
}

var errNoSums = errors.New("the sums of the elements are missing")

// A delta is by how much the sum changes at one place of the order.
type delta struct {
	at    string
	sum   records.Sum // modulo what a Sum holds, so it may be less than nothing
	count uint64      // what a node has afterwards
}

func negative(s records.Sum) records.Sum {
	var n records.Sum
	n.RemoveSum(s)
	return n
}

// flushSet writes the changes to the set that the batch has collected.
func (b *batch) flushSet(ctx context.Context) error {
	if len(b.set) == 0 {
		return nil
	}
	deltas, err := b.writeElements(ctx)
	if err != nil || len(deltas) == 0 {
		return err
	}
	var pages []delta
	for level := range topLevel + 1 {
		if deltas, err = b.raise(ctx, level, deltas); err != nil {
			return err
		}
		if level == 0 {
			pages = deltas
		}
	}
	return b.balance(ctx, pages)
}

// writeElements returns the changes that are changes, in order.
func (b *batch) writeElements(ctx context.Context) ([]delta, error) {
	var deltas []delta
	for _, e := range slices.Sorted(maps.Keys(b.set)) {
		var sum records.Sum
		sum.Add(e)
		query := "INSERT OR IGNORE INTO elements (element) VALUES (?)"
		if !b.set[e] {
			sum = negative(sum)
			query = "DELETE FROM elements WHERE element = ?"
		}
		res, err := b.exec(ctx, query, []byte(e))
		if err != nil {
			return nil, err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return nil, err
		}
		if n > 0 {
			deltas = append(deltas, delta{at: string(e), sum: sum})
		}
	}
	clear(b.set)
	return deltas, nil
}

// raise adds the deltas to the nodes of the level, and returns by how much each
// of these changed.
func (b *batch) raise(ctx context.Context, level int, deltas []delta) ([]delta, error) {
	var up []delta
	for len(deltas) > 0 {
		n, err := b.node(ctx, level, deltas[0].at)
		if err != nil {
			return nil, err
		}
		change := delta{at: n.first}
		for len(deltas) > 0 && (n.next == "" || deltas[0].at < n.next) {
			change.sum.AddSum(deltas[0].sum)
			deltas = deltas[1:]
		}
		n.sum.AddSum(change.sum)
		if err := b.putNode(ctx, level, n.first, n.sum); err != nil {
			return nil, err
		}
		change.count = n.sum.Count
		up = append(up, change)
	}
	return up, nil
}

// A node is a row of sums. Its next is the first of the next node of its level,
// or empty at the end.
type node struct {
	first, next string
	sum         records.Sum
}

// end returns what is above the node and below everything behind it.
func (n node) end() string {
	if n.next == "" {
		return atEnd
	}
	return n.next
}

// node returns the node that holds the place at.
func (q queries) node(ctx context.Context, level int, at string) (node, error) {
	var n node
	var first, next []byte
	ok, err := q.get(ctx, `SELECT first, sum, (SELECT min(first) FROM sums WHERE level = ?1 AND first > ?2)
		FROM sums WHERE level = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1`, []any{level, []byte(at)}, &first, sumScanner{&n.sum}, &next)
	if err != nil {
		return n, err
	}
	if !ok {
		return n, errNoSums
	}
	n.first, n.next = string(first), string(next)
	return n, nil
}

func (b *batch) putNode(ctx context.Context, level int, first string, sum records.Sum) error {
	_, err := b.exec(ctx, "INSERT OR REPLACE INTO sums (level, first, count, sum) VALUES (?, ?, ?, ?)",
		level, []byte(first), int64(sum.Count), sum.Bytes())
	return err
}

// balance splits and merges the touched pages that have become too large or too
// small, and then the parents of what was split and merged.
func (b *batch) balance(ctx context.Context, touched []delta) error {
	for level := range topLevel + 1 {
		var parents []delta
		for _, d := range touched {
			if level == 0 && d.count <= maxPage && d.count >= maxPage/minFill {
				continue
			}
			changed, err := b.balanceNode(ctx, level, d.at)
			if err != nil {
				return err
			}
			if !changed || level == topLevel {
				continue
			}
			p, err := b.node(ctx, level+1, d.at)
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
func (b *batch) balanceNode(ctx context.Context, level int, first string) (changed bool, err error) {
	for {
		n, err := b.node(ctx, level, first)
		if err != nil {
			return changed, err
		}
		size, err := b.size(ctx, level, n)
		if err != nil {
			return changed, err
		}
		if size > nodeLimit(level) {
			return true, b.split(ctx, level, n, size)
		}
		if size >= nodeLimit(level)/minFill {
			return changed, nil
		}
		merged, err := b.merge(ctx, level, n, size)
		if err != nil || !merged {
			return changed, err
		}
		changed = true
	}
}

// size returns how many elements or children a node has.
func (b *batch) size(ctx context.Context, level int, n node) (int, error) {
	if level == 0 {
		return int(n.sum.Count), nil
	}
	var size int
	_, err := b.get(ctx, "SELECT count(*) FROM sums WHERE level = ? AND first >= ? AND first < ?",
		[]any{level - 1, []byte(n.first), []byte(n.end())}, &size)
	return size, err
}

// split cuts a node into equal parts.
func (b *batch) split(ctx context.Context, level int, n node, size int) error {
	c := cutter{per: uint64((size + fill(level) - 1) / fill(level)), first: n.first}
	c.per = (uint64(size) + c.per - 1) / c.per
	var err error
	if level == 0 {
		err = b.eachElement(ctx, n.first, n.end(), func(e records.Element) error {
			c.element(e)
			return nil
		})
	} else {
		err = b.eachNode(ctx, level-1, n.first, n.end(), func(first string, s records.Sum) error {
			c.child(first, s)
			return nil
		})
	}
	if err != nil {
		return err
	}
	for _, part := range c.finish() {
		if err := b.putNode(ctx, level, part.first, part.sum); err != nil {
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
func (b *batch) merge(ctx context.Context, level int, n node, size int) (bool, error) {
	parent := node{}
	if level < topLevel {
		var err error
		if parent, err = b.node(ctx, level+1, n.first); err != nil {
			return false, err
		}
	}
	if n.next != "" && n.next < parent.end() {
		right, err := b.node(ctx, level, n.next)
		if err != nil {
			return false, err
		}
		if ok, err := b.join(ctx, level, n, right, size); ok || err != nil {
			return ok, err
		}
	}
	if n.first > parent.first {
		var before []byte
		if _, err := b.get(ctx, "SELECT max(first) FROM sums WHERE level = ? AND first < ?", []any{level, []byte(n.first)}, &before); err != nil {
			return false, err
		}
		left, err := b.node(ctx, level, string(before))
		if err != nil {
			return false, err
		}
		return b.join(ctx, level, left, n, size)
	}
	return false, nil
}

// join makes one node of two neighbours, one of which has the size.
func (b *batch) join(ctx context.Context, level int, left, right node, size int) (bool, error) {
	both, err := b.size(ctx, level, node{first: left.first, next: right.next, sum: plus(left.sum, right.sum)})
	limit := fill(level)
	if size == 0 {
		limit = nodeLimit(level)
	}
	if err != nil || both > limit {
		return false, err
	}
	if err := b.putNode(ctx, level, left.first, plus(left.sum, right.sum)); err != nil {
		return false, err
	}
	_, err = b.exec(ctx, "DELETE FROM sums WHERE level = ? AND first = ?", level, []byte(right.first))
	return err == nil, err
}

func plus(a, b records.Sum) records.Sum {
	a.AddSum(b)
	return a
}

// eachElement calls f for the elements from first on, up to end, in order.
func (q queries) eachElement(ctx context.Context, first, end string, f func(records.Element) error) error {
	var raw sql.RawBytes
	return q.each(ctx, "SELECT element FROM elements WHERE element >= ? AND element < ? ORDER BY element",
		[]any{[]byte(first), []byte(end)}, func(rows *sql.Rows) error {
			if err := rows.Scan(&raw); err != nil {
				return err
			}
			return f(records.Element(raw))
		})
}

// eachNode calls f for the nodes of a level from first on, up to end, in order.
func (q queries) eachNode(ctx context.Context, level int, first, end string, f func(string, records.Sum) error) error {
	var raw sql.RawBytes
	var sum records.Sum
	return q.each(ctx, "SELECT first, sum FROM sums WHERE level = ? AND first >= ? AND first < ? ORDER BY first",
		[]any{level, []byte(first), []byte(end)}, func(rows *sql.Rows) error {
			if err := rows.Scan(&raw, sumScanner{&sum}); err != nil {
				return err
			}
			return f(string(raw), sum)
		})
}

// recordElement is the element of a row of records.
const recordElement = "CAST(CASE length(author) WHEN 20 THEN x'04' ELSE x'06' END || author || x'01' || substr(id, -32) AS BLOB)"

// fillSet makes the set of the stored records and keys.
func (b *batch) fillSet(ctx context.Context) error {
	_, err := b.exec(ctx, "INSERT INTO elements (element) SELECT "+recordElement+" FROM records WHERE void = '' ORDER BY 1")
	if err != nil {
		return err
	}
	err = b.each(ctx, "SELECT fingerprint, block FROM keys", nil, func(rows *sql.Rows) error {
		var f fingerprint
		var block []byte
		if err := rows.Scan(&f, &block); err != nil {
			return err
		}
		_, err := b.exec(ctx, "INSERT INTO elements (element) VALUES (?)", []byte(records.KeyElement(f.Fingerprint, block)))
		return err
	})
	if err != nil {
		return err
	}
	return b.rebuildSums(ctx)
}

// rebuildSums makes the sums of the elements that are there.
func (b *batch) rebuildSums(ctx context.Context) error {
	if _, err := b.exec(ctx, "DELETE FROM sums"); err != nil {
		return err
	}
	c := cutter{per: uint64(fill(0))}
	err := b.eachElement(ctx, "", atEnd, func(e records.Element) error {
		c.element(e)
		return nil
	})
	if err != nil {
		return err
	}
	nodes := c.finish()
	for level := range topLevel + 1 {
		for _, n := range nodes {
			if err := b.putNode(ctx, level, n.first, n.sum); err != nil {
				return err
			}
		}
		c = cutter{per: uint64(fill(level + 1))}
		for _, n := range nodes {
			c.child(n.first, n.sum)
		}
		nodes = c.finish()
	}
	return nil
}
