package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/everythingstays/es/node"
	"github.com/everythingstays/es/records"
)

// askOwnLog is how long peers have to give what the own key signed elsewhere.
const askOwnLog = 30 * time.Second

// catchUp asks the peers that can be reached for what the key has signed elsewhere
// (SPEC.md [X90]): a home that was lost, or another machine, may have signed more than
// is here. It refuses to go on where the log may be behind and nobody could be asked.
func (p *statements) catchUp(ctx context.Context) error {
	a, author := p.app, p.own.Fingerprint()
	known, err := p.home.Index().LogKnown(ctx, author)
	if err != nil {
		return err
	}
	asked, why := 0, "--offline was given"
	if !a.offline {
		if asked, why, err = a.askPeers(ctx, p.home, node.SyncOptions{Authors: []records.Fingerprint{author}, Search: !known}); err != nil {
			return err
		}
	}
	gaps, err := p.home.Index().Gaps(ctx, author, 1)
	if err != nil {
		return err
	}
	switch {
	case a.first:
	case len(gaps) > 0:
		return logUnknown(author, why, fmt.Sprintf("its record %s, which a later one names, is not here", gaps[0]))
	case !known && asked == 0 && !(p.own.GPG && a.offline):
		return logUnknown(author, why, "it was not made in this home, and has signed nothing here yet")
	case !known && asked == 0:
		a.warn("nobody was asked what key %s has signed elsewhere: a version that it released before would be frozen for ever", author)
	case !known:
		if err := p.tellFound(ctx, asked); err != nil {
			return err
		}
	case asked == 0 && !a.offline:
		a.note("nobody could be asked whether your key has signed more elsewhere (%s)", why)
	}
	if !known && (a.first || asked > 0) {
		return p.home.Index().SetLogKnown(ctx, author)
	}
	return nil
}

// tellFound says what came of asking for the log of a key that is new here.
func (p *statements) tellFound(ctx context.Context, asked int) error {
	all, err := p.home.Index().Statements(ctx, p.own.Fingerprint())
	if err != nil {
		return err
	}
	if len(all) > 0 {
		p.app.note("your key is new here: %s of it came from %s", plural(int64(len(all)), "record"), plural(int64(asked), "peer"))
		return nil
	}
	p.app.warn("your key is new here, and %s asked had no record of it: if it has signed elsewhere, stop, and es connect to a peer that knows", plural(int64(asked), "peer"))
	return nil
}

// askPeers returns how many peers answered, and why none did.
func (a *app) askPeers(ctx context.Context, h *node.Home, o node.SyncOptions) (asked int, why string, err error) {
	network, err := a.join(ctx, h)
	if err != nil {
		return 0, safe(err.Error()), ctx.Err()
	}
	defer network.Close()
	asking, cancel := context.WithTimeout(ctx, askOwnLog)
	defer cancel()
	s, err := network.Sync(asking, o, nil)
	switch {
	case ctx.Err() != nil:
		return 0, "", ctx.Err()
	case err != nil:
		return 0, safe(err.Error()), nil
	case s.Peers == 0:
		return 0, nobodyAnswered(s).Error(), nil
	}
	return s.Peers, "", nil
}

// logUnknown refuses to sign with a key whose own log may be longer than what is here.
func logUnknown(author records.Fingerprint, why, because string) error {
	r := &refusal{kind: unknownLog, code: exitUnreachable, about: author.String(), meaning: meanings[unknownLog]}
	r.err = errors.New("what key " + r.about + " has signed elsewhere is not known here, and nobody could be asked")
	if why == "" {
		r.err = errors.New("what key " + r.about + " has signed elsewhere is not all here")
		why = "the peers that were asked do not have it"
	}
	r.add("because", "%s", because)
	r.add("asked", "nobody: %s", why)
	r.next = []string{
		"es connect ADDR, of a peer that has what you published, and then the same again",
		"the same with --first, if the key has never signed anything that is not here",
	}
	return r
}
