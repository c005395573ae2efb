package node

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

// The window of record times that are passed on (SPEC.md [N31]). Clocks differ,
// so being outside of it is nobody's fault.
const (
	maxAge    = 24 * time.Hour
	maxFuture = 10 * time.Minute
)

// judge decides about what gossip brings, and stores what is worth it. Its
// verdict is Reject only when the bytes alone are to blame.
type judge struct {
	home  *home.Home
	index *index.Index
	log   *slog.Logger
	now   func() time.Time
	quota *quota
	// stored is told of each new record.
	stored func(ctx context.Context, v sign.Verified, o index.Outcome)
	circle circle
	given  *given // may be nil
	// origin says from which address a peer comes. Nil stands for one that is
	// the peer's own.
	origin func(peer.ID) string

	mu   sync.Mutex
	last *trust.File // the last trust file that could be read
}

func (j *judge) accept(ctx context.Context, m gossip.Message) gossip.Outcome {
	switch m.Topic {
	case gossip.TopicRecords:
		return j.frame(ctx, m)
	case gossip.TopicKeys:
		return j.keyBlock(ctx, m)
	}
	return gossip.Ignore
}

func (j *judge) frame(ctx context.Context, m gossip.Message) gossip.Outcome {
	f, err := records.DecodeFrame(m.Data)
	if err != nil {
		return j.verdict(ctx, m, err)
	}
	env, err := records.DecodeEnvelope(f.Envelope)
	if err != nil {
		return j.verdict(ctx, m, err)
	}
	known, err := j.index.Has(ctx, records.ID(env.RecordBytes))
	if err != nil {
		return j.verdict(ctx, m, err)
	}
	if m.Local {
		// Our own announcements come from the index.
		if known {
			return gossip.Accept
		}
		return gossip.Ignore
	}
	revoked, err := j.revocation(ctx, f.Key, env.Record.Author)
	if err != nil {
		return j.verdict(ctx, m, err)
	}
	o := gossip.Ignore
	if !known {
		o = j.record(ctx, m, f, env.Record)
	}
	if o == gossip.Ignore && revoked {
		return gossip.Accept
	}
	return o
}

// record judges a frame whose record is not stored.
func (j *judge) record(ctx context.Context, m gossip.Message, f records.Frame, r *records.Record) gossip.Outcome {
	if _, err := j.circle.current(ctx, j); err != nil {
		return j.verdict(ctx, m, err)
	}
	author, from := r.Author, j.originOf(m.From)
	trusted, denied := j.standing(author)
	// What will not be taken whatever its signature says is not worth verifying: old
	// records cost nothing to repeat, and nobody is to blame for them.
	fresh := j.fresh(time.Unix(r.Time, 0))
	if denied || !trusted && !fresh {
		return gossip.Ignore
	}
	// An author makes fresh records only; whoever repeats old ones is charged.
	old := trusted && !fresh
	if (old || !trusted) && !j.quota.staleLeft(from, j.now()) || !old && !j.quota.left(author, from, trusted, j.now()) {
		return gossip.Ignore
	}
	key, v, err := j.open(ctx, f, author)
	if old || err != nil && !isWrong(err) { // gossip counts what is rejected
		j.quota.stale(from, j.now())
	}
	if err != nil {
		return j.verdict(ctx, m, err)
	}
	if !old && !j.quota.take(author, from, trusted, j.now()) {
		return gossip.Ignore
	}
	o, err := j.index.Add(ctx, v, key, index.Source{Peer: m.From.String(), Stranger: !trusted})
	if err != nil {
		return j.verdict(ctx, m, err)
	}
	if o == index.Stored || o == index.Equivocation {
		j.given.add(m.From, 1)
		j.circle.learn(v.Record())
		j.stored(ctx, v, o)
		if fresh {
			return gossip.Accept
		}
	}
	return gossip.Ignore
}

// originOf returns the address that a peer is charged by.
func (j *judge) originOf(p peer.ID) string {
	if j.origin == nil {
		return string(p)
	}
	return j.origin(p)
}

// revocation stores a key block of a known author that revokes more than is known
// of the key, whatever rates are used up, and reports whether it did.
func (j *judge) revocation(ctx context.Context, block []byte, author records.Fingerprint) (bool, error) {
	said := sign.Revocations(block)
	if named, ok := sign.BlockAuthor(block); len(said) == 0 || !ok || named != author {
		return false, nil
	}
	have, err := j.index.Key(ctx, author)
	if err != nil || have == nil || have.HasPackets(said) {
		return false, err
	}
	if _, denied := j.standing(author); denied {
		return false, nil
	}
	key, err := sign.ParseKey(block)
	if err != nil {
		return false, err
	}
	merged, err := have.Merge(key)
	if err != nil || !merged.AddsRevocation(have) {
		return false, err
	}
	_, changed, err := j.index.AddKey(ctx, key)
	return changed, err
}

// open verifies the frame by its key block and by what the index knows of the
// key, such as a revocation that the block leaves out.
func (j *judge) open(ctx context.Context, f records.Frame, author records.Fingerprint) (*sign.Key, sign.Verified, error) {
	key, _, err := j.join(ctx, f.Key, author)
	if err != nil {
		return nil, sign.Verified{}, err
	}
	v, err := sign.Open(f.Envelope, sign.KeyRing{author: key})
	return key, v, err
}

// join reads a key block of an author, joined with what the index knows of the key,
// if it does.
func (j *judge) join(ctx context.Context, block []byte, author records.Fingerprint) (key *sign.Key, known bool, err error) {
	if key, err = sign.ParseKey(block); err != nil {
		return nil, false, err
	}
	if key.Fingerprint() != author {
		return nil, false, &foreignKeyError{key.Fingerprint(), author}
	}
	have, err := j.index.Key(ctx, author)
	if err != nil || have == nil {
		return key, false, err
	}
	key, err = have.Merge(key)
	return key, true, err
}

// foreignKeyError says that a frame brings another key than its record's.
type foreignKeyError struct {
	have, want records.Fingerprint
}

func (e *foreignKeyError) Error() string {
	return "frame brings key " + e.have.String() + " for a record by " + e.want.String()
}

func (j *judge) keyBlock(ctx context.Context, m gossip.Message) gossip.Outcome {
	if m.Local {
		if _, err := sign.ParseKey(m.Data); err != nil {
			return j.verdict(ctx, m, err)
		}
		return gossip.Accept
	}
	author, ok := sign.BlockAuthor(m.Data)
	if ok {
		if revoked, err := j.revocation(ctx, m.Data, author); err != nil {
			return j.verdict(ctx, m, err)
		} else if revoked {
			return gossip.Accept
		}
	}
	from := j.originOf(m.From)
	if !j.quota.staleLeft(from, j.now()) {
		return gossip.Ignore
	}
	key, err := sign.ParseKey(m.Data)
	if err != nil {
		return j.verdict(ctx, m, err)
	}
	trusted, denied := j.standing(author)
	have, err := j.index.Key(ctx, author)
	if err != nil {
		return j.verdict(ctx, m, err)
	}
	if have == nil && !trusted && !denied && j.quota.passOn(from, j.now()) {
		// Keys without records cost others nothing to make: they are not kept,
		// but someone else may need this one.
		return gossip.Accept
	}
	// Whatever is public of a key anybody can send in many forms. What is new of
	// it was made by its owner.
	news := have == nil && trusted
	if have != nil {
		merged, err := have.Merge(key)
		if err != nil {
			j.quota.stale(from, j.now())
			return j.verdict(ctx, m, err)
		}
		news = !bytes.Equal(merged.Block(), have.Block())
	}
	if denied || !news {
		j.quota.stale(from, j.now())
		return gossip.Ignore
	}
	if !j.quota.take(author, from, trusted, j.now()) {
		return gossip.Ignore
	}
	if _, changed, err := j.index.AddKey(ctx, key); err != nil {
		return j.verdict(ctx, m, err)
	} else if changed {
		return gossip.Accept
	}
	return gossip.Ignore
}

// verdict turns an error into an outcome.
func (j *judge) verdict(ctx context.Context, m gossip.Message, err error) gossip.Outcome {
	if isWrong(err) {
		j.log.Debug("rejected", "topic", m.Topic, "peer", m.From.String(), "cause", err)
		return gossip.Reject
	}
	var key *sign.KeyError
	var unknown *sign.UnknownKeyError
	var equivocation *index.EquivocationError
	if errors.As(err, &key) || errors.As(err, &unknown) || errors.As(err, &equivocation) || ctx.Err() != nil {
		j.log.Debug("ignored", "topic", m.Topic, "peer", m.From.String(), "cause", err)
	} else {
		j.log.Error("judge a message", "topic", m.Topic, "err", err)
	}
	return gossip.Ignore
}

// isWrong reports whether bytes alone are to blame for the error: they are wrong
// for everybody and for ever.
func isWrong(err error) bool {
	var format *records.FormatError
	var signature *sign.SignatureError
	var block *sign.KeyBlockError
	var foreign *foreignKeyError
	return errors.As(err, &format) || errors.As(err, &signature) || errors.As(err, &block) || errors.As(err, &foreign)
}

func (j *judge) fresh(t time.Time) bool {
	now := j.now()
	return !t.Before(now.Add(-maxAge)) && !t.After(now.Add(maxFuture))
}

// standing says what the user thinks of an author: trusted are those whom the trust
// file lists and those to whom these delegate. While the file cannot be read, its
// last readable state counts.
func (j *judge) standing(author records.Fingerprint) (trusted, denied bool) {
	f := j.trust()
	if f.Denied(author) {
		return false, true
	}
	now := j.now()
	if slices.ContainsFunc(f.Entries(), func(e trust.Entry) bool { return e.Fingerprint == author && !e.Expired(now) }) {
		return true, false
	}
	own, err := j.home.OwnFingerprints()
	return err == nil && slices.Contains(own, author) || j.circle.has(author), false
}

func (j *judge) trust() *trust.File {
	f, err := j.home.Trust()
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil {
		j.last = f
		return f
	}
	if j.last == nil {
		j.log.Error("nobody is trusted", "err", err)
		j.last = new(trust.File)
	}
	return j.last
}
