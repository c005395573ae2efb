package authorlog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

// ends are when the keys of one author ended, by what is known of them now.
type ends struct {
	author records.Fingerprint
	at     map[records.Fingerprint]time.Time
	alike  bool // all at one time, so that it does not matter which of them signed
}

func (l *Logs) ends(ctx context.Context, author records.Fingerprint) (ends, error) {
	key, err := l.index.Key(ctx, author)
	if err != nil || key == nil {
		return ends{author: author, alike: true}, err
	}
	e := ends{author, key.Ends(), true}
	for _, at := range e.at {
		e.alike = e.alike && at.Equal(e.at[author])
	}
	return e, nil
}

// ended returns when the key that signed the record ended, or zero.
func (l *Logs) ended(ctx context.Context, e ends, record cid.Cid) (time.Time, error) {
	if e.alike {
		return e.at[e.author], nil
	}
	envelope, _, err := l.index.Envelope(ctx, record)
	if errors.As(err, new(*index.NotFoundError)) {
		return time.Time{}, nil // another process has removed it since
	}
	if err != nil {
		return time.Time{}, err
	}
	signer, _, err := sign.SignedBy(envelope)
	if err != nil {
		return time.Time{}, fmt.Errorf("stored record %s: %w", record, err)
	}
	return e.at[signer], nil
}

// A stored record with what tells whether it is backdated.
type recordTimes struct {
	num          int64
	id           db.CID
	seq          int64
	signed, seen int64 // Unix seconds, and milliseconds
}

// recordTimes returns records of the author, in order, as the end of a query says.
func (l *Logs) recordTimes(ctx context.Context, author records.Fingerprint, end string, args ...any) ([]recordTimes, error) {
	return list(ctx, l, "find records of an author", "SELECT num, id, seq, signed, first_seen FROM records WHERE author = ?1 AND invalid = '' "+end,
		append([]any{author.Bytes()}, args...), func(rows *sql.Rows) (r recordTimes, err error) {
			return r, rows.Scan(&r.num, &r.id, &r.seq, &r.signed, &r.seen)
		})
}

// isBackdated reports whether the record is backdated by itself ([T40]), whatever follows it.
func (l *Logs) isBackdated(ctx context.Context, e ends, s recordTimes) (bool, error) {
	possible := false // when no key ended in between, it does not matter which it was
	for _, at := range e.at {
		possible = possible || at.Unix() > s.signed && trust.IsBackdated(at, time.UnixMilli(s.seen))
	}
	if !possible {
		return false, nil
	}
	end, err := l.ended(ctx, e, s.id.Cid)
	return trust.IsBackdated(end, time.UnixMilli(s.seen)), err
}

// followed returns the records, by CID, that one of the author's which is not backdated
// follows in the author's log: it names them, or names what follows them.
func (l *Logs) followed(ctx context.Context, e ends) (map[string]bool, error) {
	notBackdated, err := l.notBackdated(ctx, e)
	if err != nil {
		return nil, err
	}
	nums, err := json.Marshal(notBackdated)
	if err != nil {
		return nil, err
	}
	all, err := list(ctx, l, "find what follows", `WITH RECURSIVE before(id) AS (
			SELECT prev.id FROM json_each(?1) JOIN prev ON prev.record = value
			UNION SELECT prev.id FROM before JOIN records ON records.id = before.id JOIN prev ON prev.record = num WHERE author = ?2)
		SELECT id FROM before`, []any{string(nums), e.author.Bytes()}, func(rows *sql.Rows) (cid.Cid, error) {
		var id db.CID
		err := rows.Scan(&id)
		return id.Cid, err
	})
	ids := map[string]bool{}
	for _, id := range all {
		ids[id.KeyString()] = true
	}
	return ids, err
}

// notBackdated returns the author's records that count and are not backdated, by number.
func (l *Logs) notBackdated(ctx context.Context, e ends) ([]int64, error) {
	all, err := l.recordTimes(ctx, e.author, "")
	if err != nil {
		return nil, err
	}
	nums := []int64{}
	for _, s := range all {
		backdated, err := l.isBackdated(ctx, e, s)
		if err != nil {
			return nil, err
		}
		if !backdated {
			nums = append(nums, s.num)
		}
	}
	return nums, nil
}

// excludeBackdated returns the heads that the author's next record may name: who names a
// record vouches for its date ([T40]). When all are backdated, as in an index that has
// just been filled from others, they are all that is known of the log.
func (l *Logs) excludeBackdated(ctx context.Context, author records.Fingerprint, heads []recordTimes) ([]recordTimes, error) {
	e, err := l.ends(ctx, author)
	if err != nil || len(e.at) == 0 {
		return heads, err
	}
	var good []recordTimes
	for _, h := range heads {
		backdated, err := l.isBackdated(ctx, e, h)
		if err != nil {
			return nil, err
		}
		if !backdated {
			good = append(good, h)
		}
	}
	if len(good) == 0 {
		return heads, nil
	}
	return good, nil
}

// Backdating finds out which records are backdated and not followed by others of their
// author's log, an author at a time.
type Backdating struct {
	logs     *Logs
	ends     map[records.Fingerprint]ends
	followed map[records.Fingerprint]map[string]bool
}

// Backdating returns one that knows nothing yet; it serves one question.
func (l *Logs) Backdating() *Backdating {
	return &Backdating{l, map[records.Fingerprint]ends{}, map[records.Fingerprint]map[string]bool{}}
}

// Of returns when the key ended that signed the author's record, if it did; and
// whether the record came so long after that it may have been dated back ([T110]).
func (b *Backdating) Of(ctx context.Context, author records.Fingerprint, record cid.Cid, seen time.Time) (ended time.Time, followed bool, err error) {
	e, known := b.ends[author]
	if !known {
		if e, err = b.logs.ends(ctx, author); err != nil {
			return time.Time{}, false, err
		}
		b.ends[author] = e
	}
	if ended, err = b.logs.ended(ctx, e, record); err != nil || !trust.IsBackdated(ended, seen) {
		return ended, false, err
	}
	if b.followed[author] == nil {
		if b.followed[author], err = b.logs.followed(ctx, e); err != nil {
			return time.Time{}, false, err
		}
	}
	return ended, b.followed[author][record.KeyString()], nil
}

// Is reports whether a statement is backdated.
func (b *Backdating) Is(ctx context.Context, m index.Meta) (bool, error) {
	ended, followed, err := b.Of(ctx, m.Author, m.ID, m.FirstSeen)
	return !followed && trust.IsBackdated(ended, m.FirstSeen), err
}
