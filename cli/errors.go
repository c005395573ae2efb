package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

// fail prints err with its hints and returns the exit code.
func (a App) fail(ctx context.Context, err error) int {
	if ctx.Err() != nil { // whatever came of it
		return a.Interrupted(context.Cause(ctx))
	}
	code, hints := ui.Explain(err, exitCode(err))
	if len(hints) == 0 && !errors.As(err, new(*ui.Refusal)) {
		hints = typedHints(err)
	}
	return a.Fail(err, code, hints)
}

// exitCode is that of the type of an error.
func exitCode(err error) int {
	var (
		unknownKey  *sign.UnknownKeyError
		untrusted   *resolve.UntrustedError
		conflict    *resolve.ConflictError
		held        *resolve.HeldError
		signature   *sign.SignatureError
		equivocated *index.EquivocationError
		format      *records.FormatError
		tree        *unixfs.RuleError
		integrity   *install.IntegrityError
		notFound    *resolve.NotFoundError
		noRecord    *index.NotFoundError
		unreachable *api.UnreachableError
		constraint  *resolve.ConstraintError
	)
	switch {
	case errors.As(err, &unknownKey), errors.As(err, &untrusted), errors.As(err, &conflict), errors.As(err, &held):
		return ui.ExitTrust
	case errors.As(err, &signature), errors.As(err, &equivocated), errors.As(err, &format), errors.As(err, &tree), errors.As(err, &integrity):
		return ui.ExitIntegrity
	case errors.As(err, &notFound), errors.As(err, &noRecord):
		return ui.ExitNotFound
	case errors.As(err, &unreachable):
		return ui.ExitUnreachable
	case errors.As(err, &constraint):
		return ui.ExitUsage
	}
	return ui.ExitFailed
}

// typedHints gives the hints that follow from the type of an error alone.
func typedHints(err error) []string {
	var (
		equivocated *index.EquivocationError
		notFound    *resolve.NotFoundError
		noRecord    *index.NotFoundError
		syntax      *trust.SyntaxError
		broken      *install.SyntaxError
	)
	switch {
	case errors.Is(err, sign.ErrNoPinentry):
		return []string{
			"at a terminal: export GPG_TTY=$(tty)",
			"without one, as in CI: give the agent the passphrase first (gpg-preset-passphrase), put pinentry-mode loopback and passphrase-file FILE into gpg.conf, or es key import a key of its own",
		}
	case errors.Is(err, home.ErrNotHome):
		return []string{"--home and ES_HOME name a directory of es's own: an empty one, or one that is not there yet"}
	case errors.Is(err, home.ErrForeign):
		return []string{"run es as that user, or choose a home of your own with --home or ES_HOME"}
	case errors.Is(err, home.ErrReadOnly):
		return []string{"choose a home that can be written with --home or ES_HOME; commands that only read work with this one"}
	case errors.As(err, &equivocated):
		return []string{fmt.Sprintf("es info %s shows both, and the versions that are not frozen", equivocated.Name)}
	case errors.Is(err, sign.ErrPassphrase):
		return []string{"type the same again; a passphrase that is lost cannot be replaced: es key import FILE takes a backup of the key, es key new makes another key"}
	case errors.As(err, &notFound) && len(notFound.Have) > 0:
		return []string{fmt.Sprintf("es info %s shows its versions; es sync asks for newer ones", notFound.Name)}
	case errors.As(err, &notFound), errors.As(err, &noRecord):
		return []string{"es search looks for other names; es connect ADDR finds more records"}
	case errors.As(err, &syntax):
		return SyntaxHints(syntax)
	case errors.As(err, &broken) && broken.File == "es-lock.json":
		return []string{"take the last good es-lock.json back, as from version control; or remove it: es install makes it anew, and may choose other versions"}
	}
	return nil
}

// SyntaxHints say how to mend a trust file.
func SyntaxHints(e *trust.SyntaxError) []string {
	mend := fmt.Sprintf("mend line %d of %s in an editor; until then nothing is done that needs trust, since the line may deny a key", e.Line, ui.Safe(e.Path))
	if filepath.Base(e.Path) == trust.ProjectFile {
		return []string{mend}
	}
	return []string{mend, fmt.Sprintf("es trust list shows the lines that can be read; es trust remove --line %d takes this one away", e.Line)}
}

// untrustedHints names the keys that the user may decide about.
func untrustedHints(e *resolve.UntrustedError) []string {
	var hints []string
	for _, s := range e.Signers {
		hint := fmt.Sprintf("es trust add %s %s", s.Key, e.Name)
		if e.Decision.State == trust.Denied {
			hint = fmt.Sprintf("es trust remove %s takes your denial back", s.Key)
		}
		says := "says: " + ui.UIDText(s.UserID)
		if e.Keys > 1 && e.Decision.State != trust.Denied {
			says += fmt.Sprintf("; %s, known here since %s", ui.Plural(int64(s.Releases), "release"), s.FirstSeen.Format(time.DateOnly))
		}
		hints = append(hints, fmt.Sprintf("%s   (%s)", hint, says))
	}
	if rest := e.Keys - len(e.Signers); rest > 0 {
		hints = append(hints, fmt.Sprintf("es info %s shows more of the %s that sign it", e.Name, ui.Plural(int64(e.Keys), "key")))
	}
	return hints
}
