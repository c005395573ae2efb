package searchcmd

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

type exportJSON struct {
	Record    string `json:"record"`
	Signature string `json:"signature"`
	Key       string `json:"key"`
}

func exportCommand(a cli.App) *cobra.Command {
	var out, from string
	cmd := &cobra.Command{
		Use:   "export NAME@VERSION|@RANGE|@TAG",
		Short: "write a record, its signature and its key as files, for gpg",
		Long: `Writes record.cbor, record.sig and key.asc into a directory, so that
  gpg --import key.asc && gpg --verify record.sig record.cbor
checks the signature without es. When several keys released the version, the
ones you believe come first; --from FINGERPRINT names one.`,
		Args: cli.Arguments(1, 1, "NAME@VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, constraint, err := cli.ParseConstraint(cmd, args[0])
			if err != nil {
				return err
			}
			if constraint == "" {
				return cli.Usagef(cmd, "%q has no version; write NAME@VERSION", args[0])
			}
			return a.ReadingHome(cmd.Context(), func(h *home.Home) error {
				v, err := versionMeant(cmd.Context(), h, name, constraint)
				if err != nil {
					return err
				}
				return runExport(cmd.Context(), a, h, name, v, from, out)
			})
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "directory to write into (default: NAME-VERSION.es here, or beside the package that this is in)")
	cmd.Flags().StringVar(&from, "from", "", "fingerprint of the key whose record is wanted")
	return cmd
}

func runExport(ctx context.Context, a cli.App, h *home.Home, name records.Name, v records.Version, from, out string) error {
	release, err := pickRelease(ctx, a, h, name, v, from)
	if err != nil {
		return err
	}
	envelope, block, err := h.Index().Envelope(ctx, release.ID)
	if err != nil {
		return err
	}
	key, err := sign.ParseKey(block)
	if err != nil {
		return err
	}
	verified, err := sign.Open(envelope, sign.KeyRing{key.Fingerprint(): key})
	if err != nil {
		return err
	}
	if out == "" {
		out = filepath.Join(besidePackage(), fileName(name)+"-"+string(v)+".es")
	}
	j := exportJSON{filepath.Join(out, "record.cbor"), filepath.Join(out, "record.sig"), filepath.Join(out, "key.asc")}
	for _, f := range []struct {
		path string
		data []byte
	}{{j.Record, verified.RecordBytes()}, {j.Signature, verified.Signature()}, {j.Key, key.Armor()}} {
		if err := ui.WriteFile(f.path, f.data); err != nil {
			return err
		}
	}
	if a.JSON {
		return a.Emit(j)
	}
	a.Printf("%s\n%s\n%s", j.Record, j.Signature, j.Key)
	a.Note("record %s, signed by %s", release.ID, key.Fingerprint())
	a.Hint("gpg --import %s && gpg --verify %s %s", j.Key, j.Signature, j.Record)
	return nil
}

// pickRelease chooses among the releases of one version: the named key's, else
// one that is trusted, else the first that was seen.
func pickRelease(ctx context.Context, a cli.App, h *home.Home, name records.Name, v records.Version, from string) (index.Release, error) {
	releases, err := h.Index().ReleasesOf(ctx, name, v)
	if err != nil {
		return index.Release{}, err
	}
	var wanted records.Fingerprint
	if from != "" {
		if wanted, err = records.ParseFingerprint(from); err != nil {
			return index.Release{}, ui.Coded(ui.ExitUsage, err)
		}
	}
	var found []index.Release
	for _, r := range releases {
		if from == "" || r.Author == wanted {
			found = append(found, r)
		}
	}
	if len(found) == 0 {
		return index.Release{}, &resolve.NotFoundError{Name: name, Constraint: string(v)}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	evaluator, err := h.Evaluator(time.Now())
	if err != nil {
		return index.Release{}, err
	}
	ruling, err := evaluator.Ruling(ctx, name)
	if err != nil {
		return index.Release{}, err
	}
	for _, r := range found {
		if ruling.Decides(r.Author) {
			return r, nil
		}
	}
	return found[0], nil
}

// versionMeant is the version that the user asks about by its number, a tag or a range.
func versionMeant(ctx context.Context, h *home.Home, name records.Name, constraint string) (records.Version, error) {
	if v, err := records.ParseVersion(constraint); err == nil {
		return v, nil
	}
	evaluator, err := h.Evaluator(time.Now())
	if err != nil {
		return "", err
	}
	return resolve.New(h.Index()).VersionFor(ctx, name, constraint, evaluator)
}

// besidePackage is the directory to write into, relative to the current one: the next publish
// would pack what is in a package, so that its parent is taken.
func besidePackage() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for up := ".."; ; up = filepath.Join(up, "..") {
		if _, err := os.Lstat(filepath.Join(dir, "package.json")); err == nil {
			return up
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// fileName is a name as npm pack writes it: @acme/x is acme-x.
func fileName(n records.Name) string {
	return strings.ReplaceAll(strings.TrimPrefix(string(n), "@"), "/", "-")
}
