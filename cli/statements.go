package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/author"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// homeKey is an own key of a home, as package author signs with it.
type homeKey struct {
	home.OwnKey
	home       *home.Home
	gpg        sign.GPG
	passphrase func() ([]byte, error)
}

// Signer implements author.Keyring.
func (k homeKey) Signer(ctx context.Context) (sign.Signer, error) {
	return k.home.Signer(ctx, k.OwnKey, k.gpg, k.passphrase)
}

// LockSigning implements author.Keyring.
func (k homeKey) LockSigning(ctx context.Context) (unlock func(), err error) {
	return k.home.LockSigning(ctx)
}

// author returns who signs with the own key.
func (a *app) author(ctx context.Context, h *home.Home, own home.OwnKey) *author.Author {
	return author.New(own.Key, homeKey{own, h, a.gpg(), a.passphrase(ctx)}, h.Index(), time.Now)
}

// statementJSON is what a command that signs one statement prints.
type statementJSON struct {
	Record string `json:"record"`
	Kind   string `json:"kind"`
	Author string `json:"author"`
	Peers  int    `json:"peers"`
}

// A statement makes the body of a record when what it needs to know of the home and of the
// author is up to date, and says what it is about.
type statement func(context.Context, *home.Home, *author.Author) (records.Body, error)

// signAndAnnounce signs one statement and announces it.
func (a *app) signAndAnnounce(cmd *cobra.Command, key string, make statement) error {
	ctx := cmd.Context()
	if err := checkKeyFlag(cmd, key); err != nil {
		return err
	}
	return a.withHome(ctx, func(h *home.Home) error {
		own, err := a.signingKey(ctx, h, key)
		if err != nil {
			return err
		}
		by := a.author(ctx, h, own)
		if err := a.catchUp(ctx, h, own, by); err != nil {
			return err
		}
		body, err := make(ctx, h, by)
		if err != nil {
			return authorRefusal(err)
		}
		made, err := by.Say(ctx, body)
		if err != nil {
			return authorRefusal(err)
		}
		if made.Before {
			a.Note("%s", saidBefore(body))
		}
		peers := a.announce(ctx, h, by.Made())
		if a.JSON {
			return a.Emit(statementJSON{made.Record.String(), body.Kind(), own.Fingerprint().String(), peers})
		}
		a.Printf("%s", made.Record)
		return nil
	})
}

// saidBefore says that a statement stands already.
func saidBefore(body records.Body) string {
	done := map[string]string{records.Yanked: "is yanked", records.Deprecated: "is deprecated", records.Advisory: "has that advisory"}
	n, ok := body.(*records.Notice)
	if !ok {
		return "the key says that already; announcing it again"
	}
	return fmt.Sprintf("%s@%s %s already, in these words; announcing it again", n.Name, n.Range, done[n.NoticeOf])
}

// keyFlag adds the flags of every command that signs.
func (a *app) keyFlag(cmd *cobra.Command, key *string) {
	cmd.Flags().StringVar(key, "key", "", "fingerprint of the own key that signs (default: es key use)")
	cmd.Flags().BoolVar(&a.First, "first", false, "the key has signed nothing that is not here, also where no peer can be asked")
}

// checkKeyFlag refuses an empty --key, most often a variable that is not set: it does not
// mean the default key.
func checkKeyFlag(cmd *cobra.Command, key string) error {
	if key == "" && cmd.Flags().Changed("key") {
		return usagef(cmd, "--key is an empty text, and names no key")
	}
	return nil
}

// authorRefusal makes what is shown of an error of package author; others come back as
// they are.
func authorRefusal(err error) error {
	var (
		frozenBefore *author.FrozenError
		published    *author.PublishedError
		latest       *author.LatestError
		noLog        *author.UnknownLogError
		ended        *author.KeyEndedError
		private      *author.PrivateError
		notSaid      *author.NotSaidError
		unknown      *author.UnknownVersionError
		ambiguous    *author.AmbiguousError
		record       *author.RecordError
		tag          *author.TagError
	)
	switch {
	case errors.As(err, &frozenBefore):
		return refuseFrozen(frozenBefore)
	case errors.As(err, &published):
		return refusePublished(published)
	case errors.As(err, &latest):
		return refuseLatest(latest)
	case errors.As(err, &noLog):
		return refuseUnknownLog(noLog)
	case errors.As(err, &ended):
		return refuseEndedKey(ended)
	case errors.As(err, &private):
		return refusePrivate(private)
	case errors.As(err, &notSaid):
		return ui.Coded(ui.ExitNotFound, err, notSaidHints(notSaid)...)
	case errors.As(err, &unknown) && unknown.Module.Defined():
		return ui.Coded(ui.ExitNotFound, err, "es info "+string(unknown.Name)+" shows who says what")
	case errors.As(err, &unknown):
		return ui.Coded(ui.ExitNotFound, err, "es info "+string(unknown.Name)+" shows what is", "es sync")
	case errors.As(err, &ambiguous):
		return ui.Hinted(err, "name the one that you looked at with --module CID")
	case errors.As(err, &record) && record.About != "":
		return ui.Coded(ui.ExitFailed, err, "a record holds what package.json says of dependencies, programs and keywords: bundle some, or split the package")
	case errors.As(err, &record), errors.As(err, &tag): // by what the user asked for; nobody sent anything wrong
		return ui.Coded(ui.ExitFailed, err)
	case errors.As(err, new(*index.ExhaustedError)):
		return ui.Hinted(err, "es key new makes a key, and es rotate moves to it")
	}
	return err
}

func notSaidHints(e *author.NotSaidError) []string {
	switch b := e.Body.(type) {
	case *records.Tag:
		return []string{"es info " + string(b.Name) + " shows the tags"}
	case *records.Notice:
		if len(e.Ranges) == 0 {
			return []string{"es info " + string(b.Name) + " shows what was said"}
		}
		var ranges []string
		for _, r := range e.Ranges[:min(len(e.Ranges), 5)] {
			ranges = append(ranges, string(b.Name)+"@"+ui.ShellWord(r))
		}
		return []string{"it stands for " + strings.Join(ranges, ", ")}
	}
	return nil
}

func refuseFrozen(e *author.FrozenError) error {
	r := &ui.Refusal{Kind: frozen, Code: ui.ExitIntegrity, About: fmt.Sprintf("%s@%s", e.Name, e.Version), Err: e}
	for _, m := range e.Modules {
		r.Add("module", "%s", m)
	}
	r.Add("key", "%s", e.Author)
	r.Meaning = meanings[frozen] + "\nNothing was signed or published."
	r.Next = []string{"raise the version in package.json and publish that", "es why " + r.About + " --proof proof writes both records"}
	return r
}

func refusePublished(e *author.PublishedError) error {
	r := &ui.Refusal{Kind: alreadyPublished, Code: ui.ExitFailed, About: fmt.Sprintf("%s@%s", e.Name, e.Version), Err: e}
	r.Add("before", "%s", e.Before)
	r.Add("now", "%s", e.Now)
	r.Add("key", "%s", e.Author)
	r.Meaning = meanings[alreadyPublished] + "\nNothing was signed or published."
	r.Next = []string{"raise the version in package.json and publish that"}
	return r
}

// refuseLatest leads to a tag: the usual one of pre-releases, or that of an older line.
func refuseLatest(e *author.LatestError) error {
	r := &ui.Refusal{Kind: needsTag, Code: ui.ExitFailed, About: fmt.Sprintf("%s@%s", e.Name, e.Version), Meaning: meanings[needsTag], Err: e}
	example := "next"
	if e.Highest != "" {
		example = "v" + strings.SplitN(string(e.Version), ".", 2)[0] + "-lts"
		r.Add("highest", "%s", e.Highest)
	} else {
		r.Add("because", "it is a pre-release, and no tag was given")
	}
	r.Next = []string{"es publish --tag " + example + " leaves latest where it is", "es publish --tag latest moves latest to " + string(e.Version)}
	return r
}

func refuseUnknownLog(e *author.UnknownLogError) error {
	r := &ui.Refusal{Kind: unknownLog, Code: ui.ExitUnreachable, About: e.Author.String(), Meaning: meanings[unknownLog], Err: e}
	because, why := "it was not made in this home, and has signed nothing here yet", e.Why
	if e.Missing.Defined() {
		because = fmt.Sprintf("its record %s, which a later one names, is not here", e.Missing)
	}
	if why == "" {
		why = "the peers that were asked do not have it"
	}
	r.Add("because", "%s", because)
	r.Add("asked", "nobody: %s", why)
	r.Next = []string{
		"es connect ADDR, of a peer that has what you published, and then the same again",
		"the same with --first, if the key has never signed anything that is not here",
	}
	return r
}

func refuseEndedKey(e *author.KeyEndedError) error {
	r := &ui.Refusal{Kind: keyExpired, Code: ui.ExitFailed, About: e.Key.Fingerprint().String(), Err: e}
	if e.Revoked {
		r.Kind = keyRevoked
	}
	r.Meaning = meanings[r.Kind]
	r.Add("because", "it is %s", e.Problem())
	r.Add("says", "%s", ui.UIDText(e.Key.UserID()))
	r.Next = []string{"es key list shows your other keys, and es key use KEY takes one", "es key new makes one"}
	return r
}

func refusePrivate(e *author.PrivateError) error {
	r := &ui.Refusal{Kind: private, Code: ui.ExitFailed, About: e.Package, Meaning: meanings[private], Err: e}
	r.Next = []string{`take "private" out of package.json, if everybody may have the package for ever`}
	return r
}
