package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/everythingstays/es/records"
)

// errSet says that the set does not agree with the records and keys.
var errSet = errors.New("the set of elements is damaged")

// checkSet compares elements, sums, records and keys.
func (q queries) checkSet(ctx context.Context) error {
	if err := q.checkSums(ctx); err != nil {
		return err
	}
	if err := q.checkElements(ctx); err != nil {
		return err
	}
	return q.checkStrangers(ctx)
}

// checkStrangers compares what is counted of strangers with what is there.
func (q queries) checkStrangers(ctx context.Context) error {
	var n, bytes, wantN, wantBytes int64
	_, err := q.get(ctx, `SELECT records, bytes, (SELECT count(*) FROM strangers),
		(SELECT coalesce(sum(size), 0) FROM strangers) + (SELECT coalesce(sum(charged), 0) FROM keys) FROM strangers_total`,
		nil, &n, &bytes, &wantN, &wantBytes)
	if err == nil && (n != wantN || bytes != wantBytes) {
		err = fmt.Errorf("strangers have %d records and %d bytes, and %d and %d are counted", wantN, wantBytes, n, bytes)
	}
	return err
}

func (q queries) checkSums(ctx context.Context) error {
	for level := range topLevel + 1 {
		var nodes []node
		err := q.eachNode(ctx, level, "", atEnd, func(first string, s records.Sum) error {
			if n := len(nodes); n > 0 {
				nodes[n-1].next = first
			}
			nodes = append(nodes, node{first: first, sum: s})
			return nil
		})
		if err != nil {
			return err
		}
		if len(nodes) == 0 || nodes[0].first != "" {
			return fmt.Errorf("%w: level %d of the sums has no beginning", errSet, level)
		}
		for _, n := range nodes {
			sum, err := q.children(ctx, level, n)
			if err != nil {
				return err
			}
			if sum != n.sum {
				return fmt.Errorf("%w: a sum of level %d is wrong", errSet, level)
			}
		}
	}
	return nil
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

func (q queries) children(ctx context.Context, level int, n node) (records.Sum, error) {
	if level == 0 {
		return q.count(ctx, n.first, n.end())
	}
	var sum records.Sum
	begins := false
	err := q.eachNode(ctx, level-1, n.first, n.end(), func(first string, s records.Sum) error {
		begins = begins || first == n.first
		sum.AddSum(s)
		return nil
	})
	if err == nil && !begins {
		err = fmt.Errorf("%w: a node of level %d begins between its children", errSet, level)
	}
	return sum, err
}

func (q queries) checkElements(ctx context.Context) error {
	var want, have int64
	_, err := q.get(ctx, `SELECT (SELECT count(*) FROM records WHERE void = '') + (SELECT count(*) FROM keys),
			(SELECT count(*) FROM elements)`, nil, &want, &have)
	if err != nil {
		return err
	}
	if want != have {
		return fmt.Errorf("%w: it has %d elements and must have %d", errSet, have, want)
	}
	var lost int64
	if _, err := q.get(ctx, `SELECT count(*) FROM records WHERE void = '' AND NOT EXISTS (
			SELECT 1 FROM elements WHERE element = `+recordElement+`)`, nil, &lost); err != nil {
		return err
	}
	err = q.each(ctx, "SELECT fingerprint, block FROM keys", nil, func(rows *sql.Rows) error {
		var f fingerprint
		var block []byte
		if err := rows.Scan(&f, &block); err != nil {
			return err
		}
		var one int
		ok, err := q.get(ctx, "SELECT 1 FROM elements WHERE element = ?", []any{[]byte(records.KeyElement(f.Fingerprint, block))}, &one)
		if !ok {
			lost++
		}
		return err
	})
	if err == nil && lost > 0 {
		err = fmt.Errorf("%w: it lacks %d elements", errSet, lost)
	}
	return err
}
