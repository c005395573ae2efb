package authorlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/records"
)

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
// heartbeat promises. Invalid records take no part.
func (l *Logs) Newest(ctx context.Context, author records.Fingerprint) (Latest, error) {
	var n Latest
	err := l.index.View(ctx, "find newest record", func(q *db.Tx) error {
		var id db.CID
		var at, seen int64
		found, err := q.Get(ctx, "SELECT id, seq, time, first_seen FROM records WHERE author = ? AND invalid = '' ORDER BY seq DESC, time DESC, id DESC LIMIT 1",
			[]any{author.Bytes()}, &id, &n.Seq, &at, &seen)
		if err != nil || !found {
			return err
		}
		n.Record, n.Time, n.FirstSeen = id.Cid, unix(at), time.UnixMilli(seen).UTC()
		n.Next, err = promise(ctx, q, author)
		return err
	})
	if err != nil {
		return Latest{}, err
	}
	return n, nil
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
	index.Meta
	Body *records.Delegate
}

// Delegates returns the author's newest delegate record about each other key, by
// key. One without scopes takes back what was said before. Invalid records take no
// part.
func (l *Logs) Delegates(ctx context.Context, author records.Fingerprint) ([]Delegation, error) {
	all, err := l.index.Statements(ctx, author, "delegate")
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(s index.Statement) bool { return s.Invalid != "" })
	var ds []Delegation
	for _, s := range index.Newest(all, func(s index.Statement) string {
		body, _ := s.Record.Body.(*records.Delegate)
		return body.To.String()
	}) {
		ds = append(ds, Delegation{s.Meta, s.Record.Body.(*records.Delegate)})
	}
	return ds, nil
}

func unix(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }
