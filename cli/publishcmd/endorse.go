package publishcmd

import (
	"context"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/author"
	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
)

func endorseCommand(a cli.App) *cobra.Command {
	var key, claim, text, module string
	cmd := &cobra.Command{
		Use:   "endorse NAME@VERSION",
		Short: "vouch for a module that somebody else released",
		Long: `Signs that NAME@VERSION is the module that you have looked at: reviewed (you
read it), rebuilt (you built it from its source and got this) or imported (you
took it from its registry and got this). Where a threshold asks for several
keys, yours counts as one.`,
		Args: cli.Arguments(1, 1, "NAME@VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, v, err := cli.ParseExact(cmd, args[0])
			if err != nil {
				return err
			}
			if !slices.Contains([]string{records.Reviewed, records.Rebuilt, records.Imported}, claim) {
				return cli.Usagef(cmd, "--claim %q is not reviewed, rebuilt or imported", claim)
			}
			if err := records.CheckText(text, records.MaxLongText); err != nil {
				return cli.Usagef(cmd, "--text: %v", err)
			}
			e := &records.Endorse{Name: name, Version: v, Claim: claim, Text: text}
			if module != "" {
				if e.Module, err = cid.Decode(module); err != nil {
					return ui.Coded(ui.ExitUsage, fmt.Errorf("--module %.100q is not a CID", module))
				}
			}
			return signAndAnnounce(a, cmd, key, func(ctx context.Context, h *home.Home, by *author.Author) (records.Body, error) {
				if !e.Module.Defined() {
					if e.Module, err = author.TheModule(ctx, authorlog.WithIndex(h.Index()), name, v); err != nil {
						return nil, err
					}
				}
				if err := by.Check(ctx, e); err != nil {
					return nil, err
				}
				a.Note("%s@%s is %s", name, v, e.Module)
				return e, nil
			})
		},
	}
	keyFlag(a, cmd, &key)
	cmd.Flags().StringVar(&claim, "claim", records.Reviewed, "reviewed, rebuilt or imported")
	cmd.Flags().StringVar(&text, "text", "", "what you want to say about it")
	cmd.Flags().StringVar(&module, "module", "", "CID of the module, where several are claimed")
	return cmd
}
