package projectcmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/install"
)

type installOptions struct {
	yes        bool
	force      bool
	frozen     bool
	audit      bool
	acceptKeys []string
}

func (o *installOptions) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.audit, "audit", false, "look at all that is installed, and fail when a key that you believe warns of a vulnerability")
	cmd.Flags().BoolVar(&o.force, "force", false, "write every package again, even where something else put one")
	cmd.Flags().StringArrayVar(&o.acceptKeys, "accept-key", nil, "fingerprint that may sign here what it did not sign before; may be repeated")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "let in all keys that sign something here for the first time")
}

func installCommand(a cli.App) *cobra.Command {
	var o installOptions
	cmd := &cobra.Command{
		Use:     "install [NAME...]",
		Aliases: []string{"i"},
		Short:   "install what package.json and es-lock.json ask for",
		Long: `Makes node_modules agree with es-lock.json. With --frozen that is all: CIDs
decide, no key and no trust is asked, nothing is written but node_modules, and a
lockfile that does not fit package.json is an error.

With names it does what es add does.`,
		Args: cli.Arguments(0, -1, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && o.frozen {
				return cli.Usagef(cmd, "--frozen takes no names: it installs what es-lock.json has, and adds nothing")
			}
			if len(args) > 0 {
				return runAdd(a, cmd, o, args)
			}
			return inProject(a, cmd, o, func(ctx context.Context, w *session) (*install.Result, error) {
				return w.project.Install(ctx, w.sources, w.options)
			})
		},
	}
	o.flags(cmd)
	cmd.Flags().BoolVar(&o.frozen, "frozen", false, "install exactly es-lock.json, and change no file of the project")
	return cmd
}

// installHint adds what to type next to the errors of package install.
func installHint(err error) error {
	var (
		missing  *install.MissingError
		disagree *install.DisagreeError
		exists   *install.ExistsError
		notFound *install.NotFoundError
		bound    *install.BoundError
	)
	switch {
	case errors.As(err, &missing):
		return ui.Coded(ui.ExitUnreachable, err, "leave out --offline to fetch it")
	case errors.As(err, &disagree):
		return ui.Hinted(err, "es install, without --frozen, brings the two together")
	case errors.As(err, &exists) && exists.By != "":
		return ui.Coded(ui.ExitFailed, err,
			"take it out of what the other package manager installs (npm uninstall NAME), and then this again",
			"--force replaces it until the other package manager puts its own back")
	case errors.As(err, &exists):
		return ui.Hinted(err, "--force replaces it")
	case errors.As(err, &bound):
		return ui.Hinted(err, "add one package at a time to see which brings so many, and leave that one out")
	case errors.As(err, &notFound):
		return ui.Coded(ui.ExitNotFound, err, "es list shows what is there")
	}
	return err
}
