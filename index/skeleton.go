package index

import (
	"context"
	"errors"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

var errUnbuilt = errors.New("not built yet")

// An Index is an open store. It may be used by several goroutines.
type Index struct{}

// Open opens the index at path and makes it if there is none. The directory must
// exist.
func Open(ctx context.Context, path string) (*Index, error) { return nil, errUnbuilt }

// Close waits for running calls and closes the store.
func (x *Index) Close() error { return errUnbuilt }

// Has reports whether the record is stored. It is cheap: ask before verifying.
func (x *Index) Has(ctx context.Context, id cid.Cid) (bool, error) { return false, errUnbuilt }

// Add stores a record and its author's key block, which is merged with what is
// known of the key. The error is a *sign.KeyError when the merged key says that
// the signature does not count, and an *EquivocationError when a record of our
// own would be the second module under one version.
func (x *Index) Add(ctx context.Context, v sign.Verified, key *sign.Key, from Source) (Outcome, error) {
	return Refused, errUnbuilt
}

// AddAll stores many records in one transaction: all that are not refused, or
// none when err is set. Batches of 100 to 500 are fast.
func (x *Index) AddAll(ctx context.Context, items []Item) (results []Result, err error) {
	return nil, errUnbuilt
}

// AddKey merges a key block into what is known of the key and returns the union.
func (x *Index) AddKey(ctx context.Context, key *sign.Key) (merged *sign.Key, changed bool, err error) {
	return nil, false, errUnbuilt
}

// Key returns what is known of the key, and nil when it is unknown.
func (x *Index) Key(ctx context.Context, f records.Fingerprint) (*sign.Key, error) {
	return nil, errUnbuilt
}

// Keys lets sign.Open find keys here. An error of the store is kept for Err, and
// the key counts as unknown.
func (x *Index) Keys(ctx context.Context) *Keys { return nil }

// Keys implements sign.Keys for one call of sign.Open.
type Keys struct{}

// Key returns what is known of the key.
func (k *Keys) Key(f records.Fingerprint) (*sign.Key, bool) { return nil, false }

// Err returns the first error of the store.
func (k *Keys) Err() error { return errUnbuilt }

// Head returns seq and prev for the author's next record: prev names the records
// that no other record of the author names, at most records.MaxPrev, sorted.
func (x *Index) Head(ctx context.Context, author records.Fingerprint) (seq int64, prev []cid.Cid, err error) {
	return 0, nil, errUnbuilt
}

// Releases returns every release of the name, void ones included, by arrival.
func (x *Index) Releases(ctx context.Context, name records.Name) ([]Release, error) {
	return nil, errUnbuilt
}

// Release returns a release by its record id, or a *NotFoundError.
func (x *Index) Release(ctx context.Context, id cid.Cid) (Release, error) {
	return Release{}, errUnbuilt
}

// Tags returns each author's newest record about each tag of the name.
func (x *Index) Tags(ctx context.Context, name records.Name) ([]Tag, error) { return nil, errUnbuilt }

// Notices returns each author's newest notice of each kind about the same range
// or record of the name.
func (x *Index) Notices(ctx context.Context, name records.Name) ([]Notice, error) {
	return nil, errUnbuilt
}

// Endorsements returns every endorsement of the name, by arrival.
func (x *Index) Endorsements(ctx context.Context, name records.Name) ([]Endorsement, error) {
	return nil, errUnbuilt
}

// Statements returns the author's records of the given kinds, or of all kinds
// when none is given, by arrival.
func (x *Index) Statements(ctx context.Context, author records.Fingerprint, kinds ...string) ([]Statement, error) {
	return nil, errUnbuilt
}

// Envelope returns the envelope of a record and its author's key block, or a
// *NotFoundError.
func (x *Index) Envelope(ctx context.Context, record cid.Cid) (envelope, key []byte, err error) {
	return nil, nil, errUnbuilt
}

// Equivocations returns the proofs at hand, by author, name and version.
func (x *Index) Equivocations(ctx context.Context) ([]Proof, error) { return nil, errUnbuilt }

// Counts returns how much the index holds.
func (x *Index) Counts(ctx context.Context) (Counts, error) { return Counts{}, errUnbuilt }

// Pending returns own records that nobody was told of yet, oldest first.
func (x *Index) Pending(ctx context.Context) ([]Sealed, error) { return nil, errUnbuilt }

// Announced takes records out of the outbox. Unknown ids are passed over.
func (x *Index) Announced(ctx context.Context, ids ...cid.Cid) error { return errUnbuilt }

// Search finds names: first the name that query spells, with or without a scope,
// then names that begin with it, then names whose name, description or keywords
// hold its words. In each of these groups trusted names come first. The query
// may be any text; limit is the most hits to return.
func (x *Index) Search(ctx context.Context, query string, limit int, view *trust.View) ([]Hit, error) {
	return nil, errUnbuilt
}

// Info returns everything known of a name, or a *NotFoundError.
func (x *Index) Info(ctx context.Context, name records.Name, view *trust.View) (Info, error) {
	return Info{}, errUnbuilt
}

// Resolve chooses a version. The constraint is a version, a tag, an npm range, or
// empty for the newest: what the tag "latest" says, else the highest version that
// is not a pre-release. Only versions that trust lets in are chosen. The error is
// a *NotFoundError, *UntrustedError, *ConflictError or *EquivocationError when
// the question, and not the store, is the cause.
func (x *Index) Resolve(ctx context.Context, name records.Name, constraint string, view *trust.View) (Resolution, error) {
	return Resolution{}, errUnbuilt
}
