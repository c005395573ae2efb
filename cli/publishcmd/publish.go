package publishcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/author"
	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
)

type publishOptions struct {
	tag    string
	dryRun bool
	key    string
	yes    bool
	allow  []string      // paths of secrets
	wait   time.Duration // for a peer that has the files; 0 for not
}

func publishCommand(a cli.App) *cobra.Command {
	var o publishOptions
	cmd := &cobra.Command{
		Use:   "publish [DIR]",
		Short: "sign a module and announce it",
		Long: `Packs the package in DIR (default: here) with the files that npm would publish,
signs a record of its name, version and CID, and tells the peers that are there.
Without connected peers the record is queued, and announced when one connects.

Peers that seed your modules fetch the files at once; until one has them, they
are here alone. A running es node serves them; without one, --wait stays until a
peer has them all, and ends with exit code 6 when none has after 10 minutes, or
the time that is given: --wait 1h.

A name and version can be published once, and never be taken back. So peers are
asked first what your key signed elsewhere; what the package lacks is shown; and
private keys are refused. Scripts of the package are not run: build first.

As with npm, the tag latest moves to the version unless another tag is given by
--tag, npm_config_tag or publishConfig, and npm_config_dry_run is --dry-run.`,
		Args: cli.Arguments(0, 2, "at most one directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := o.check(cmd, args)
			if err != nil {
				return err
			}
			if npmFlag(a, "dry_run") && !o.dryRun {
				o.dryRun = true
				a.Note("npm_config_dry_run is set: this is a dry run")
			}
			if o.dryRun {
				return runDryRun(cmd.Context(), a, dir, o)
			}
			return a.WithHome(cmd.Context(), func(h *home.Home) error { return runPublish(cmd.Context(), a, h, dir, o) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.tag, "tag", "", "point this tag at the version, instead of latest")
	f.BoolVar(&o.dryRun, "dry-run", false, "do everything but sign and store, and show the files")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask: publish what lacks something, too")
	f.StringArrayVar(&o.allow, "allow-secret", nil, "publish this file although it holds a private key or token, such as one for tests; may be repeated")
	keyFlag(a, cmd, &o.key)
	f.DurationVar(&o.wait, "wait", 0, "stay until a peer has the files, for at most this time")
	f.Lookup("wait").NoOptDefVal = spreadWait.String()
	return cmd
}

// check reads the arguments and returns the directory to publish.
func (o *publishOptions) check(cmd *cobra.Command, args []string) (dir string, err error) {
	if args, err = o.waitArgument(cmd, args); err != nil {
		return "", err
	}
	if err := cli.Arguments(0, 1, "at most one directory")(cmd, args); err != nil {
		return "", err
	}
	dir = "."
	if len(args) == 1 {
		dir = args[0]
	}
	if dir == "" { // most often a variable that is not set: it does not mean here
		return "", cli.Usagef(cmd, "the directory to publish is an empty text")
	}
	if cmd.Flags().Changed("tag") {
		if err := records.CheckTag(o.tag); err != nil {
			return "", cli.Usagef(cmd, "%v", err)
		}
	}
	return dir, checkKeyFlag(cmd, o.key)
}

type publishJSON struct {
	Name     records.Name    `json:"name"`
	Version  records.Version `json:"version"`
	Module   string          `json:"module"`
	Record   string          `json:"record,omitempty"`
	Envelope string          `json:"envelope,omitempty"`
	Files    int64           `json:"files"`
	Size     int64           `json:"size"`
	Tag      string          `json:"tag,omitempty"`
	spreading
	List []fileJSON `json:"list,omitempty"`
}

type fileJSON struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
	Mode string `json:"mode"`
}

// scan lists the files that would be published, and refuses those that must not be; h
// is nil where there is no home.
func scan(ctx context.Context, a cli.App, h *home.Home, dir string, o publishOptions) (*modules.FileSet, error) {
	home, err := a.HomeDir()
	if err != nil {
		return nil, err
	}
	set, err := author.Scan(dir, home)
	if errors.As(err, new(*author.PrivateError)) {
		return nil, authorRefusal(err)
	}
	if err != nil {
		return nil, unpackable(dir, err)
	}
	if len(o.allow) > 0 {
		if err := allowSecrets(ctx, a, h, dir, set, o.allow); err != nil {
			return nil, err
		}
	}
	return set, nil
}

// tags says which tag moves to what is published from the package.
func tags(a cli.App, o publishOptions, pkg *modules.PackageJSON) author.PublishOptions {
	return author.PublishOptions{Tag: o.tag, Usual: []author.Asked{
		{Tag: npmConfig(a, "tag"), By: "npm_config_tag"},
		{Tag: pkg.PublishConfig().Tag, By: "publishConfig of package.json"},
	}}
}

func runDryRun(ctx context.Context, a cli.App, dir string, o publishOptions) error {
	where, err := a.HomeDir()
	if err != nil {
		return err
	}
	if _, err := os.Stat(where); errors.Is(err, os.ErrNotExist) {
		if err := rehearse(ctx, a, nil, nil, dir, o); err != nil { // and makes no home by that
			return err
		}
		return cli.KeyHint(home.ErrNoKey)
	}
	return a.ReadingHome(ctx, func(h *home.Home) error {
		_, err := h.Default(ctx)
		if o.key == "" && errors.Is(err, home.ErrNoKey) {
			if err := rehearse(ctx, a, h, nil, dir, o); err != nil {
				return err
			}
			return cli.KeyHint(home.ErrNoKey)
		}
		own, err := signingKey(ctx, a, h, o.key)
		if err != nil {
			return err
		}
		return rehearse(ctx, a, h, &own, dir, o)
	})
}

// rehearse does all that publishing does but sign and store, and shows the files. h is nil
// where there is no home, and own where it has no key.
func rehearse(ctx context.Context, a cli.App, h *home.Home, own *home.OwnKey, dir string, o publishOptions) error {
	set, err := scan(ctx, a, h, dir, o)
	if err != nil {
		return err
	}
	m, err := set.Pack(ctx, unixfs.Discard)
	if err != nil {
		return unpackable(dir, err)
	}
	var by *author.Author
	if own != nil {
		by = newAuthor(ctx, a, h, *own)
		if err := catchUp(ctx, a, h, *own, by, true); err != nil {
			return err
		}
		if _, err := by.Prepare(ctx, m, tags(a, o, set.Package)); err != nil {
			return authorRefusal(err)
		}
	}
	if err := showUnpublished(a, set, m); err != nil {
		return err
	}
	return tellLacks(ctx, a, h, by, set, o)
}

// showUnpublished prints the files of a module that was not published.
func showUnpublished(a cli.App, set *modules.FileSet, m *modules.Module) error {
	j := publishJSON{Name: m.Name, Version: m.Version, Module: m.CID.String(), Files: m.Files, Size: m.Size}
	for _, f := range set.Files {
		mode := "0644"
		if f.Exec {
			mode = "0755"
		}
		j.List = append(j.List, fileJSON{f.Path, f.Size, mode})
	}
	if a.JSON {
		return a.Emit(j)
	}
	var rows [][]string
	for _, f := range j.List {
		rows = append(rows, []string{f.Mode, ui.BytesText(f.Size), ui.Safe(f.Path)})
	}
	a.Table(rows)
	a.Printf("%s@%s", m.Name, m.Version)
	a.Printf("  module  %s  (%s, %s)", m.CID, ui.Plural(m.Files, "file"), ui.BytesText(m.Size))
	a.Note("nothing was signed or stored")
	return nil
}

func runPublish(ctx context.Context, a cli.App, h *home.Home, dir string, o publishOptions) error {
	own, err := signingKey(ctx, a, h, o.key)
	if err != nil {
		return err
	}
	by := newAuthor(ctx, a, h, own)
	set, err := scan(ctx, a, h, dir, o)
	if err != nil {
		return err
	}
	blocks := h.Blocks().Batch()
	m, err := set.Pack(ctx, blocks)
	if err != nil {
		return unpackable(dir, err)
	}
	if err := catchUp(ctx, a, h, own, by, false); err != nil {
		return err
	}
	p, err := by.Prepare(ctx, m, tags(a, o, set.Package))
	if err != nil {
		return authorRefusal(err)
	}
	if !p.ReleasedBefore() {
		if err := tellLacks(ctx, a, h, by, set, o); err != nil {
			return err
		}
	}
	if err := blocks.Commit(ctx); err != nil {
		return fmt.Errorf("store module: %w", err)
	}
	released, err := p.Sign(ctx)
	if err != nil {
		return authorRefusal(err)
	}
	if released.Before {
		a.Note("%s@%s was published before with these contents; announcing it again", m.Name, m.Version)
	}
	spread, err := spread(ctx, a, h, by.Made(), m.CID, o.wait)
	if err != nil {
		return err
	}
	return printPublished(a, m, released, spread, o.wait)
}

// printPublished prints what was published. It is an error that nobody has fetched it in the
// time that the user waits.
func printPublished(a cli.App, m *modules.Module, r author.Released, s spreading, wait time.Duration) error {
	var late error
	if s.waited {
		late = unspread(fmt.Sprintf("%s@%s", m.Name, m.Version), wait)
	}
	if a.JSON {
		return errors.Join(late, a.Emit(publishJSON{
			Name: m.Name, Version: m.Version, Module: m.CID.String(), Record: r.Record.String(), Envelope: r.Envelope.String(),
			Files: m.Files, Size: m.Size, Tag: r.Tag, spreading: s,
		}))
	}
	a.Printf("%s@%s", m.Name, m.Version)
	a.Printf("  module  %s  (%s, %s)", m.CID, ui.Plural(m.Files, "file"), ui.BytesText(m.Size))
	a.Printf("  record  %s", r.Record)
	if r.Tag != "" {
		a.Printf("  tag     %s", r.Tag)
	}
	return late
}

func signingKey(ctx context.Context, a cli.App, h *home.Home, which string) (home.OwnKey, error) {
	var args []string
	if which != "" {
		args = []string{which}
	}
	_, own, err := a.FindKey(ctx, h, args)
	if err != nil {
		return home.OwnKey{}, err
	}
	if own == nil {
		return home.OwnKey{}, fmt.Errorf("key %s is not yours, so it cannot sign here", which)
	}
	if own.GPG && author.CheckKey(own.Key, time.Now()) != nil {
		// It may have been renewed in gpg since es read it. What es knows of its
		// end is kept.
		if _, err := a.UsedKey(ctx, h, "gpg:"+own.Fingerprint().String()); err == nil {
			renewed, err := h.OwnKey(ctx, own.Fingerprint())
			if err != nil {
				return home.OwnKey{}, err
			}
			own = &renewed
		}
	}
	if err := author.CheckKey(own.Key, time.Now()); err != nil {
		err := authorRefusal(err)
		var r *ui.Refusal
		if own.GPG && errors.As(err, &r) && r.Kind == cli.KeyExpired {
			r.Next = append(r.Next, "gpg --quick-set-expire "+r.About+" 1y renews it, and es key use gpg:"+r.About+" tells es")
		}
		return home.OwnKey{}, err
	}
	return *own, nil
}

// announce tells whoever is there and returns how many heard it. Records that
// nobody heard wait in the outbox.
func announce(ctx context.Context, a cli.App, h *home.Home, ids []cid.Cid) int {
	return a.Send(ctx, h, "queued, and announced when a peer connects", func(n api.Network) (api.Announced, error) { return n.Announce(ctx, ids) })
}
