package index

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/index/rangeset"
	"github.com/everythingstays/es/records"
)

// ReadSet calls f with the set of elements (SPEC.md section 13.1) as it is now.
func (x *Index) ReadSet(ctx context.Context, f func(*rangeset.View) error) error {
	err := x.file.View(ctx, func(q *db.Tx) error { return f(rangeset.NewView(q, x.views)) })
	if err != nil {
		return x.explain("read the set", err)
	}
	return nil
}

// Sum is rangeset.View.Sum of the set as it is now.
func (x *Index) Sum(ctx context.Context, r records.Range) (sum records.Sum, err error) {
	err = x.ReadSet(ctx, func(v *rangeset.View) error {
		sum, err = v.Sum(ctx, r)
		return err
	})
	return sum, err
}

// Split is rangeset.View.Split of the set as it is now.
func (x *Index) Split(ctx context.Context, r records.Range, n int) (parts []records.RangeSum, err error) {
	err = x.ReadSet(ctx, func(v *rangeset.View) error {
		parts, err = v.Split(ctx, r, n)
		return err
	})
	return parts, err
}

// Elements is rangeset.View.Elements of the set as it is now.
func (x *Index) Elements(ctx context.Context, r records.Range, limit int) (all []records.Element, err error) {
	err = x.ReadSet(ctx, func(v *rangeset.View) error {
		all, err = v.Elements(ctx, r, limit)
		return err
	})
	return all, err
}

// Items returns what the first elements of r stand for, in order: key blocks and
// envelopes. At least one, if there is any, and no more than have maxBytes
// together. What is left of r is returned too, the zero Range when nothing is.
func (x *Index) Items(ctx context.Context, r records.Range, maxBytes int) (items []records.Item, left records.Range, err error) {
	size := 0
	err = x.file.View(ctx, func(q *db.Tx) error {
		return rangeset.Each(ctx, q, r, func(raw records.Element) error {
			e, err := records.ParseElement([]byte(raw))
			if err != nil {
				return fmt.Errorf("stored %w", err)
			}
			content, err := elementContent(ctx, q, e)
			if err != nil {
				return err
			}
			if size += len(content); size > maxBytes && len(items) > 0 {
				left = records.Range{From: string(e), To: r.To}
				return db.ErrStop
			}
			items = append(items, records.Item{Element: e, Bytes: content})
			return nil
		})
	})
	if err != nil {
		return nil, records.Range{}, x.explain("read elements", err)
	}
	return items, left, nil
}

// elementContent returns the envelope or the key block that the element stands for.
func elementContent(ctx context.Context, q *db.Tx, e records.Element) (content []byte, err error) {
	query, arg := "SELECT block FROM keys WHERE fingerprint = ?", e.Author().Bytes()
	if e.Kind() == records.ElementRecord {
		query, arg = "SELECT envelope FROM records WHERE id = ?", e.Record().Bytes()
	}
	found, err := q.Get(ctx, query, []any{arg}, &content)
	if err == nil && !found {
		err = fmt.Errorf("an element of key %s stands for nothing", e.Author())
	}
	return content, err
}

// recordElements selects the elements of the records that count.
const recordElements = `SELECT CAST(CASE length(author) WHEN 20 THEN x'04' ELSE x'06' END || author || x'01' || substr(id, -32) AS BLOB)
	FROM records WHERE invalid = '' ORDER BY 1`

// keyElements returns the elements of the stored key blocks.
func keyElements(ctx context.Context, q *db.Tx) (all []records.Element, err error) {
	err = q.Each(ctx, "SELECT fingerprint, block FROM keys", nil, func(rows *sql.Rows) error {
		var f db.Fingerprint
		var block []byte
		if err := rows.Scan(&f, &block); err != nil {
			return err
		}
		all = append(all, records.KeyElement(f.Fingerprint, block))
		return nil
	})
	return all, err
}

// fillSet makes the set anew of the stored records and keys.
func (b *batch) fillSet(ctx context.Context) error {
	keys, err := keyElements(ctx, b.Tx)
	if err != nil {
		return err
	}
	return rangeset.Refill(ctx, b, recordElements, keys)
}

// CheckSet compares the set with the stored records and keys.
func CheckSet(ctx context.Context, q *db.Tx) error {
	if err := rangeset.Check(ctx, q); err != nil {
		return err
	}
	keys, err := keyElements(ctx, q)
	if err != nil {
		return err
	}
	return rangeset.Compare(ctx, q, recordElements, keys)
}

// Missing returns those of the elements that are worth fetching, in the same
// order: what is neither stored nor, as far as is known, part of what is. A
// stored record whose signature does not count is no element of the set; it is
// missing when one by another key of its author would.
func (x *Index) Missing(ctx context.Context, elements []records.Element) ([]records.Element, error) {
	var missing []records.Element
	err := x.file.View(ctx, func(q *db.Tx) error {
		for _, e := range elements {
			known, err := x.isStored(ctx, q, e)
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

func (x *Index) isStored(ctx context.Context, q *db.Tx, e records.Element) (bool, error) {
	var one int
	switch {
	case e.Kind() == records.ElementRecord:
		return x.isRecordStored(ctx, q, e)
	case x.isMerged(e):
		// Somebody may have removed the key since.
		return q.Get(ctx, "SELECT 1 FROM keys WHERE fingerprint = ?", []any{e.Author().Bytes()}, &one)
	}
	return rangeset.Has(ctx, q, e)
}

func (x *Index) isRecordStored(ctx context.Context, q *db.Tx, e records.Element) (bool, error) {
	var invalid string
	var at int64
	known, err := q.Get(ctx, "SELECT invalid, time FROM records WHERE id = ?", []any{e.Record().Bytes()}, &invalid, &at)
	if err != nil || !known || invalid == "" {
		return known, err
	}
	var block []byte
	if known, err = q.Get(ctx, "SELECT block FROM keys WHERE fingerprint = ?", []any{e.Author().Bytes()}, &block); err != nil || !known {
		return false, err
	}
	key, err := x.parseKey(e.Author(), block)
	if err != nil {
		return false, err
	}
	return !key.CanSign(unix(at)), nil
}
