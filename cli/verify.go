package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/node"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify [NAME@VERSION]",
		Short: "check again that what is here is what was signed, without the network",
		Long: `Without an argument, reads every file that es installed in this project, builds
its tree again and compares the CID with es-lock.json. With NAME@VERSION, checks
the signatures of its records in your index again, and every block of its module.`,
		Args: arguments(0, 1, "at most one NAME@VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.withHome(cmd.Context(), func(h *node.Home) error { return a.runVerifyProject(cmd.Context(), h) })
			}
			name, v, err := parseExact(cmd, args[0])
			if err != nil {
				return err
			}
			return a.withHome(cmd.Context(), func(h *node.Home) error { return a.runVerifyStored(cmd.Context(), h, name, v) })
		},
	}
}

type verifyJSON struct {
	Packages int          `json:"packages"`
	Damage   []damageJSON `json:"damage"`
}

type damageJSON struct {
	Path   string `json:"path"`
	File   string `json:"file,omitempty"`
	Reason string `json:"reason"`
}

func (a *app) runVerifyProject(ctx context.Context, h *node.Home) error {
	p, err := install.Open(".")
	if err != nil {
		return err
	}
	v, err := p.Verify(ctx, h.Blocks())
	if err != nil {
		return err
	}
	j := verifyJSON{Packages: v.Packages, Damage: []damageJSON{}}
	for _, d := range v.Damage {
		j.Damage = append(j.Damage, damageJSON{d.Package.Path, d.File, d.Reason})
	}
	if a.json {
		if err := a.emit(j); err != nil {
			return err
		}
	} else {
		for _, d := range j.Damage {
			where := d.Path
			if d.File != "" {
				where += "/" + d.File
			}
			a.printf("%s: %s", safe(where), safe(d.Reason))
		}
	}
	if len(j.Damage) > 0 {
		return coded(exitIntegrity, fmt.Errorf("%s not what was signed", differences(len(j.Damage))), "es install --frozen --force writes them again")
	}
	a.note("%s verified", plural(int64(v.Packages), "package"))
	return nil
}

func differences(n int) string {
	if n == 1 {
		return "1 thing is"
	}
	return fmt.Sprintf("%d things are", n)
}

type verifiedClaimJSON struct {
	Author    records.Fingerprint `json:"author"`
	Record    string              `json:"record"`
	Module    string              `json:"module"`
	Signature string              `json:"signature"` // good, or what is wrong
	Stored    bool                `json:"stored"`    // every block of the module is here
	Damage    string              `json:"damage,omitempty"`
}

func (a *app) runVerifyStored(ctx context.Context, h *node.Home, name records.Name, v records.Version) error {
	releases, err := h.Index().Releases(ctx, name)
	if err != nil {
		return err
	}
	list := []verifiedClaimJSON{}
	bad := false
	for _, r := range releases {
		if r.Body.Version != v {
			continue
		}
		c := verifiedClaimJSON{Author: r.Author, Record: r.ID.String(), Module: r.Body.Module.String(), Signature: "good"}
		if err := reopen(ctx, h, r); err != nil {
			c.Signature, bad = err.Error(), true
		}
		c.Stored, err = moduleStored(ctx, h, r.Body)
		if err != nil {
			c.Damage, bad = err.Error(), true
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return &index.NotFoundError{Name: name, Constraint: string(v)}
	}
	if a.json {
		if err := a.emit(list); err != nil {
			return err
		}
	} else {
		for _, c := range list {
			a.printf("record %s by %s: signature %s", c.Record, c.Author, safe(c.Signature))
			switch {
			case c.Damage != "":
				a.printf("module %s: %s", c.Module, safe(c.Damage))
			case c.Stored:
				a.printf("module %s: every block is here and right", c.Module)
			default:
				a.printf("module %s: not stored here", c.Module)
			}
		}
	}
	if bad {
		return coded(exitIntegrity, fmt.Errorf("%s@%s is not what was signed, or its signature does not count", name, v), "es info "+string(name)+" shows who claims what")
	}
	return nil
}

// reopen verifies a stored record as if it had come from a stranger.
func reopen(ctx context.Context, h *node.Home, r index.Release) error {
	envelope, block, err := h.Index().Envelope(ctx, r.ID)
	if err != nil {
		return err
	}
	key, err := sign.ParseKey(block)
	if err != nil {
		return err
	}
	opened, err := sign.Open(envelope, sign.KeyRing{key.Fingerprint(): key})
	if err != nil {
		return err
	}
	if opened.ID() != r.ID {
		return fmt.Errorf("the index has the record %s in its place", opened.ID())
	}
	return nil
}

// moduleStored checks the module against its release, when all of it is here.
func moduleStored(ctx context.Context, h *node.Home, r *records.Release) (bool, error) {
	tree, err := modules.Inspect(ctx, verifiedBlocks{h.Blocks()}, modules.ReleaseBounds(r))
	if notHere(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, modules.Check(ctx, h.Blocks(), tree, r)
}

// verifiedBlocks reads every block in full, where the store alone would only
// look at sizes.
type verifiedBlocks struct{ store *node.BlockStore }

// Get implements modules.Blocks.
func (b verifiedBlocks) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	return b.store.Get(ctx, c)
}

// notHere reports whether err says that a block is missing, not that it is wrong.
func notHere(err error) bool {
	var corrupt *modules.CorruptError
	return errors.Is(err, fs.ErrNotExist) && !errors.As(err, &corrupt)
}
