package index

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/records"
)

// An Author says how much of one is stored.
type Author struct {
	Key       records.Fingerprint
	Records   int64
	Invalid   int64 // of these, whose signatures do not count
	Strangers int64 // of these, that count towards the limit of strangers
}

// Authors returns who signed at least one stored record, by fingerprint.
func (x *Index) Authors(ctx context.Context) ([]Author, error) {
	const op = "list authors"
	rows, err := x.file.Readers.QueryContext(ctx, `SELECT records.author, count(*), sum(invalid <> ''), count(strangers.record)
		FROM records LEFT JOIN strangers ON strangers.record = num GROUP BY records.author ORDER BY records.author`)
	if err != nil {
		return nil, x.explain(op, err)
	}
	defer rows.Close()
	var all []Author
	for rows.Next() {
		var a Author
		var f db.Fingerprint
		if err := rows.Scan(&f, &a.Records, &a.Invalid, &a.Strangers); err != nil {
			return nil, x.explain(op, err)
		}
		a.Key = f.Fingerprint
		all = append(all, a)
	}
	if err := rows.Err(); err != nil {
		return nil, x.explain(op, err)
	}
	return all, nil
}

// Incomplete returns how many records are not stored that records of the author
// name in prev: what somebody withholds or has not sent yet, or was removed as a
// stranger's. Void records are not asked. Gaps tells which.
func (x *Index) Incomplete(ctx context.Context, author records.Fingerprint) (missing int, err error) {
	err = x.file.Readers.QueryRowContext(ctx, `SELECT count(DISTINCT prev.id) FROM records JOIN prev ON prev.record = num
		WHERE author = ? AND invalid = '' AND NOT EXISTS (SELECT 1 FROM records AS had WHERE had.id = prev.id)`, author.Bytes()).Scan(&missing)
	if err != nil {
		return 0, x.explain("count missing records", err)
	}
	return missing, nil
}

// Latest is the newest that an author has said.
type Latest struct {
	Record    cid.Cid // cid.Undef when nothing is stored that counts
	Seq       int64
	Time      time.Time // as the record says
	FirstSeen time.Time // by this node's clock
	// Next is when the newest heartbeat promises another record; zero when there
	// is no heartbeat.
	Next time.Time
}

// Newest returns the newest record of an author (SPEC.md [X3]) and what the newest
// heartbeat promises. Void records take no part.
func (x *Index) Newest(ctx context.Context, author records.Fingerprint) (Latest, error) {
	const op = "find newest record"
	var l Latest
	err := x.file.View(ctx, func(q *db.Tx) error {
		var id db.CID
		var at, seen int64
		found, err := q.Get(ctx, "SELECT id, seq, time, first_seen FROM records WHERE author = ? AND invalid = '' ORDER BY seq DESC, time DESC, id DESC LIMIT 1",
			[]any{author.Bytes()}, &id, &l.Seq, &at, &seen)
		if err != nil || !found {
			return err
		}
		l.Record, l.Time, l.FirstSeen = id.Cid, unix(at), time.UnixMilli(seen).UTC()
		l.Next, err = promise(ctx, q, author)
		return err
	})
	if err != nil {
		return Latest{}, x.explain(op, err)
	}
	return l, nil
}

// promise returns when the author's newest heartbeat says that another comes.
func promise(ctx context.Context, q *db.Tx, author records.Fingerprint) (time.Time, error) {
	var envelope []byte
	found, err := q.Get(ctx, "SELECT envelope FROM records WHERE author = ? AND kind = 'heartbeat' AND invalid = '' ORDER BY seq DESC, time DESC, id DESC LIMIT 1",
		[]any{author.Bytes()}, &envelope)
	if err != nil || !found {
		return time.Time{}, err
	}
	e, err := records.DecodeEnvelope(envelope)
	if err != nil {
		return time.Time{}, fmt.Errorf("stored heartbeat: %w", err)
	}
	beat, ok := e.Record.Body.(*records.Heartbeat)
	if !ok {
		return time.Time{}, errors.New("stored heartbeat is another kind of record")
	}
	return unix(beat.Next), nil
}

// A Delegation is a delegate record.
type Delegation struct {
	Meta
	Body *records.Delegate
}

// Delegates returns the author's newest delegate record about each other key, by
// key. One without scopes takes back what was said before. Void records take no
// part.
func (x *Index) Delegates(ctx context.Context, author records.Fingerprint) ([]Delegation, error) {
	all, err := x.statements(ctx, "list delegations", "SELECT "+statementColumns+
		" FROM records WHERE author = ? AND kind = 'delegate' AND invalid = '' ORDER BY num", author.Bytes())
	var ds []Delegation
	for _, s := range newest(all, func(s Statement) string {
		body, _ := s.Record.Body.(*records.Delegate)
		return body.To.String()
	}) {
		ds = append(ds, Delegation{s.Meta, s.Record.Body.(*records.Delegate)})
	}
	return ds, err
}
