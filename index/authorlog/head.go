package authorlog

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/records"
)

// An ExhaustedError says that an author's records have reached the greatest seq, which
// takes somebody who means it: the key can only name a successor any more.
type ExhaustedError struct{ Author records.Fingerprint }

func (e *ExhaustedError) Error() string {
	return fmt.Sprintf("find head: key %s has used up its record numbers; rotate to a new key", e.Author)
}

// Head returns seq and prev for the author's next record: prev names the records
// that no other record of the author names, at most records.MaxPrev, sorted; invalid
// records take no part, and backdated ones only where there are no others. When there
// are more, those with the highest seq are named, and the next record names the
// rest. It is an *ExhaustedError when the author's seq cannot rise any more.
func (l *Logs) Head(ctx context.Context, author records.Fingerprint) (seq int64, prev []cid.Cid, err error) {
	heads, err := l.recordTimes(ctx, author, "AND referenced = 0 ORDER BY seq DESC, id")
	if err != nil {
		return 0, nil, err
	}
	if heads, err = l.excludeBackdated(ctx, author, heads); err != nil {
		return 0, nil, err
	}
	seq, prev = nextPosition(heads)
	if seq > maxSeq {
		return 0, nil, &ExhaustedError{Author: author}
	}
	return seq, prev, nil
}

// nextPosition is the place in the log after the first of the heads.
func nextPosition(heads []recordTimes) (seq int64, prev []cid.Cid) {
	for _, h := range heads[:min(len(heads), records.MaxPrev)] {
		prev = append(prev, h.id.Cid)
		seq = max(seq, h.seq+1)
	}
	slices.SortFunc(prev, func(a, b cid.Cid) int { return bytes.Compare(a.Bytes(), b.Bytes()) })
	return seq, prev
}

// maxSeq is the greatest seq of a record (SPEC.md [R16]).
const maxSeq = 1<<53 - 1

// HeadBefore returns seq and prev for the record with which the author of a log that
// is at its end, by a thief's doing, names a successor: as Head would if there were no
// records with the greatest seq.
func (l *Logs) HeadBefore(ctx context.Context, author records.Fingerprint) (seq int64, prev []cid.Cid, err error) {
	heads, err := l.recordTimes(ctx, author, `AND seq < ?2 AND NOT EXISTS (
		SELECT 1 FROM prev JOIN records AS later ON later.num = prev.record
		WHERE prev.id = records.id AND later.author = ?1 AND later.invalid = '' AND later.seq < ?2) ORDER BY seq DESC, id`, int64(maxSeq))
	if err != nil {
		return 0, nil, err
	}
	if heads, err = l.excludeBackdated(ctx, author, heads); err != nil {
		return 0, nil, err
	}
	seq, prev = nextPosition(heads)
	return seq, prev, nil
}

// Gaps returns ids that records of the author name in prev and that are not
// stored: what somebody withholds or has not sent yet. Sorted, at most limit.
func (l *Logs) Gaps(ctx context.Context, author records.Fingerprint, limit int) ([]cid.Cid, error) {
	return list(ctx, l, "find missing records", `SELECT DISTINCT prev.id FROM records JOIN prev ON prev.record = num
		WHERE author = ? AND NOT EXISTS (SELECT 1 FROM records AS had WHERE had.id = prev.id) ORDER BY prev.id LIMIT ?`,
		[]any{author.Bytes(), limit}, func(rows *sql.Rows) (cid.Cid, error) {
			var id db.CID
			err := rows.Scan(&id)
			return id.Cid, err
		})
}

// Incomplete returns how many records are not stored that records of the author
// name in prev: what somebody withholds or has not sent yet, or was removed as a
// stranger's. Invalid records are not asked. Gaps tells which.
func (l *Logs) Incomplete(ctx context.Context, author records.Fingerprint) (missing int, err error) {
	err = l.index.View(ctx, "count missing records", func(q *db.Tx) error {
		_, err := q.Get(ctx, `SELECT count(DISTINCT prev.id) FROM records JOIN prev ON prev.record = num
			WHERE author = ? AND invalid = '' AND NOT EXISTS (SELECT 1 FROM records AS had WHERE had.id = prev.id)`, []any{author.Bytes()}, &missing)
		return err
	})
	return missing, err
}
