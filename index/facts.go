package index

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// factsAtOnce is how many authors one query asks about.
const factsAtOnce = 500

// Facts returns what authors say about keys, invalid and retracted statements too. It
// serves as trust.Basis.Load.
func (x *Index) Facts(ctx context.Context, authors []records.Fingerprint) (trust.Facts, error) {
	var f trust.Facts
	for part := range slices.Chunk(authors, factsAtOnce) {
		if err := x.facts(ctx, part, &f); err != nil {
			return trust.Facts{}, err
		}
	}
	return f, nil
}

func (x *Index) facts(ctx context.Context, authors []records.Fingerprint, f *trust.Facts) error {
	in := "(?" + strings.Repeat(", ?", len(authors)-1) + ")"
	args := make([]any, len(authors))
	for i, a := range authors {
		args[i] = a.Bytes()
	}
	equivocated, err := x.authorsOf(ctx, "SELECT DISTINCT author FROM equivocations WHERE author IN "+in, args)
	if err != nil {
		return err
	}
	f.Equivocated = append(f.Equivocated, equivocated...)
	said, err := x.statements(ctx, "find facts", "SELECT "+statementColumns+" FROM records WHERE author IN "+in+" AND kind IN ('delegate', 'successor') ORDER BY num", args...)
	if err != nil || len(said) == 0 {
		return err
	}
	noticing, err := x.authorsOf(ctx, "SELECT DISTINCT author FROM records WHERE author IN "+in+" AND kind = 'notice'", args)
	if err != nil {
		return err
	}
	backdating := x.Backdating()
	retracted := map[records.Fingerprint]map[cid.Cid]bool{}
	for _, author := range noticing {
		if retracted[author], err = backdating.Retracted(ctx, author); err != nil {
			return err
		}
	}
	for _, s := range said {
		by := s.TrustStatement(retracted[s.Author][s.ID])
		if by.Backdated, err = backdating.Is(ctx, s.Meta); err != nil {
			return err
		}
		switch body := s.Record.Body.(type) {
		case *records.Delegate:
			f.Delegations = append(f.Delegations, trust.Delegation{Statement: by, To: body.To, Scopes: body.Scopes, Depth: int(body.Depth), Until: unix(body.Until)})
		case *records.Successor:
			f.Successions = append(f.Successions, trust.Succession{Statement: by, To: body.To, From: body.From})
		}
	}
	return nil
}

// authorsOf runs a query for authors.
func (x *Index) authorsOf(ctx context.Context, query string, args []any) ([]records.Fingerprint, error) {
	rows, err := x.file.Readers.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, x.explain("find facts", err)
	}
	defer rows.Close()
	var authors []records.Fingerprint
	for rows.Next() {
		var author db.Fingerprint
		if err := rows.Scan(&author); err != nil {
			return nil, x.explain("find facts", err)
		}
		authors = append(authors, author.Fingerprint)
	}
	if err := rows.Err(); err != nil {
		return nil, x.explain("find facts", err)
	}
	return authors, nil
}

// TrustStatement is the record as package trust takes it.
func (m Meta) TrustStatement(retracted bool) trust.Statement {
	return trust.Statement{Author: m.Author, Record: m.ID, Seq: m.Seq, Time: m.Time, Void: m.Invalid, Retracted: retracted}
}

// Retracted returns the records that an author took back (SPEC.md section 4.3).
func (x *Index) Retracted(ctx context.Context, author records.Fingerprint) (map[cid.Cid]bool, error) {
	return x.Backdating().Retracted(ctx, author)
}

// Retracted is Index.Retracted, with what is known by now of who dates back.
func (b *Backdating) Retracted(ctx context.Context, author records.Fingerprint) (map[cid.Cid]bool, error) {
	all, err := b.index.Statements(ctx, author, "notice")
	if err != nil {
		return nil, err
	}
	var yanks []Statement
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
// though it is late ([T110]): it takes back a release or an endorsement.
func (b *Backdating) retractionCounts(ctx context.Context, m Meta, n *records.Notice) (bool, error) {
	isLate, err := b.Is(ctx, m)
	if err != nil || !isLate {
		return err == nil, err
	}
	if n.Text == "" {
		return false, nil
	}
	about, err := b.index.Statement(ctx, n.Record)
	var missing *NotFoundError
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
func retractedBy(yanks []Statement) map[cid.Cid]bool {
	back := map[cid.Cid]bool{}
	for _, s := range newest(yanks, func(s Statement) string { return s.Record.Body.(*records.Notice).Record.KeyString() }) {
		if n := s.Record.Body.(*records.Notice); n.Text != "" {
			back[n.Record] = true
		}
	}
	return back
}
