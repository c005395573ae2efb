package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

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

func (a *app) exportCommand() *cobra.Command {
	var out, from string
	cmd := &cobra.Command{
		Use:   "export NAME@VERSION|@RANGE|@TAG",
		Short: "write a record, its signature and its key as files, for gpg",
		Long: `Writes record.cbor, record.sig and key.asc into a directory, so that
  gpg --import key.asc && gpg --verify record.sig record.cbor
checks the signature without es. When several keys released the version, the
ones you believe come first; --from FINGERPRINT names one.`,
		Args: arguments(1, 1, "NAME@VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, constraint, err := parseConstraint(cmd, args[0])
			if err != nil {
				return err
			}
			if constraint == "" {
				return usagef(cmd, "%q has no version; write NAME@VERSION", args[0])
			}
			return a.readingHome(cmd.Context(), func(h *home.Home) error {
				v, err := versionMeant(cmd.Context(), h, name, constraint)
				if err != nil {
					return err
				}
				return a.runExport(cmd.Context(), h, name, v, from, out)
			})
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "directory to write into (default: NAME-VERSION.es)")
	cmd.Flags().StringVar(&from, "from", "", "fingerprint of the key whose record is wanted")
	return cmd
}

func (a *app) runExport(ctx context.Context, h *home.Home, name records.Name, v records.Version, from, out string) error {
	release, err := a.pickRelease(ctx, h, name, v, from)
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
		out = fileName(name) + "-" + string(v) + ".es"
	}
	j := exportJSON{filepath.Join(out, "record.cbor"), filepath.Join(out, "record.sig"), filepath.Join(out, "key.asc")}
	for _, f := range []struct {
		path string
		data []byte
	}{{j.Record, verified.RecordBytes()}, {j.Signature, verified.Signature()}, {j.Key, key.Armor()}} {
		if err := writeFile(f.path, f.data); err != nil {
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
func (a *app) pickRelease(ctx context.Context, h *home.Home, name records.Name, v records.Version, from string) (index.Release, error) {
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
	view, err := h.View(time.Now())
	if err != nil {
		return index.Release{}, err
	}
	ruling, err := view.Ruling(ctx, name)
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
	view, err := h.View(time.Now())
	if err != nil {
		return "", err
	}
	return resolve.New(h.Index()).Takes(ctx, name, constraint, view)
}

// parseExact reads NAME@VERSION.
func parseExact(cmd *cobra.Command, s string) (records.Name, records.Version, error) {
	name, v, err := parseNameVersion(cmd, s)
	if err == nil && v == "" {
		err = usagef(cmd, "%q has no version; write NAME@VERSION", s)
	}
	return name, v, err
}

// fileName is a name as npm pack writes it: @acme/x is acme-x.
func fileName(n records.Name) string {
	return strings.ReplaceAll(strings.TrimPrefix(string(n), "@"), "/", "-")
}

// writeFile replaces a file of a result, and makes the directory it is in. What a link
// at path leads to is not touched: it may have come with a project.
func writeFile(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
