package projectcmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/install"
)

func addCommand(a cli.App) *cobra.Command {
	var o installOptions
	cmd := &cobra.Command{
		Use:   "add NAME[@VERSION|@RANGE|@TAG|@CID]...",
		Short: "install modules and write them into package.json",
		Long: `Resolves each name among what the keys you trust have signed, fetches the module
by its CID from whoever has it, checks it, and puts it into node_modules with
what it depends on. package.json gets an entry in esDependencies; es-lock.json
holds the CIDs, records and signers. No script runs.

NAME@CID takes any UnixFS directory, whoever made it, such as one from ipfs add
-r.`,
		Args: cli.Arguments(1, -1, "at least one name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runAdd(a, cmd, o, args)
		},
	}
	o.flags(cmd)
	return cmd
}

func runAdd(a cli.App, cmd *cobra.Command, o installOptions, args []string) error {
	requests := make([]install.Request, len(args))
	for i, s := range args {
		r, err := install.ParseRequest(s)
		if err != nil {
			return cli.Usagef(cmd, "%v", err)
		}
		requests[i] = r
	}
	var project *install.Project
	err := inProject(a, cmd, o, func(ctx context.Context, w *session) (*install.Result, error) {
		if err := warnWhileResolving(a, w, requests); err != nil {
			return nil, err
		}
		project = w.project
		return w.project.Add(ctx, w.sources, requests, w.options)
	})
	if err != nil {
		return err
	}
	return warnBeside(a, project)
}

// warnBeside says what other package managers do to what es installs, and what helps.
func warnBeside(a cli.App, p *install.Project) error {
	b, err := p.OtherManagers()
	if err != nil {
		return err
	}
	for _, client := range b.Names {
		switch {
		case client == "npm" && b.Hook:
		case client == "npm":
			a.Warn("npm removes what es puts into node_modules at its next install, ci or prune")
			a.Hint(`with %s in package.json, npm has es put it back`, install.Hook)
		default:
			a.Warn("%s may remove what es puts into node_modules at its next install", client)
			a.Hint("es install --frozen after it puts that back")
		}
	}
	return nil
}
