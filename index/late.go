package index

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"

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

func (x *Index) ends(ctx context.Context, author records.Fingerprint) (ends, error) {
	key, err := x.Key(ctx, author)
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
func (x *Index) ended(ctx context.Context, e ends, record cid.Cid) (time.Time, error) {
	if e.alike {
		return e.at[e.author], nil
	}
	var envelope []byte
	if err := x.file.Readers.QueryRowContext(ctx, "SELECT envelope FROM records WHERE id = ?", record.Bytes()).Scan(&envelope); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return time.Time{}, nil // another process has removed it since
		}
		return time.Time{}, x.explain("find signer", err)
	}
	signer, _, err := sign.SignedBy(envelope)
	if err != nil {
		return time.Time{}, fmt.Errorf("stored record %s: %w", record, err)
	}
	return e.at[signer], nil
}

// A stored record with what tells whether it is late.
type stamped struct {
	num          int64
	id           db.CID
	seq          int64
	signed, seen int64 // Unix seconds, and milliseconds
}

// stamped returns records of the author, in order, as the end of a query says.
func (x *Index) stamped(ctx context.Context, author records.Fingerprint, end string, args ...any) ([]stamped, error) {
	rows, err := x.file.Readers.QueryContext(ctx, "SELECT num, id, seq, signed, first_seen FROM records WHERE author = ?1 AND invalid = '' "+end,
		append([]any{author.Bytes()}, args...)...)
	if err != nil {
		return nil, x.explain("find records of an author", err)
	}
	defer rows.Close()
	var all []stamped
	for rows.Next() {
		var s stamped
		if err := rows.Scan(&s.num, &s.id, &s.seq, &s.signed, &s.seen); err != nil {
			return nil, x.explain("find records of an author", err)
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		return nil, x.explain("find records of an author", err)
	}
	return all, nil
}

// late reports whether the record is late by itself ([T40]), whatever follows it.
func (x *Index) late(ctx context.Context, e ends, s stamped) (bool, error) {
	possible := false // when no key ended in between, it does not matter which it was
	for _, at := range e.at {
		possible = possible || at.Unix() > s.signed && trust.IsBackdated(at, time.UnixMilli(s.seen))
	}
	if !possible {
		return false, nil
	}
	end, err := x.ended(ctx, e, s.id.Cid)
	return trust.IsBackdated(end, time.UnixMilli(s.seen)), err
}

// followed returns the records, by CID, that one of the author's which is not late
// follows in the author's log: it names them, or names what follows them.
func (x *Index) followed(ctx context.Context, e ends) (map[string]bool, error) {
	timely, err := x.timely(ctx, e)
	if err != nil {
		return nil, err
	}
	nums, err := json.Marshal(timely)
	if err != nil {
		return nil, err
	}
	rows, err := x.file.Readers.QueryContext(ctx, `WITH RECURSIVE before(id) AS (
			SELECT prev.id FROM json_each(?1) JOIN prev ON prev.record = value
			UNION SELECT prev.id FROM before JOIN records ON records.id = before.id JOIN prev ON prev.record = num WHERE author = ?2)
		SELECT id FROM before`, string(nums), e.author.Bytes())
	if err != nil {
		return nil, x.explain("find what follows", err)
	}
	defer rows.Close()
	ids := map[string]bool{}
	for rows.Next() {
		var id db.CID
		if err := rows.Scan(&id); err != nil {
			return nil, x.explain("find what follows", err)
		}
		ids[id.KeyString()] = true
	}
	if err := rows.Err(); err != nil {
		return nil, x.explain("find what follows", err)
	}
	return ids, nil
}

// timely returns the author's records that count and are not late, by number.
func (x *Index) timely(ctx context.Context, e ends) ([]int64, error) {
	all, err := x.stamped(ctx, e.author, "")
	if err != nil {
		return nil, err
	}
	nums := []int64{}
	for _, s := range all {
		late, err := x.late(ctx, e, s)
		if err != nil {
			return nil, err
		}
		if !late {
			nums = append(nums, s.num)
		}
	}
	return nums, nil
}

// vouchable returns the heads that the author's next record may name: who names a
// record vouches for its date ([T40]). When all are late, as in an index that has
// just been filled from others, they are all that is known of the log.
func (x *Index) vouchable(ctx context.Context, author records.Fingerprint, heads []stamped) ([]stamped, error) {
	e, err := x.ends(ctx, author)
	if err != nil || len(e.at) == 0 {
		return heads, err
	}
	var timely []stamped
	for _, h := range heads {
		late, err := x.late(ctx, e, h)
		if err != nil {
			return nil, err
		}
		if !late {
			timely = append(timely, h)
		}
	}
	if len(timely) == 0 {
		return heads, nil
	}
	return timely, nil
}

// Backdating finds out which records are late and not followed by others of their
// author's log, an author at a time.
type Backdating struct {
	index    *Index
	ends     map[records.Fingerprint]ends
	followed map[records.Fingerprint]map[string]bool
}

// Backdating returns one that knows nothing yet; it serves one question.
func (x *Index) Backdating() *Backdating {
	return &Backdating{x, map[records.Fingerprint]ends{}, map[records.Fingerprint]map[string]bool{}}
}

// Of returns when the key ended that signed the author's record, if it did; and
// whether the record came so long after that it may have been dated back ([T110]).
func (b *Backdating) Of(ctx context.Context, author records.Fingerprint, record cid.Cid, seen time.Time) (ended time.Time, followed bool, err error) {
	e, known := b.ends[author]
	if !known {
		if e, err = b.index.ends(ctx, author); err != nil {
			return time.Time{}, false, err
		}
		b.ends[author] = e
	}
	if ended, err = b.index.ended(ctx, e, record); err != nil || !trust.IsBackdated(ended, seen) {
		return ended, false, err
	}
	if b.followed[author] == nil {
		if b.followed[author], err = b.index.followed(ctx, e); err != nil {
			return time.Time{}, false, err
		}
	}
	return ended, b.followed[author][record.KeyString()], nil
}

// Is reports whether a statement is late.
func (b *Backdating) Is(ctx context.Context, m Meta) (bool, error) {
	ended, followed, err := b.Of(ctx, m.Author, m.ID, m.FirstSeen)
	return !followed && trust.IsBackdated(ended, m.FirstSeen), err
}
