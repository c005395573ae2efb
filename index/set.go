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

// Sum is SetView.Sum of the set as it is now.
func (x *Index) Sum(ctx context.Context, r records.Range) (sum records.Sum, err error) {
	err = x.ReadSet(ctx, func(v *SetView) error {
		sum, err = v.Sum(ctx, r)
		return err
	})
	return sum, err
}

// Split is SetView.Split of the set as it is now.
func (x *Index) Split(ctx context.Context, r records.Range, n int) (parts []records.RangeSum, err error) {
	err = x.ReadSet(ctx, func(v *SetView) error {
		parts, err = v.Split(ctx, r, n)
		return err
	})
	return parts, err
}

// Elements is SetView.Elements of the set as it is now.
func (x *Index) Elements(ctx context.Context, r records.Range, limit int) (all []records.Element, err error) {
	err = x.ReadSet(ctx, func(v *SetView) error {
		all, err = v.Elements(ctx, r, limit)
		return err
	})
	return all, err
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
