package rangeset

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/everythingstays/es/records"
)

// Schema makes the tables of the set of elements (SPEC.md section 13.1) and of a counted tree of their sums
// over it. A row of sums is a node: it stands for the elements from its first on,
// up to the first of the next node of its level. The nodes of level 0 are pages
// of elements; those of a higher level have nodes of the one below as children,
// and their firsts are firsts there too. Each level begins with the empty string.
const Schema = `
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

// A Tx is a transaction of the database that holds the set.
type Tx interface {
	Exec(ctx context.Context, query string, args ...any) (sql.Result, error)
	// Get scans the first row into to, and reports whether there was one.
	Get(ctx context.Context, query string, args []any, to ...any) (bool, error)
	// Each calls row for every row until it fails.
	Each(ctx context.Context, query string, args []any, row func(*sql.Rows) error) error
}

// tree is the set in a transaction.
type tree struct{ tx Tx }

// Update puts elements into the set (true) and takes others out (false).
func Update(ctx context.Context, tx Tx, changes map[records.Element]bool) error {
	if len(changes) == 0 {
		return nil
	}
	t := tree{tx}
	deltas, err := t.writeElements(ctx, changes)
	if err != nil || len(deltas) == 0 {
		return err
	}
	var pages []delta
	for level := range topLevel + 1 {
		if deltas, err = t.raise(ctx, level, deltas); err != nil {
			return err
		}
		if level == 0 {
			pages = deltas
		}
	}
	return t.balance(ctx, pages)
}

// writeElements returns the changes that are changes, in order.
func (t tree) writeElements(ctx context.Context, changes map[records.Element]bool) ([]delta, error) {
	var deltas []delta
	for _, e := range slices.Sorted(maps.Keys(changes)) {
		var sum records.Sum
		sum.Add(e)
		query := "INSERT OR IGNORE INTO elements (element) VALUES (?)"
		if !changes[e] {
			sum = negative(sum)
			query = "DELETE FROM elements WHERE element = ?"
		}
		res, err := t.tx.Exec(ctx, query, []byte(e))
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
	return deltas, nil
}

// raise adds the deltas to the nodes of the level, and returns by how much each
// of these changed.
func (t tree) raise(ctx context.Context, level int, deltas []delta) ([]delta, error) {
	var up []delta
	for len(deltas) > 0 {
		n, err := t.node(ctx, level, deltas[0].at)
		if err != nil {
			return nil, err
		}
		change := delta{at: n.first}
		for len(deltas) > 0 && (n.next == "" || deltas[0].at < n.next) {
			change.sum.AddSum(deltas[0].sum)
			deltas = deltas[1:]
		}
		n.sum.AddSum(change.sum)
		if err := t.putNode(ctx, level, n.first, n.sum); err != nil {
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
func (t tree) node(ctx context.Context, level int, at string) (node, error) {
	var n node
	var first, next []byte
	ok, err := t.tx.Get(ctx, `SELECT first, sum, (SELECT min(first) FROM sums WHERE level = ?1 AND first > ?2)
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

func (t tree) putNode(ctx context.Context, level int, first string, sum records.Sum) error {
	_, err := t.tx.Exec(ctx, "INSERT OR REPLACE INTO sums (level, first, count, sum) VALUES (?, ?, ?, ?)",
		level, []byte(first), int64(sum.Count), sum.Bytes())
	return err
}

// eachElement calls f for the elements from first on, up to end, in order.
func (t tree) eachElement(ctx context.Context, first, end string, f func(records.Element) error) error {
	var raw sql.RawBytes
	return t.tx.Each(ctx, "SELECT element FROM elements WHERE element >= ? AND element < ? ORDER BY element",
		[]any{[]byte(first), []byte(end)}, func(rows *sql.Rows) error {
			if err := rows.Scan(&raw); err != nil {
				return err
			}
			return f(records.Element(raw))
		})
}

// eachNode calls f for the nodes of a level from first on, up to end, in order.
func (t tree) eachNode(ctx context.Context, level int, first, end string, f func(string, records.Sum) error) error {
	var raw sql.RawBytes
	var sum records.Sum
	return t.tx.Each(ctx, "SELECT first, sum FROM sums WHERE level = ? AND first >= ? AND first < ? ORDER BY first",
		[]any{level, []byte(first), []byte(end)}, func(rows *sql.Rows) error {
			if err := rows.Scan(&raw, sumScanner{&sum}); err != nil {
				return err
			}
			return f(string(raw), sum)
		})
}

// Refill makes the set anew of the elements that query returns, and of keys.
func Refill(ctx context.Context, tx Tx, query string, keys []records.Element) error {
	if _, err := tx.Exec(ctx, "DELETE FROM elements"); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "INSERT INTO elements (element) "+query); err != nil {
		return err
	}
	for _, e := range keys {
		if _, err := tx.Exec(ctx, "INSERT INTO elements (element) VALUES (?)", []byte(e)); err != nil {
			return err
		}
	}
	return Rebuild(ctx, tx)
}

// Rebuild makes the sums of the elements that are there.
func Rebuild(ctx context.Context, tx Tx) error {
	t := tree{tx}
	if _, err := tx.Exec(ctx, "DELETE FROM sums"); err != nil {
		return err
	}
	c := cutter{per: uint64(fill(0))}
	err := t.eachElement(ctx, "", atEnd, func(e records.Element) error {
		c.element(e)
		return nil
	})
	if err != nil {
		return err
	}
	nodes := c.finish()
	for level := range topLevel + 1 {
		for _, n := range nodes {
			if err := t.putNode(ctx, level, n.first, n.sum); err != nil {
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

// Has reports whether the set has the element.
func Has(ctx context.Context, tx Tx, e records.Element) (bool, error) {
	return tx.Get(ctx, "SELECT 1 FROM elements WHERE element = ?", []any{[]byte(e)}, new(int))
}

// Each calls f for the elements of r, in order, until it fails.
func Each(ctx context.Context, tx Tx, r records.Range, f func(records.Element) error) error {
	from, to, ok := bounds(r)
	if !ok {
		return nil
	}
	return tree{tx}.eachElement(ctx, from, to, f)
}
