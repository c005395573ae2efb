package trustcmd

import (
	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/trust"
)

func trustMinAgeCommand(a cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "min-age TIME",
		Short: "wait before new versions are chosen",
		Long: `Ranges and tags pass over versions that have been known here for less than TIME,
such as 72h, 3d or 2w; bad releases are often found within hours. A version that
you ask for by its number is not held. 0 takes that back.`,
		Args: cli.Arguments(1, 1, "a time such as 72h, 3d or 2w, or 0"),
		RunE: func(cmd *cobra.Command, args []string) error {
			age, err := cli.ParseAge(args[0])
			if err != nil {
				return cli.Usagef(cmd, "%v", err)
			}
			return a.WithHome(cmd.Context(), func(h *home.Home) error {
				err := trust.Update(cmd.Context(), h.TrustPath(), func(p *trust.Policy) error {
					if age == 0 {
						p.RemoveMinAge()
						return nil
					}
					return p.SetMinAge(age)
				})
				if err != nil {
					return err
				}
				if a.JSON {
					return a.Emit(map[string]any{"minAge": args[0]})
				}
				if age == 0 {
					a.Note("new versions are chosen at once again")
				} else {
					a.Note("versions are chosen unasked when they have been known here for %s", args[0])
				}
				return nil
			})
		},
	}
}
