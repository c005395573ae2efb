package fsck

import (
	"context"
	"fmt"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/internal/db"
)

// Check reads the whole file and reports damage to it and to the set of elements. It
// opens no record: Verify does.
func Check(ctx context.Context, x *index.Index) error {
	var verdict string
	err := x.View(ctx, "check index", func(q *db.Tx) error {
		if _, err := q.Get(ctx, "PRAGMA integrity_check(1)", nil, &verdict); err != nil || verdict != "ok" {
			return err
		}
		return checkDerived(ctx, q)
	})
	if err == nil && verdict != "ok" {
		err = fmt.Errorf("check index: %s is damaged: %s", x.Path(), index.Printable(verdict))
	}
	return err
}

// checkDerived compares the set and what is counted of strangers with what is there.
func checkDerived(ctx context.Context, q *db.Tx) error {
	if err := index.CheckSet(ctx, q); err != nil {
		return err
	}
	return checkStrangers(ctx, q)
}

// checkStrangers compares what is counted of strangers with what is there.
func checkStrangers(ctx context.Context, q *db.Tx) error {
	var n, bytes, wantN, wantBytes int64
	_, err := q.Get(ctx, `SELECT records, bytes, (SELECT count(*) FROM strangers),
		(SELECT coalesce(sum(size), 0) FROM strangers) + (SELECT coalesce(sum(charged), 0) FROM keys) FROM strangers_total`,
		nil, &n, &bytes, &wantN, &wantBytes)
	if err == nil && (n != wantN || bytes != wantBytes) {
		err = fmt.Errorf("strangers have %d records and %d bytes, and %d and %d are counted", wantN, wantBytes, n, bytes)
	}
	return err
}
