package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/node"
	"github.com/everythingstays/es/records"
)

type publishOptions struct {
	tag    string
	dryRun bool
	key    string
}

func (a *app) publishCommand() *cobra.Command {
	var o publishOptions
	cmd := &cobra.Command{
		Use:   "publish [DIR]",
		Short: "sign a module and announce it",
		Long: `Packs the package in DIR (default: here) with the files that npm would publish,
signs a record of its name, version and CID, and tells the peers that are there.
With nobody there the record is kept and spreads when a peer is met.

A name and version can be published once. Scripts of the package are not run:
build first.`,
		Args: arguments(0, 1, "at most one directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			if o.tag != "" {
				if err := records.CheckTag(o.tag); err != nil {
					return usagef(cmd, "%v", err)
				}
			}
			if o.dryRun {
				return a.runDryRun(cmd.Context(), dir)
			}
			return a.withHome(cmd.Context(), func(h *node.Home) error { return a.runPublish(cmd.Context(), h, dir, o) })
		},
	}
	cmd.Flags().StringVar(&o.tag, "tag", "", "point this tag at the version, instead of latest")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would be published, and do nothing")
	cmd.Flags().StringVar(&o.key, "key", "", "fingerprint of the own key that signs (default: es key use)")
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
	Peers    int             `json:"peers"`
	List     []fileJSON      `json:"list,omitempty"`
}

type fileJSON struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
	Mode string `json:"mode"`
}

// scan lists the files and says what was left out.
func (a *app) scan(dir string) (*modules.FileSet, error) {
	set, err := modules.Scan(dir)
	if err != nil {
		// The user's own files break a rule; nobody sent anything wrong.
		return nil, coded(exitFailed, err)
	}
	for _, w := range set.Warnings {
		a.warn("%s: %s", safe(w.Path), safe(w.Reason))
	}
	return set, nil
}

func (a *app) runDryRun(ctx context.Context, dir string) error {
	set, err := a.scan(dir)
	if err != nil {
		return err
	}
	m, err := set.Pack(ctx, modules.Discard)
	if err != nil {
		return err
	}
	j := publishJSON{Name: m.Name, Version: m.Version, Module: m.CID.String(), Files: m.Files, Size: m.Size}
	for _, f := range set.Files {
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
	set, err := a.scan(dir)
	if err != nil {
		return err
	}
	blocks := h.Blocks().Batch()
	m, err := set.Pack(ctx, blocks)
	if err != nil {
		return err
	}
	if err := blocks.Commit(ctx); err != nil {
		return fmt.Errorf("store module: %w", err)
	}
	claims, err := h.Index().Releases(ctx, m.Name)
	if err != nil {
		return err
	}
	p := &publication{statements{app: a, home: h, own: own}, claims}
	release, err := p.release(ctx, m)
	if err != nil {
		return err
	}
	tag, err := p.tags(ctx, m, o.tag)
	if err != nil {
		return err
	}
	told := a.announce(ctx, h, p.made)
	if a.json {
		return a.emit(publishJSON{
			Name: m.Name, Version: m.Version, Module: m.CID.String(), Record: release.ID.String(), Envelope: release.envelope.String(),
			Files: m.Files, Size: m.Size, Tag: tag, Peers: told,
		})
	}
	a.printf("%s@%s", m.Name, m.Version)
	a.printf("  module  %s  (%s, %s)", m.CID, plural(m.Files, "file"), bytesText(m.Size))
	a.printf("  record  %s", release.ID)
	if tag != "" {
		a.printf("  tag     %s", tag)
	}
	return nil
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
	r := &refusal{kind: keyEnded, code: exitFailed, about: own.Fingerprint().String(), meaning: meanings[keyEnded]}
	r.err = fmt.Errorf("key %s is %s and cannot sign", r.about, problem)
	r.add("because", "it is %s", problem)
	r.add("says", "%s", own.Key.UserID())
	r.next = []string{"es key list shows your other keys, and es key use KEY takes one", "es key new makes one"}
	if _, revoked := own.Key.Revocation(); own.GPG && !revoked {
		r.next = append(r.next, "gpg --quick-set-expire "+r.about+" 1y renews it, and es key use gpg:"+r.about+" tells es")
	}
	return r
}

// publication makes and stores the records of one publish.
type publication struct {
	statements
	claims []index.Release // of the name, before this publish
}

// release signs the module, unless that was done before.
func (p *publication) release(ctx context.Context, m *modules.Module) (published, error) {
	for _, c := range p.claims {
		if c.Author != p.own.Fingerprint() || c.Body.Version != m.Version {
			continue
		}
		if c.Body.Module != m.CID {
			return published{}, publishedBefore(m, c)
		}
		envelope, _, err := p.home.Index().Envelope(ctx, c.ID)
		if err != nil {
			return published{}, err
		}
		p.app.note("%s@%s was published before with these contents; announcing it again", m.Name, m.Version)
		p.made = append(p.made, c.ID)
		return published{c.ID, records.EnvelopeID(envelope)}, nil
	}
	return p.sign(ctx, &records.Release{
		Name: m.Name, Version: m.Version, Module: m.CID, Size: m.Size, Files: m.Files, Manifest: m.Manifest, Pins: m.Pins,
	})
}

// publishedBefore refuses to sign another module as a version that the key
// released.
func publishedBefore(m *modules.Module, before index.Release) error {
	r := &refusal{kind: alreadyPublished, code: exitFailed, about: fmt.Sprintf("%s@%s", m.Name, m.Version)}
	r.err = fmt.Errorf("%s was published before with other contents", r.about)
	r.add("before", "%s", before.Body.Module)
	r.add("now", "%s", m.CID)
	r.add("key", "%s", before.Author)
	r.meaning = meanings[alreadyPublished] + "\nNothing was signed or published."
	r.next = []string{"raise the version in package.json and publish that"}
	return r
}

// tags points tags at the new version as npm's publish does: latest moves
// unless another tag was asked for, and then latest stays where it was. Without
// any tag record the highest version is the latest, so none is written until
// that would be wrong.
func (p *publication) tags(ctx context.Context, m *modules.Module, asked string) (string, error) {
	current, err := p.ownTags(ctx, m.Name)
	if err != nil {
		return "", err
	}
	want := map[string]records.Version{}
	latest, tagged := current["latest"]
	switch {
	case asked != "" && asked != "latest":
		want[asked] = m.Version
		if !tagged {
			if before := p.newestBefore(m); before != "" {
				want["latest"] = before
			}
		}
	case tagged || asked == "latest" || m.Version.Prerelease() != "":
		want["latest"] = m.Version
	default:
		if before := p.newestBefore(m); before != "" && before.Compare(m.Version) > 0 {
			want["latest"] = m.Version
		}
	}
	if want["latest"] == latest {
		delete(want, "latest")
	}
	moved := ""
	for _, tag := range sortedTags(want) {
		if current[tag] == want[tag] {
			continue
		}
		if _, err := p.sign(ctx, &records.Tag{Name: m.Name, Tag: tag, Version: want[tag]}); err != nil {
			return "", fmt.Errorf("%s@%s is published, but not its tag %s: %w", m.Name, m.Version, tag, err)
		}
		if want[tag] == m.Version {
			moved = tag
		}
	}
	return moved, nil
}

func sortedTags(m map[string]records.Version) []string {
	var tags []string
	for t := range m {
		if t != "latest" {
			tags = append(tags, t)
		}
	}
	if _, ok := m["latest"]; ok {
		tags = append(tags, "latest")
	}
	return tags
}

func (p *publication) ownTags(ctx context.Context, name records.Name) (map[string]records.Version, error) {
	all, err := p.home.Index().Tags(ctx, name)
	if err != nil {
		return nil, err
	}
	own := map[string]records.Version{}
	for _, t := range all {
		if t.Author == p.own.Fingerprint() && t.Void == "" {
			own[t.Body.Tag] = t.Body.Version
		}
	}
	return own, nil
}

// newestBefore returns the highest final version that the key published before.
func (p *publication) newestBefore(m *modules.Module) records.Version {
	var newest records.Version
	for _, c := range p.claims {
		v := c.Body.Version
		if c.Author != p.own.Fingerprint() || v == m.Version || v.Prerelease() != "" {
			continue
		}
		if newest == "" || newest.Compare(v) < 0 {
			newest = v
		}
	}
	return newest
}

// announce tells whoever is there and returns how many heard it. Records that
// nobody heard wait in the outbox.
func (a *app) announce(ctx context.Context, h *node.Home, ids []cid.Cid) int {
	return a.tell(ctx, h, "it is kept, and spreads when a peer is met", func(n node.Network) (node.Announced, error) { return n.Announce(ctx, ids) })
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
		a.note("nobody is connected to hear of it: %s", kept)
		a.hint("es connect ADDR")
	default:
		a.note("announced to %s", plural(int64(told.Peers), "peer"))
	}
	return told.Peers
}
