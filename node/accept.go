package node

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/index"
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
	home  *Home
	index *index.Index
	log   *slog.Logger
	now   func() time.Time
	quota *quota
	// stored is told of each new record.
	stored func(ctx context.Context, v sign.Verified, o index.Outcome)
	circle circle
	given  *given // may be nil

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
	if known {
		return gossip.Ignore
	}
	author := env.Record.Author
	if _, err := j.circle.current(ctx, j); err != nil {
		return j.verdict(ctx, m, err)
	}
	trusted, denied := j.standing(author)
	if denied || !j.quota.left(author, trusted, j.now()) {
		return gossip.Ignore
	}
	// What will not be taken whatever its signature says is not worth verifying: old
	// records cost nothing to repeat, and nobody is to blame for them.
	fresh := j.fresh(time.Unix(env.Record.Time, 0))
	if !fresh && !trusted {
		return gossip.Ignore
	}
	key, v, err := j.open(ctx, f, author)
	if err != nil {
		return j.verdict(ctx, m, err)
	}
	if !j.quota.take(author, trusted, j.now()) {
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
	key, err := sign.ParseKey(m.Data)
	if err != nil {
		return j.verdict(ctx, m, err)
	}
	if m.Local {
		return gossip.Accept
	}
	trusted, denied := j.standing(key.Fingerprint())
	have, err := j.index.Key(ctx, key.Fingerprint())
	if err != nil {
		return j.verdict(ctx, m, err)
	}
	if denied || !j.quota.take(key.Fingerprint(), trusted, j.now()) {
		return gossip.Ignore
	}
	if have == nil && !trusted {
		// Keys without records cost others nothing to make: they are not kept,
		// but someone else may need this one.
		return gossip.Accept
	}
	_, changed, err := j.index.AddKey(ctx, key)
	if err != nil {
		return j.verdict(ctx, m, err)
	}
	if changed {
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
	own, err := j.home.ownFingerprints()
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
