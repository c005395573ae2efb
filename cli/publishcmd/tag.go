package publishcmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/author"
	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
)

func tagCommand(a cli.App) *cobra.Command {
	var key string
	var remove bool
	cmd := &cobra.Command{
		Use:   "tag NAME@VERSION TAG",
		Short: "point a tag at a version, such as latest or next",
		Long: `Signs that TAG stands for this version, for whoever trusts you for the name.
With --remove, es tag NAME TAG takes the tag away.`,
		Args: cli.Arguments(2, 2, "NAME@VERSION and a tag"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := records.CheckTag(args[1]); err != nil {
				return cli.Usagef(cmd, "%v", err)
			}
			if remove {
				name, err := records.ParseName(args[0])
				if err != nil {
					return cli.Usagef(cmd, "%v; --remove takes the name alone", err)
				}
				return signAndAnnounce(a, cmd, key, func(context.Context, *home.Home, *author.Author) (records.Body, error) {
					return &records.Tag{Name: name, Tag: args[1]}, nil
				})
			}
			name, v, err := cli.ParseExact(cmd, args[0])
			if err != nil {
				return err
			}
			return signAndAnnounce(a, cmd, key, func(ctx context.Context, _ *home.Home, by *author.Author) (records.Body, error) {
				return &records.Tag{Name: name, Tag: args[1], Version: v}, warnYanked(ctx, a, by, name, v)
			})
		},
	}
	keyFlag(a, cmd, &key)
	cmd.Flags().BoolVar(&remove, "remove", false, "take the tag away")
	return cmd
}

// warnYanked says so when the key has yanked the version that a tag is to stand for.
func warnYanked(ctx context.Context, a cli.App, by *author.Author, name records.Name, v records.Version) error {
	ranges, err := by.Withdrawn(ctx, records.Yanked, name, v)
	for _, r := range ranges {
		about := string(name) + "@" + ui.ShellWord(r)
		a.Warn("your key has yanked %s, and so %s: es add passes over it, whatever tag it has", about, v)
		a.Hint("es yank --undo %s", about)
	}
	return err
}
