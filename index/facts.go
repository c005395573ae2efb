package index

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// factsAtOnce is how many authors one query asks about.
const factsAtOnce = 500

// Facts returns what authors say about keys, void and withdrawn statements too. It
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
	late := x.lateness()
	withdrawn := map[records.Fingerprint]map[cid.Cid]bool{}
	for _, author := range noticing {
		if withdrawn[author], err = x.withdrawn(ctx, late, author); err != nil {
			return err
		}
	}
	for _, s := range said {
		by := s.trustStatement(withdrawn[s.Author][s.ID])
		if by.Backdated, err = late.is(ctx, s.Meta); err != nil {
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
	rows, err := x.r.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, x.explain("find facts", err)
	}
	defer rows.Close()
	var authors []records.Fingerprint
	for rows.Next() {
		var author fingerprint
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

func (m Meta) trustStatement(withdrawn bool) trust.Statement {
	return trust.Statement{Author: m.Author, Record: m.ID, Seq: m.Seq, Time: m.Time, Void: m.Void, Retracted: withdrawn}
}

// Withdrawn returns the records that an author took back (SPEC.md section 4.3).
func (x *Index) Withdrawn(ctx context.Context, author records.Fingerprint) (map[cid.Cid]bool, error) {
	return x.withdrawn(ctx, x.lateness(), author)
}

func (x *Index) withdrawn(ctx context.Context, late *lateness, author records.Fingerprint) (map[cid.Cid]bool, error) {
	all, err := x.Statements(ctx, author, "notice")
	if err != nil {
		return nil, err
	}
	var yanks []Statement
	for _, s := range all {
		n, ok := s.Record.Body.(*records.Notice)
		if !ok || n.NoticeOf != records.Yanked || !n.Record.Defined() || s.Void != "" {
			continue
		}
		counts, err := x.takingBackCounts(ctx, late, s.Meta, n)
		if err != nil {
			return nil, err
		}
		if counts {
			yanks = append(yanks, s)
		}
	}
	return takenBack(yanks), nil
}

// takingBackCounts reports whether a yank of a record is in time, or can do no harm
// though it is late ([T110]): it takes back a release or an endorsement.
func (x *Index) takingBackCounts(ctx context.Context, late *lateness, m Meta, n *records.Notice) (bool, error) {
	isLate, err := late.is(ctx, m)
	if err != nil || !isLate {
		return err == nil, err
	}
	if n.Text == "" {
		return false, nil
	}
	about, err := x.Statement(ctx, n.Record)
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

// takenBack finds, among yanks of records by one author, the records that they take
// back.
func takenBack(yanks []Statement) map[cid.Cid]bool {
	back := map[cid.Cid]bool{}
	for _, s := range newest(yanks, func(s Statement) string { return s.Record.Body.(*records.Notice).Record.KeyString() }) {
		if n := s.Record.Body.(*records.Notice); n.Text != "" {
			back[n.Record] = true
		}
	}
	return back
}

// vouched returns the endorsements of a name as claims, by version. Whether one was
// taken back is only looked up where it matters: of keys that decide.
func (x *Index) vouched(ctx context.Context, c *claimed) (map[records.Version][]trust.Claim, error) {
	all, err := x.remarksOf(ctx, c, "endorse")
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return x.endorsing(ctx, c, all)
}

func (x *Index) endorsing(ctx context.Context, c *claimed, all []Statement) (_ map[records.Version][]trust.Claim, err error) {
	withdrawn := map[records.Fingerprint]map[cid.Cid]bool{}
	claims := map[records.Version][]trust.Claim{}
	for _, s := range all {
		body, ok := s.Record.Body.(*records.Endorse)
		if !ok {
			continue
		}
		if withdrawn[s.Author] == nil && c.Decides(s.Author) {
			if withdrawn[s.Author], err = x.withdrawn(ctx, c.late, s.Author); err != nil {
				return nil, err
			}
		}
		claims[body.Version] = append(claims[body.Version], trust.Claim{
			Author: s.Author, Module: body.Module, Record: s.ID, Void: s.Void,
			Endorse: body.Claim, Retracted: withdrawn[s.Author][s.ID], Time: s.Time, FirstSeen: s.FirstSeen,
		})
	}
	return claims, nil
}

// remarksOf returns the remarks of a kind about a name, by the authors whose records
// are read.
func (x *Index) remarksOf(ctx context.Context, c *claimed, kind string) ([]Statement, error) {
	const op = "find remarks"
	some, args := c.among("records.author")
	if some == "" {
		return x.statements(ctx, op, "SELECT "+statementColumns+
			" FROM remarks JOIN records ON num = record WHERE name = ? AND remarks.kind = ? ORDER BY num", append(args, kind)...)
	}
	// By author: the crowd's remarks are not even looked at.
	return x.statements(ctx, op, "SELECT "+statementColumns+
		" FROM records CROSS JOIN remarks ON num = record WHERE name = ?"+some+" AND records.kind = ? ORDER BY num", append(args, kind)...)
}

// notices returns what is said of a name in notices.
func (x *Index) notices(ctx context.Context, c *claimed) ([]trust.Notice, error) {
	all, err := x.remarksOf(ctx, c, "notice")
	if err != nil {
		return nil, err
	}
	var ns []trust.Notice
	for _, s := range all {
		if n, ok := s.Record.Body.(*records.Notice); ok {
			said := s.trustStatement(false)
			if n.Text == "" && c.Decides(s.Author) {
				if said.Backdated, err = c.late.is(ctx, s.Meta); err != nil {
					return nil, err
				}
			}
			ns = append(ns, trust.Notice{
				Statement: said, Name: n.Name, Kind: n.NoticeOf, Range: n.Range, About: n.Record, Text: n.Text,
				Severity: n.Severity, Fixed: n.Fixed, Refs: n.Refs,
			})
		}
	}
	return ns, nil
}
