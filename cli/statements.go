package cli

import (
	"context"
	"errors"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/node"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// statements makes and stores the records of one command, by one own key.
type statements struct {
	app    *app
	home   *node.Home
	own    node.OwnKey
	signer sign.Signer // opened when first needed
	held   bool        // nobody else signs in this home now
	made   []cid.Cid   // to be announced
}

type published struct {
	ID, envelope cid.Cid
}

// hold opens the key, and keeps every other process from signing in this home until
// release is called.
func (p *statements) hold(ctx context.Context) (release func(), err error) {
	if p.signer == nil {
		s, err := p.home.Signer(ctx, p.own, p.app.gpg(), p.app.passphrase(ctx))
		if err != nil {
			return nil, err
		}
		p.signer = s
	}
	if p.held {
		return func() {}, nil
	}
	unlock, err := p.home.LockSigning(ctx)
	if err != nil {
		return nil, err
	}
	p.held = true
	return func() { p.held = false; unlock() }, nil
}

// next is the author's next record, not signed.
func (p *statements) next(ctx context.Context, body records.Body) (*records.Record, error) {
	author := p.own.Fingerprint()
	seq, prev, err := p.home.Index().Head(ctx, author)
	if errors.As(err, new(*index.ExhaustedError)) {
		if _, ok := body.(*records.Successor); !ok {
			return nil, hinted(err, "es key new makes a key, and es rotate moves to it")
		}
		seq, prev, err = p.home.Index().HeadBefore(ctx, author)
	}
	if err != nil {
		return nil, err
	}
	return &records.Record{Author: author, Seq: seq, Prev: prev, Time: time.Now().Unix(), Body: body}, nil
}

// sign makes the author's next record and stores it.
func (p *statements) sign(ctx context.Context, body records.Body) (published, error) {
	release, err := p.hold(ctx)
	if err != nil {
		return published{}, err
	}
	defer release()
	r, err := p.next(ctx, body)
	if err != nil {
		return published{}, err
	}
	v, err := sign.Sign(ctx, p.signer, r)
	if errors.As(err, new(*records.FormatError)) {
		return published{}, coded(exitFailed, err) // by what the user asked for; nobody sent anything wrong
	}
	if err != nil {
		return published{}, err
	}
	if _, err := p.home.Index().Add(ctx, v, p.signer.Key(), index.Source{Own: true}); err != nil {
		return published{}, err
	}
	p.made = append(p.made, v.ID())
	return published{v.ID(), v.EnvelopeID()}, nil
}

// saidJSON is what a command that signs one statement prints.
type saidJSON struct {
	Record string `json:"record"`
	Kind   string `json:"kind"`
	Author string `json:"author"`
	Peers  int    `json:"peers"`
}

// say signs one statement and announces it. What body needs to know of the home and of
// the key is up to date.
func (a *app) say(cmd *cobra.Command, key string, body func(context.Context, *statements) (records.Body, error)) error {
	ctx := cmd.Context()
	if err := checkKeyFlag(cmd, key); err != nil {
		return err
	}
	return a.withHome(ctx, func(h *node.Home) error {
		own, err := a.signingKey(ctx, h, key)
		if err != nil {
			return err
		}
		s := &statements{app: a, home: h, own: own}
		if err := s.catchUp(ctx); err != nil {
			return err
		}
		b, err := body(ctx, s)
		if err != nil {
			return err
		}
		made, err := s.sign(ctx, b)
		if err != nil {
			return err
		}
		told := a.announce(ctx, h, s.made)
		if a.json {
			return a.emit(saidJSON{made.ID.String(), b.Kind(), own.Fingerprint().String(), told})
		}
		a.printf("%s", made.ID)
		return nil
	})
}

// keyFlag adds the flags of every command that signs.
func (a *app) keyFlag(cmd *cobra.Command, key *string) {
	cmd.Flags().StringVar(key, "key", "", "fingerprint of the own key that signs (default: es key use)")
	cmd.Flags().BoolVar(&a.first, "first", false, "the key has signed nothing that is not here, also where no peer can be asked")
}

// checkKeyFlag refuses an empty --key, most often a variable that is not set: it does not
// mean the default key.
func checkKeyFlag(cmd *cobra.Command, key string) error {
	if key == "" && cmd.Flags().Changed("key") {
		return usagef(cmd, "--key is an empty text, and names no key")
	}
	return nil
}
