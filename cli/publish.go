package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/node"
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

func (a *app) publishCommand() *cobra.Command {
	var o publishOptions
	cmd := &cobra.Command{
		Use:   "publish [DIR]",
		Short: "sign a module and announce it",
		Long: `Packs the package in DIR (default: here) with the files that npm would publish,
signs a record of its name, version and CID, and tells the peers that are there.
With nobody there the record is kept and spreads when a peer is met.

Peers that seed your modules fetch the files at once; until one has them, they
are here alone. A running es node serves them; without one, --wait stays until a
peer has them all, and ends with exit code 6 when none has after 10 minutes, or
the time that is given: --wait 1h.

A name and version can be published once, and never be taken back. So peers are
asked first what your key signed elsewhere; what the package lacks is shown; and
private keys are refused. Scripts of the package are not run: build first.

As with npm, the tag latest moves to the version unless another tag is given by
--tag, npm_config_tag or publishConfig, and npm_config_dry_run is --dry-run.`,
		Args: arguments(0, 2, "at most one directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			args, err := o.waitArgument(cmd, args)
			if err != nil {
				return err
			}
			if err := arguments(0, 1, "at most one directory")(cmd, args); err != nil {
				return err
			}
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			if dir == "" { // most often a variable that is not set: it does not mean here
				return usagef(cmd, "the directory to publish is an empty text")
			}
			if cmd.Flags().Changed("tag") {
				if err := records.CheckTag(o.tag); err != nil {
					return usagef(cmd, "%v", err)
				}
			}
			if err := checkKeyFlag(cmd, o.key); err != nil {
				return err
			}
			if a.npmFlag("dry_run") && !o.dryRun {
				o.dryRun = true
				a.note("npm_config_dry_run is set: this is a dry run")
			}
			if o.dryRun {
				return a.runDryRun(cmd.Context(), dir, o)
			}
			return a.withHome(cmd.Context(), func(h *node.Home) error { return a.runPublish(cmd.Context(), h, dir, o) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.tag, "tag", "", "point this tag at the version, instead of latest")
	f.BoolVar(&o.dryRun, "dry-run", false, "do everything but sign and store, and show the files")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask: publish what lacks something, too")
	f.StringArrayVar(&o.allow, "allow-secret", nil, "publish this file although it holds a private key or token, such as one for tests; may be repeated")
	a.keyFlag(cmd, &o.key)
	f.DurationVar(&o.wait, "wait", 0, "stay until a peer has the files, for at most this time")
	f.Lookup("wait").NoOptDefVal = spreadWait.String()
	return cmd
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
func (a *app) scan(ctx context.Context, h *node.Home, dir string, o publishOptions) (*modules.FileSet, error) {
	home, err := a.homeDir()
	if err != nil {
		return nil, err
	}
	set, err := modules.Scan(dir, home)
	if err != nil {
		return nil, unpackable(dir, err)
	}
	if set.Package.Private {
		return nil, isPrivate(set.Package)
	}
	if len(o.allow) > 0 {
		if err := a.allowSecrets(ctx, h, dir, set, o.allow); err != nil {
			return nil, err
		}
	}
	return set, nil
}

func (a *app) runDryRun(ctx context.Context, dir string, o publishOptions) error {
	home, err := a.homeDir()
	if err != nil {
		return err
	}
	if _, err := os.Stat(home); errors.Is(err, os.ErrNotExist) {
		_, err := a.rehearse(ctx, nil, dir, o) // and makes no home by that
		if err != nil {
			return err
		}
		return keyHint(node.ErrNoKey)
	}
	return a.withHome(ctx, func(h *node.Home) error {
		p, err := a.rehearse(ctx, h, dir, o)
		if err != nil {
			return err
		}
		if p.own.Key == nil {
			return keyHint(node.ErrNoKey)
		}
		return nil
	})
}

// rehearse does all that publishing does but sign and store, and shows the files. The
// key is missing in what it returns where the home has none.
func (a *app) rehearse(ctx context.Context, h *node.Home, dir string, o publishOptions) (*publication, error) {
	p := &publication{statements: statements{app: a, home: h}}
	if h != nil {
		_, err := h.Default(ctx)
		if o.key != "" || !errors.Is(err, node.ErrNoKey) {
			if p.own, err = a.signingKey(ctx, h, o.key); err != nil {
				return nil, err
			}
		}
	}
	var err error
	if p.set, err = a.scan(ctx, h, dir, o); err != nil {
		return nil, err
	}
	if p.module, err = p.set.Pack(ctx, modules.Discard); err != nil {
		return nil, unpackable(dir, err)
	}
	p.name = p.module.Name
	if p.own.Key != nil {
		if err := p.read(ctx); err != nil {
			return nil, err
		}
		if err := p.check(ctx, o); err != nil {
			return nil, err
		}
	}
	if err := p.show(a); err != nil {
		return nil, err
	}
	return p, p.tellLacks(ctx, o)
}

// show prints the files of a module that was not published.
func (p *publication) show(a *app) error {
	m := p.module
	j := publishJSON{Name: m.Name, Version: m.Version, Module: m.CID.String(), Files: m.Files, Size: m.Size}
	for _, f := range p.set.Files {
		mode := "0644"
		if f.Exec {
			mode = "0755"
		}
		j.List = append(j.List, fileJSON{f.Path, f.Size, mode})
	}
	if a.json {
		return a.emit(j)
	}
	var rows [][]string
	for _, f := range j.List {
		rows = append(rows, []string{f.Mode, bytesText(f.Size), safe(f.Path)})
	}
	a.table(rows)
	a.printf("%s@%s", m.Name, m.Version)
	a.printf("  module  %s  (%s, %s)", m.CID, plural(m.Files, "file"), bytesText(m.Size))
	a.note("nothing was signed or stored")
	return nil
}

func (a *app) runPublish(ctx context.Context, h *node.Home, dir string, o publishOptions) error {
	own, err := a.signingKey(ctx, h, o.key)
	if err != nil {
		return err
	}
	p := &publication{statements: statements{app: a, home: h, own: own}}
	if p.set, err = a.scan(ctx, h, dir, o); err != nil {
		return err
	}
	blocks := h.Blocks().Batch()
	if p.module, err = p.set.Pack(ctx, blocks); err != nil {
		return unpackable(dir, err)
	}
	m := p.module
	p.name = m.Name
	if err := p.catchUp(ctx); err != nil {
		return err
	}
	if err := p.read(ctx); err != nil {
		return err
	}
	if err := p.check(ctx, o); err != nil {
		return err
	}
	if !p.done.ID.Defined() {
		if err := p.tellLacks(ctx, o); err != nil {
			return err
		}
	}
	if err := blocks.Commit(ctx); err != nil {
		return fmt.Errorf("store module: %w", err)
	}
	release, tag, err := p.signAll(ctx, o)
	if err != nil {
		return err
	}
	spread, err := a.spread(ctx, h, p.made, m.CID, o.wait)
	if err != nil {
		return err
	}
	var late error
	if spread.waited {
		late = unspread(fmt.Sprintf("%s@%s", m.Name, m.Version), o.wait)
	}
	if a.json {
		return errors.Join(late, a.emit(publishJSON{
			Name: m.Name, Version: m.Version, Module: m.CID.String(), Record: release.ID.String(), Envelope: release.envelope.String(),
			Files: m.Files, Size: m.Size, Tag: tag, spreading: spread,
		}))
	}
	a.printf("%s@%s", m.Name, m.Version)
	a.printf("  module  %s  (%s, %s)", m.CID, plural(m.Files, "file"), bytesText(m.Size))
	a.printf("  record  %s", release.ID)
	if tag != "" {
		a.printf("  tag     %s", tag)
	}
	return late
}

func (a *app) signingKey(ctx context.Context, h *node.Home, which string) (node.OwnKey, error) {
	var args []string
	if which != "" {
		args = []string{which}
	}
	_, own, err := a.findKey(ctx, h, args)
	if err != nil {
		return node.OwnKey{}, err
	}
	if own == nil {
		return node.OwnKey{}, fmt.Errorf("key %s is not yours, so it cannot sign here", which)
	}
	if own.GPG && describeKey(*own, time.Now()).Problem != "" {
		// It may have been renewed in gpg since es read it. What es knows of its
		// end is kept.
		if _, err := a.usedKey(ctx, h, "gpg:"+own.Fingerprint().String()); err == nil {
			renewed, err := h.OwnKey(ctx, own.Fingerprint())
			if err != nil {
				return node.OwnKey{}, err
			}
			own = &renewed
		}
	}
	if p := describeKey(*own, time.Now()).Problem; p != "" {
		return node.OwnKey{}, endedKey(*own, p)
	}
	return *own, nil
}

// endedKey refuses to sign with a key that has come to its end.
func endedKey(own node.OwnKey, problem string) error {
	kind := keyExpired
	if _, revoked := own.Key.Revocation(); revoked {
		kind = keyRevoked
	}
	r := &refusal{kind: kind, code: exitFailed, about: own.Fingerprint().String(), meaning: meanings[kind]}
	r.err = fmt.Errorf("key %s is %s and cannot sign", r.about, problem)
	r.add("because", "it is %s", problem)
	r.add("says", "%s", uidText(own.Key.UserID()))
	r.next = []string{"es key list shows your other keys, and es key use KEY takes one", "es key new makes one"}
	if own.GPG && kind == keyExpired {
		r.next = append(r.next, "gpg --quick-set-expire "+r.about+" 1y renews it, and es key use gpg:"+r.about+" tells es")
	}
	return r
}

// announce tells whoever is there and returns how many heard it. Records that
// nobody heard wait in the outbox.
func (a *app) announce(ctx context.Context, h *node.Home, ids []cid.Cid) int {
	return a.tell(ctx, h, "queued, and announced when a peer connects", func(n node.Network) (node.Announced, error) { return n.Announce(ctx, ids) })
}

// tell joins the network to say something, and returns how many heard it. kept says
// what becomes of it when nobody did.
func (a *app) tell(ctx context.Context, h *node.Home, kept string, say func(node.Network) (node.Announced, error)) int {
	if a.offline {
		a.note("not announced, because of --offline: %s", kept)
		return 0
	}
	network, err := a.join(ctx, h)
	if err != nil {
		a.warn("not announced (%s): %s", safe(err.Error()), kept)
		return 0
	}
	told, err := say(network)
	if closing := network.Close(); err == nil {
		err = closing
	}
	switch {
	case err != nil:
		a.warn("announcing failed (%s): %s", safe(err.Error()), kept)
	case told.Peers == 0:
		a.note("no peers connected: %s", kept)
		a.hint("es connect ADDR")
	default:
		a.note("announced to %s", plural(int64(told.Peers), "peer"))
	}
	return told.Peers
}
