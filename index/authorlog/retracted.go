package authorlog

import (
	"context"
	"errors"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
)

// Retracted returns the records that an author took back (SPEC.md section 4.3).
func (l *Logs) Retracted(ctx context.Context, author records.Fingerprint) (map[cid.Cid]bool, error) {
	return l.Backdating().Retracted(ctx, author)
}

// Retracted is Logs.Retracted, with what is known by now of who dates back.
func (b *Backdating) Retracted(ctx context.Context, author records.Fingerprint) (map[cid.Cid]bool, error) {
	all, err := b.logs.index.Statements(ctx, author, "notice")
	if err != nil {
		return nil, err
	}
	var yanks []index.Statement
	for _, s := range all {
		n, ok := s.Record.Body.(*records.Notice)
		if !ok || n.NoticeOf != records.Yanked || !n.Record.Defined() || s.Invalid != "" {
			continue
		}
		counts, err := b.retractionCounts(ctx, s.Meta, n)
		if err != nil {
			return nil, err
		}
		if counts {
			yanks = append(yanks, s)
		}
	}
	return retractedBy(yanks), nil
}

// retractionCounts reports whether a yank of a record is in time, or can do no harm
// though it is backdated ([T110]): it takes back a release or an endorsement.
func (b *Backdating) retractionCounts(ctx context.Context, m index.Meta, n *records.Notice) (bool, error) {
	isLate, err := b.Is(ctx, m)
	if err != nil || !isLate {
		return err == nil, err
	}
	if n.Text == "" {
		return false, nil
	}
	about, err := b.logs.index.Statement(ctx, n.Record)
	var missing *index.NotFoundError
	if errors.As(err, &missing) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	switch about.Record.Body.(type) {
	case *records.Release, *records.Endorse:
		return true, nil
	}
	return false, nil
}

// retractedBy finds, among yanks of records by one author, the records that they
// retract.
func retractedBy(yanks []index.Statement) map[cid.Cid]bool {
	back := map[cid.Cid]bool{}
	for _, s := range index.Newest(yanks, func(s index.Statement) string { return s.Record.Body.(*records.Notice).Record.KeyString() }) {
		if n := s.Record.Body.(*records.Notice); n.Text != "" {
			back[n.Record] = true
		}
	}
	return back
}
