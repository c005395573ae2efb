package rangeset

import (
	"context"
	"errors"
	"fmt"

	"github.com/everythingstays/es/records"
)

// errSet says that the set does not agree with the records and keys.
var errSet = errors.New("the set of elements is damaged")

// Check compares the sums with the elements.
func Check(ctx context.Context, tx Tx) error {
	t := tree{tx}
	for level := range topLevel + 1 {
		var nodes []node
		err := t.eachNode(ctx, level, "", atEnd, func(first string, s records.Sum) error {
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
			sum, err := t.children(ctx, level, n)
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
func (t tree) count(ctx context.Context, from, to string) (records.Sum, error) {
	var sum records.Sum
	err := t.eachElement(ctx, from, to, func(e records.Element) error {
		sum.Add(e)
		return nil
	})
	return sum, err
}

func (t tree) children(ctx context.Context, level int, n node) (records.Sum, error) {
	if level == 0 {
		return t.count(ctx, n.first, n.end())
	}
	var sum records.Sum
	begins := false
	err := t.eachNode(ctx, level-1, n.first, n.end(), func(first string, s records.Sum) error {
		begins = begins || first == n.first
		sum.AddSum(s)
		return nil
	})
	if err == nil && !begins {
		err = fmt.Errorf("%w: a node of level %d begins between its children", errSet, level)
	}
	return sum, err
}

// Compare compares the elements with what they must be: those that query returns, and
// keys.
func Compare(ctx context.Context, tx Tx, query string, keys []records.Element) error {
	var want, have, lost int64
	_, err := tx.Get(ctx, `WITH want(element) AS (`+query+`) SELECT (SELECT count(*) FROM want), (SELECT count(*) FROM elements),
		(SELECT count(*) FROM want WHERE NOT EXISTS (SELECT 1 FROM elements WHERE elements.element = want.element))`, nil, &want, &have, &lost)
	if err != nil {
		return err
	}
	if want += int64(len(keys)); want != have {
		return fmt.Errorf("%w: it has %d elements and must have %d", errSet, have, want)
	}
	for _, e := range keys {
		has, err := Has(ctx, tx, e)
		if err != nil {
			return err
		}
		if !has {
			lost++
		}
	}
	if lost > 0 {
		return fmt.Errorf("%w: it lacks %d elements", errSet, lost)
	}
	return nil
}
