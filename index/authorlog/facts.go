package authorlog

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// factsAtOnce is how many authors one query asks about.
const factsAtOnce = 500

// Facts returns what authors say about keys, invalid and retracted statements too. It
// serves as trust.Inputs.Load.
func (l *Logs) Facts(ctx context.Context, authors []records.Fingerprint) (trust.Facts, error) {
	var f trust.Facts
	for part := range slices.Chunk(authors, factsAtOnce) {
		if err := l.facts(ctx, part, &f); err != nil {
			return trust.Facts{}, err
		}
	}
	return f, nil
}

func (l *Logs) facts(ctx context.Context, authors []records.Fingerprint, f *trust.Facts) error {
	in := "(?" + strings.Repeat(", ?", len(authors)-1) + ")"
	args := make([]any, len(authors))
	for i, a := range authors {
		args[i] = a.Bytes()
	}
	equivocated, err := l.authorsOf(ctx, "SELECT DISTINCT author FROM equivocations WHERE author IN "+in, args)
	if err != nil {
		return err
	}
	f.Equivocated = append(f.Equivocated, equivocated...)
	said, err := l.index.StatementsOf(ctx, authors, "delegate", "successor")
	if err != nil || len(said) == 0 {
		return err
	}
	noticing, err := l.authorsOf(ctx, "SELECT DISTINCT author FROM records WHERE author IN "+in+" AND kind = 'notice'", args)
	if err != nil {
		return err
	}
	backdating := l.Backdating()
	retracted := map[records.Fingerprint]map[cid.Cid]bool{}
	for _, author := range noticing {
		if retracted[author], err = backdating.Retracted(ctx, author); err != nil {
			return err
		}
	}
	for _, s := range said {
		by := TrustStatement(s.Meta, retracted[s.Author][s.ID])
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

func (l *Logs) authorsOf(ctx context.Context, query string, args []any) ([]records.Fingerprint, error) {
	return list(ctx, l, "find facts", query, args, func(rows *sql.Rows) (records.Fingerprint, error) {
		var author db.Fingerprint
		err := rows.Scan(&author)
		return author.Fingerprint, err
	})
}

// TrustStatement is the record as package trust takes it.
func TrustStatement(m index.Meta, retracted bool) trust.Statement {
	return trust.Statement{Author: m.Author, Record: m.ID, Seq: m.Seq, Time: m.Time, Invalid: m.Invalid, Retracted: retracted}
}
