package index

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/everythingstays/es/records"
)

// bounds returns r with an upper bound that is no exception, and whether r can
// hold any element.
func bounds(r records.Range) (from, to string, ok bool) {
	to = r.To
	if to == "" {
		to = atEnd
	}
	return r.From, to, r.From < to
}

// Sum returns the count and the sum of the elements in r. It costs about the
// logarithm of the number of elements.
func (x *Index) Sum(ctx context.Context, r records.Range) (sum records.Sum, err error) {
	err = x.snapshot(ctx, func(q queries) error {
		sum, err = q.sum(ctx, r)
		return err
	})
	if err != nil {
		return records.Sum{}, x.explain("sum elements", err)
	}
	return sum, nil
}

func (q queries) sum(ctx context.Context, r records.Range) (records.Sum, error) {
	from, to, ok := bounds(r)
	if !ok {
		return records.Sum{}, nil
	}
	low, err := q.page(ctx, from)
	if err != nil {
		return records.Sum{}, err
	}
	high, err := q.page(ctx, to)
	if err != nil {
		return records.Sum{}, err
	}
	if low == high {
		return q.count(ctx, from, to)
	}
	sum, err := q.below(ctx, to)
	if err != nil {
		return records.Sum{}, err
	}
	less, err := q.below(ctx, from)
	sum.RemoveSum(less)
	return sum, err
}

// page returns the first of the page that holds the place.
func (q queries) page(ctx context.Context, at string) (string, error) {
	var first []byte
	_, err := q.get(ctx, "SELECT max(first) FROM sums WHERE level = 0 AND first <= ?", []any{[]byte(at)}, &first)
	return string(first), err
}

// count adds up elements one by one.
func (q queries) count(ctx context.Context, from, to string) (records.Sum, error) {
	var sum records.Sum
	err := q.eachElement(ctx, from, to, func(e records.Element) error {
		sum.Add(e)
		return nil
	})
	return sum, err
}

// below returns the sum of the elements below a bound: on each level that of the
// nodes before the one that holds the bound.
func (q queries) below(ctx context.Context, bound string) (records.Sum, error) {
	var sum records.Sum
	if bound == "" {
		return sum, nil
	}
	first := ""
	for level := topLevel; level >= 0; level-- {
		var last records.Sum
		// No first is bound+"\x00", so this is up to bound and including it.
		err := q.eachNode(ctx, level, first, bound+"\x00", func(f string, s records.Sum) error {
			sum.AddSum(last)
			first, last = f, s
			return nil
		})
		if err != nil {
			return records.Sum{}, err
		}
	}
	rest, err := q.count(ctx, first, bound)
	sum.AddSum(rest)
	return sum, err
}

// Split cuts r into at most n consecutive ranges of about equal count, which
// together are r, with their sums. Their bounds are short: no more than tells
// neighbours apart.
func (x *Index) Split(ctx context.Context, r records.Range, n int) (parts []records.RangeSum, err error) {
	err = x.snapshot(ctx, func(q queries) error {
		sum, err := q.sum(ctx, r)
		if err != nil {
			return err
		}
		s := splitter{queries: q, whole: records.RangeSum{Range: r, Sum: sum}, from: r.From}
		if sum.Count > 1 && n > 1 {
			n := min(uint64(n), sum.Count)
			if sum.Count <= n*maxPage {
				err = s.byElements(ctx, n)
			} else {
				err = s.byPages(ctx, n)
			}
		}
		parts = s.finish()
		return err
	})
	if err != nil {
		return nil, x.explain("split elements", err)
	}
	return parts, nil
}

// A splitter cuts a range from its beginning.
type splitter struct {
	queries
	whole records.RangeSum
	from  string      // where the next part begins
	done  records.Sum // of the parts so far
	parts []records.RangeSum
}

// cut ends a part at a bound; sum is that of the range up to there.
func (s *splitter) cut(at string, sum records.Sum) {
	part := records.RangeSum{Range: records.Range{From: s.from, To: at}, Sum: sum}
	part.Sum.RemoveSum(s.done)
	s.parts = append(s.parts, part)
	s.from, s.done = at, sum
}

func (s *splitter) finish() []records.RangeSum {
	s.cut(s.whole.To, s.whole.Sum)
	return s.parts
}

// byElements cuts into n parts whose counts differ by one at most.
func (s *splitter) byElements(ctx context.Context, n uint64) error {
	var sum records.Sum
	var last records.Element
	from, to, _ := bounds(s.whole.Range)
	return s.eachElement(ctx, from, to, func(e records.Element) error {
		if i := uint64(len(s.parts)) + 1; i < n && sum.Count == i*s.whole.Sum.Count/n {
			s.cut(between(last, e), sum)
		}
		sum.Add(e)
		last = e
		return nil
	})
}

// byPages cuts between pages, as near to equal parts as that allows.
func (s *splitter) byPages(ctx context.Context, n uint64) error {
	before, err := s.below(ctx, s.whole.From)
	if err != nil {
		return err
	}
	_, end, _ := bounds(s.whole.Range)
	for i := uint64(1); i < n; i++ {
		at, sum, err := s.pageNear(ctx, before.Count+i*s.whole.Sum.Count/n)
		if err != nil {
			return err
		}
		if at <= s.from || at >= end {
			continue
		}
		sum.RemoveSum(before)
		s.cut(at, sum)
	}
	return nil
}

// pageNear returns the bound between two pages that is nearest to the element of
// the rank, and the sum of all that is below.
func (q queries) pageNear(ctx context.Context, rank uint64) (at string, sum records.Sum, err error) {
	for level := topLevel; level >= 0; level-- {
		next := false
		err := q.eachNode(ctx, level, at, atEnd, func(first string, s records.Sum) error {
			if next { // the page before was passed by
				at = first
				return errEnough
			}
			at = first
			if sum.Count+s.Count <= rank {
				sum.AddSum(s)
				return nil
			}
			if level > 0 || rank-sum.Count <= s.Count/2 {
				return errEnough
			}
			sum.AddSum(s)
			next = true
			return nil
		})
		if err != nil {
			return "", records.Sum{}, err
		}
	}
	return at, sum, nil
}

// Elements returns the first elements of r, in order, at most limit.
func (x *Index) Elements(ctx context.Context, r records.Range, limit int) ([]records.Element, error) {
	from, to, ok := bounds(r)
	if !ok || limit <= 0 {
		return nil, nil
	}
	var all []records.Element
	err := x.snapshot(ctx, func(q queries) error {
		return q.eachElement(ctx, from, to, func(e records.Element) error {
			all = append(all, e)
			if len(all) == limit {
				return errEnough
			}
			return nil
		})
	})
	if err != nil {
		return nil, x.explain("list elements", err)
	}
	return all, nil
}

// Items returns what the first elements of r stand for, in order: key blocks and
// envelopes. At least one, if there is any, and no more than have maxBytes
// together. What is left of r is returned too, the zero Range when nothing is.
func (x *Index) Items(ctx context.Context, r records.Range, maxBytes int) (items []records.Item, left records.Range, err error) {
	from, to, ok := bounds(r)
	if !ok {
		return nil, records.Range{}, nil
	}
	var element, content sql.RawBytes
	size := 0
	row := func(rows *sql.Rows) error {
		if err := rows.Scan(&element, &content); err != nil {
			return err
		}
		e, err := records.ParseElement(element)
		if err != nil {
			return fmt.Errorf("stored %w", err)
		}
		if content == nil {
			return fmt.Errorf("an element of key %s stands for nothing", e.Author())
		}
		if size += len(content); size > maxBytes && len(items) > 0 {
			left = records.Range{From: string(e), To: r.To}
			return errEnough
		}
		items = append(items, records.Item{Element: e, Bytes: []byte(string(content))})
		return nil
	}
	// 0x01711220 begins the id of every record.
	err = x.snapshot(ctx, func(q queries) error {
		return q.each(ctx, `SELECT element, CASE substr(element, -33, 1)
				WHEN x'01' THEN (SELECT envelope FROM records WHERE id = CAST(x'01711220' || substr(element, -32) AS BLOB))
				ELSE (SELECT block FROM keys WHERE fingerprint = substr(element, 2, length(element) - 34)) END
			FROM elements WHERE element >= ? AND element < ? ORDER BY element`, []any{[]byte(from), []byte(to)}, row)
	})
	if err != nil {
		return nil, records.Range{}, x.explain("read elements", err)
	}
	return items, left, nil
}

// Missing returns those of the elements that are worth fetching, in the same
// order: what is neither stored nor, as far as is known, part of what is. A
// stored record whose signature does not count is no element of the set; it is
// missing when one by another key of its author would.
func (x *Index) Missing(ctx context.Context, elements []records.Element) ([]records.Element, error) {
	var missing []records.Element
	err := x.snapshot(ctx, func(q queries) error {
		for _, e := range elements {
			known, err := x.knows(ctx, q, e)
			if err != nil {
				return err
			}
			if !known {
				missing = append(missing, e)
			}
		}
		return nil
	})
	if err != nil {
		return nil, x.explain("look for elements", err)
	}
	return missing, nil
}

func (x *Index) knows(ctx context.Context, q queries, e records.Element) (bool, error) {
	var one int
	switch {
	case e.Kind() == records.ElementRecord:
		return x.knowsRecord(ctx, q, e)
	case x.isMerged(e):
		// Somebody may have removed the key since.
		return q.get(ctx, "SELECT 1 FROM keys WHERE fingerprint = ?", []any{e.Author().Bytes()}, &one)
	}
	return q.get(ctx, "SELECT 1 FROM elements WHERE element = ?", []any{[]byte(e)}, &one)
}

func (x *Index) knowsRecord(ctx context.Context, q queries, e records.Element) (bool, error) {
	var void string
	var at int64
	known, err := q.get(ctx, "SELECT void, time FROM records WHERE id = ?", []any{e.Record().Bytes()}, &void, &at)
	if err != nil || !known || void == "" {
		return known, err
	}
	var block []byte
	if known, err = q.get(ctx, "SELECT block FROM keys WHERE fingerprint = ?", []any{e.Author().Bytes()}, &block); err != nil || !known {
		return false, err
	}
	key, err := x.parseKey(e.Author(), block)
	if err != nil {
		return false, err
	}
	return !key.CanSign(unix(at)), nil
}
