package author

import (
	"context"

	"github.com/everythingstays/es/records"
)

// Peers can be asked for what a key has signed.
type Peers interface {
	// AskLog asks the peers that can be reached for the records of a key, with search set
	// also those that can be found, and returns how many answered; where none did, why says
	// what was in the way. An error means that ctx is over.
	AskLog(ctx context.Context, author records.Fingerprint, search bool) (answered int, why string, err error)
}

// LogOptions say how the own log is asked for.
type LogOptions struct {
	Peers Peers  // nil asks nobody
	Why   string // nobody is asked, where Peers is nil

	// First is the user's word that the key has signed nothing that is not here.
	First bool
	// Unasked goes on where the log may be longer and nobody could be asked.
	Unasked bool
	// Rehearsal notes nothing: a key that has asked once is asked about again.
	Rehearsal bool
}

// OwnLog is what is known of the own log before something is signed.
type OwnLog struct {
	Known    bool   // it was, before anybody was asked
	Answered int    // peers
	Why      string // nobody answered
	Records  int    // of the key, when it was not known and somebody answered
}

// CatchUp asks peers for what the key has signed elsewhere (SPEC.md [X90]): a home that was
// lost, or another machine, may have signed more than is here. It is an *UnknownLogError
// where the log may be longer and nobody could be asked, or a record of it is missing.
func (a *Author) CatchUp(ctx context.Context, o LogOptions) (OwnLog, error) {
	author := a.Fingerprint()
	known, err := a.index.LogKnown(ctx, author)
	if err != nil {
		return OwnLog{}, err
	}
	l := OwnLog{Known: known, Why: o.Why}
	if o.Peers != nil {
		if l.Answered, l.Why, err = o.Peers.AskLog(ctx, author, !known); err != nil {
			return l, err
		}
	}
	gaps, err := a.index.Gaps(ctx, author, 1)
	if err != nil {
		return l, err
	}
	switch {
	case o.First:
	case len(gaps) > 0:
		return l, &UnknownLogError{Author: author, Why: l.Why, Missing: gaps[0]}
	case !known && l.Answered == 0 && !o.Unasked:
		return l, &UnknownLogError{Author: author, Why: l.Why}
	case !known && l.Answered > 0:
		all, err := a.index.Statements(ctx, author)
		if err != nil {
			return l, err
		}
		l.Records = len(all)
	}
	if !known && (o.First || l.Answered > 0) && !o.Rehearsal {
		return l, a.index.SetLogKnown(ctx, author)
	}
	return l, nil
}
