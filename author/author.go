// Package author is what an author does: it makes the next record of a key's log, releases
// modules and moves their tags, and makes the statements that follow a release: tags, notices,
// endorsements, delegations, successors and revocations (SPEC.md sections 4.3, 6.7, 10).
//
// It returns data and typed errors. It prints nothing, asks nobody, reads no environment
// and sends nothing: who calls it announces what Made returns.
package author

import (
	"context"
	"errors"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// A Keyring keeps the secret of the key that signs.
type Keyring interface {
	// Signer opens the key; it may wait for a passphrase.
	Signer(ctx context.Context) (sign.Signer, error)
	// LockSigning keeps every other process from adding to the logs of this home's keys
	// until unlock is called (SPEC.md [X90]).
	LockSigning(ctx context.Context) (unlock func(), err error)
}

// An Index is what is known of the author's records, and where new ones are stored.
type Index interface {
	Log
	Statements
}

// A Log places records in the log of their author (SPEC.md [X90]).
type Log interface {
	Head(ctx context.Context, author records.Fingerprint) (seq int64, prev []cid.Cid, err error)
	HeadBefore(ctx context.Context, author records.Fingerprint) (seq int64, prev []cid.Cid, err error)
	Add(ctx context.Context, v sign.Verified, key *sign.Key, from index.Source) (index.Outcome, error)
	Gaps(ctx context.Context, author records.Fingerprint, limit int) ([]cid.Cid, error)
	LogKnown(ctx context.Context, author records.Fingerprint) (bool, error)
	SetLogKnown(ctx context.Context, author records.Fingerprint) error
	Envelope(ctx context.Context, record cid.Cid) (envelope, key []byte, err error)
}

// Statements are the records that are known.
type Statements interface {
	Releases
	ReleasesOf(ctx context.Context, name records.Name, version records.Version) ([]index.Release, error)
	Tags(ctx context.Context, name records.Name) ([]index.Tag, error)
	Notices(ctx context.Context, name records.Name) ([]index.Notice, error)
	Statements(ctx context.Context, author records.Fingerprint, kinds ...string) ([]index.Statement, error)
	Retracted(ctx context.Context, author records.Fingerprint) (map[cid.Cid]bool, error)
	Equivocations(ctx context.Context) ([]index.Proof, error)
}

// Releases are those that are known of a name, invalid ones included.
type Releases interface {
	Releases(ctx context.Context, name records.Name) ([]index.Release, error)
}

// An Author makes records with one key. It is not safe for concurrent use; two of them,
// also in two processes, are.
type Author struct {
	key     *sign.Key
	keyring Keyring
	index   Index
	now     func() time.Time

	signer sign.Signer // opened when first needed
	locked bool        // nobody else signs in this home now
	made   []cid.Cid
}

// New returns an author who signs with key, of which the keyring has the secret, and stores
// records in x. The clock is now.
func New(key *sign.Key, keyring Keyring, x Index, now func() time.Time) *Author {
	return &Author{key: key, keyring: keyring, index: x, now: now}
}

// Fingerprint is that of the key.
func (a *Author) Fingerprint() records.Fingerprint { return a.key.Fingerprint() }

// Made returns the ids of the records to be announced, in the order in which they were made.
func (a *Author) Made() []cid.Cid { return a.made }

// Signed is a record that is stored.
type Signed struct {
	Record, Envelope cid.Cid
	Before           bool // it was there before, and nothing was signed
}

// lock opens the key, and keeps every other process from signing in this home until unlock
// is called.
func (a *Author) lock(ctx context.Context) (unlock func(), err error) {
	if a.signer == nil {
		s, err := a.keyring.Signer(ctx)
		if err != nil {
			return nil, err
		}
		a.signer = s
	}
	if a.locked {
		return func() {}, nil
	}
	release, err := a.keyring.LockSigning(ctx)
	if err != nil {
		return nil, err
	}
	a.locked = true
	return func() { a.locked = false; release() }, nil
}

// next is the author's next record, not signed.
func (a *Author) next(ctx context.Context, body records.Body) (*records.Record, error) {
	author := a.Fingerprint()
	seq, prev, err := a.index.Head(ctx, author)
	if _, moves := body.(*records.Successor); moves && errors.As(err, new(*authorlog.ExhaustedError)) {
		seq, prev, err = a.index.HeadBefore(ctx, author)
	}
	if err != nil {
		return nil, err
	}
	return &records.Record{Author: author, Seq: seq, Prev: prev, Time: a.now().Unix(), Body: body}, nil
}

// sign makes the author's next record and stores it.
func (a *Author) sign(ctx context.Context, body records.Body) (Signed, error) {
	unlock, err := a.lock(ctx)
	if err != nil {
		return Signed{}, err
	}
	defer unlock()
	r, err := a.next(ctx, body)
	if err != nil {
		return Signed{}, err
	}
	v, err := sign.Sign(ctx, a.signer, r)
	if errors.As(err, new(*records.FormatError)) {
		return Signed{}, &RecordError{Err: err}
	}
	if err != nil {
		return Signed{}, err
	}
	if _, err := a.index.Add(ctx, v, a.signer.Key(), index.Source{Own: true}); err != nil {
		return Signed{}, err
	}
	a.made = append(a.made, v.ID())
	return Signed{Record: v.ID(), Envelope: v.EnvelopeID()}, nil
}

// again returns a record of this author that is stored, to be announced once more.
func (a *Author) again(ctx context.Context, record cid.Cid) (Signed, error) {
	envelope, _, err := a.index.Envelope(ctx, record)
	if err != nil {
		return Signed{}, err
	}
	a.made = append(a.made, record)
	return Signed{Record: record, Envelope: records.EnvelopeID(envelope), Before: true}, nil
}
