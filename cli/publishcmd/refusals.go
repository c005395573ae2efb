package publishcmd

import (
	"errors"
	"fmt"
	"strings"

	"github.com/everythingstays/es/author"
	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/records"
)

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
	case errors.As(err, new(*authorlog.ExhaustedError)):
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
	r := &ui.Refusal{Kind: cli.Frozen, Code: ui.ExitIntegrity, About: fmt.Sprintf("%s@%s", e.Name, e.Version), Err: e}
	for _, m := range e.Modules {
		r.Add("module", "%s", m)
	}
	r.Add("key", "%s", e.Author)
	r.Meaning = cli.Meanings[cli.Frozen] + "\nNothing was signed or published."
	r.Next = []string{"raise the version in package.json and publish that", "es why " + r.About + " --proof proof writes both records"}
	return r
}

func refusePublished(e *author.PublishedError) error {
	r := &ui.Refusal{Kind: cli.AlreadyPublished, Code: ui.ExitFailed, About: fmt.Sprintf("%s@%s", e.Name, e.Version), Err: e}
	r.Add("before", "%s", e.Before)
	r.Add("now", "%s", e.Now)
	r.Add("key", "%s", e.Author)
	r.Meaning = cli.Meanings[cli.AlreadyPublished] + "\nNothing was signed or published."
	r.Next = []string{"raise the version in package.json and publish that"}
	return r
}

// refuseLatest leads to a tag: the usual one of pre-releases, or that of an older line.
func refuseLatest(e *author.LatestError) error {
	r := &ui.Refusal{Kind: cli.NeedsTag, Code: ui.ExitFailed, About: fmt.Sprintf("%s@%s", e.Name, e.Version), Meaning: cli.Meanings[cli.NeedsTag], Err: e}
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
	r := &ui.Refusal{Kind: cli.UnknownLog, Code: ui.ExitUnreachable, About: e.Author.String(), Meaning: cli.Meanings[cli.UnknownLog], Err: e}
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
	r := &ui.Refusal{Kind: cli.KeyExpired, Code: ui.ExitFailed, About: e.Key.Fingerprint().String(), Err: e}
	if e.Revoked {
		r.Kind = cli.KeyRevoked
	}
	r.Meaning = cli.Meanings[r.Kind]
	r.Add("because", "it is %s", e.Problem())
	r.Add("says", "%s", ui.UIDText(e.Key.UserID()))
	r.Next = []string{"es key list shows your other keys, and es key use KEY takes one", "es key new makes one"}
	return r
}

func refusePrivate(e *author.PrivateError) error {
	r := &ui.Refusal{Kind: cli.Private, Code: ui.ExitFailed, About: e.Package, Meaning: cli.Meanings[cli.Private], Err: e}
	r.Next = []string{`take "private" out of package.json, if everybody may have the package for ever`}
	return r
}
