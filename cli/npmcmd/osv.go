package npmcmd

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/internal/filelock"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/node/registry"
	"github.com/everythingstays/es/npm/osv"
)

func importOSVCommand(a cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "osv FILE|DIRECTORY...",
		Short: "take security advisories in the OSV format",
		Long: `Reads advisories about npm's packages: files of one advisory in the OSV format,
directories of them, and zip archives, as those who collect advisories give them
away. es npm, es node --registry and the like then refuse what is malware by
them, and what has a vulnerability of the severity that es node --refuse names;
npm audit, run behind es, is answered from them without a network.

Nobody signed them: give es those alone that you would act upon. An advisory
that comes again replaces the earlier one; one that was withdrawn takes it away.`,
		Example: "  es import osv MAL-2026-1.json\n  es import osv all.zip",
		Args:    cli.Arguments(1, -1, "files or directories of advisories"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runImportOSV(cmd.Context(), a, args) },
	}
}

// osvResult is what import osv prints as JSON.
type osvResult struct {
	Advisories int         `json:"advisories"`
	Malware    int         `json:"malware"`
	Packages   int         `json:"packages"`
	Others     int         `json:"notAboutNPM"`
	Failed     []failedDoc `json:"failed"`
}

func runImportOSV(ctx context.Context, a cli.App, args []string) error {
	result := osvResult{Failed: []failedDoc{}}
	bar := a.NewProgress()
	defer bar.End()
	var all []*osv.Advisory
	for _, arg := range args {
		err := eachAdvisory(ctx, arg, func(path string, b []byte) {
			if len(all)%1000 == 0 {
				bar.Stage("reading advisories", fmt.Sprint(len(all)))
			}
			advisory, err := osv.Parse(b)
			switch {
			case err != nil:
				result.Failed = append(result.Failed, failedDoc{Package: path, Error: ui.Message(err)})
			case len(advisory.Affected) == 0:
				result.Others++
			default:
				all = append(all, advisory)
				if advisory.Malware {
					result.Malware++
				}
			}
		})
		if errors.Is(err, fs.ErrNotExist) {
			return ui.Coded(ui.ExitNotFound, err)
		}
		if err != nil {
			return err
		}
	}
	result.Advisories = len(all)
	err := a.WithStorage(func(h *home.Storage) (err error) {
		unlock, err := filelock.Wait(ctx, filepath.Join(h.Dir(), "advisories.lock"), time.Minute)
		if err != nil {
			return err
		}
		defer unlock()
		result.Packages, err = registry.Advisories(h).Put(all)
		return err
	})
	if err != nil {
		return err
	}
	bar.End()
	return printOSV(a, &result)
}

// eachAdvisory calls each for every file of advisories at a path.
func eachAdvisory(ctx context.Context, path string, each func(path string, b []byte)) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("read advisories: %w", err)
	}
	switch {
	case info.IsDir():
		return filepath.WalkDir(path, func(file string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(file, ".json") {
				return errors.Join(err, ctx.Err())
			}
			return oneAdvisory(file, each)
		})
	case strings.HasSuffix(path, ".zip"):
		return zippedAdvisories(ctx, path, each)
	}
	return oneAdvisory(path, each)
}

func oneAdvisory(path string, each func(string, []byte)) error {
	b, err := regularfile.Read(path, osv.MaxFile)
	if err != nil {
		return fmt.Errorf("read advisory: %w", err)
	}
	each(path, b)
	return nil
}

func zippedAdvisories(ctx context.Context, path string, each func(string, []byte)) error {
	z, err := zip.OpenReader(path)
	if err != nil {
		return fmt.Errorf("read advisories of %q: %w", path, err)
	}
	defer z.Close()
	for _, f := range z.File {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !strings.HasSuffix(f.Name, ".json") {
			continue
		}
		b, err := unzipped(f)
		if err != nil {
			return fmt.Errorf("read advisory %q of %q: %w", f.Name, path, err)
		}
		each(f.Name, b)
	}
	return nil
}

// unzipped reads a file of an archive, and a byte more than an advisory may have.
func unzipped(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, osv.MaxFile+1))
}

var errNotAllRead = errors.New("not every advisory could be read, and those are not heeded")

func printOSV(a cli.App, d *osvResult) error {
	var failed error
	if len(d.Failed) > 0 {
		failed = errNotAllRead
	}
	if a.JSON {
		return errors.Join(a.Emit(d), failed)
	}
	const most = 20
	for _, f := range d.Failed[:min(len(d.Failed), most)] {
		a.Warn("%q: %s", f.Package, strings.TrimPrefix(f.Error, "read advisory: "))
	}
	if more := len(d.Failed) - most; more > 0 {
		a.Warn("and %d more that cannot be read", more)
	}
	a.Printf("took %d advisories about %s, %d of them of malware", d.Advisories, ui.Plural(int64(d.Packages), "package"), d.Malware)
	if d.Others > 0 {
		a.Note("passed over %d that are not about npm's packages", d.Others)
	}
	return failed
}
