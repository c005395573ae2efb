// Package cli is one run of the command line of es: the global flags, the home and the
// network that a command works with, what it reads from its arguments, and what errors
// are shown as.
//
// The commands are in packages of groups, one file each: the command with its help, its
// options, and a function that calls into node, install, author, index or trust and prints
// what came of it. Only cli and what is below it prints, reads the environment and ends the
// process.
package cli

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/node/localapi"
)

// A Group makes commands that are about one thing.
type Group func(App) []*cobra.Command

// Main runs es, which has the commands of the groups, with the arguments of this process and
// returns its exit code.
func Main(join Joiner, groups ...Group) int {
	ui.NameTerminal()
	a := New(ui.Standard(), join)
	ctx, stop := a.Interruptible(context.Background())
	defer stop()
	return a.Run(ctx, os.Args[1:], groups...)
}

// App is one run of es: what its commands write to and read from, and the global flags. It is
// passed by value; what it points to is the run's.
type App struct {
	*ui.Streams
	*flags
	*daemon
	join Joiner
}

// flags are those that every command has, but for how results are printed.
type flags struct {
	Home    string
	Offline bool
	Verbose bool
	First   bool // of commands that sign: the own log is said to be here
}

// daemon is what a run has seen of the running node.
type daemon struct {
	Stuck *localapi.StuckError // it did not answer
}

// New is a run that has not begun, and gets to the network by join.
func New(s *ui.Streams, join Joiner) App { return App{s, &flags{}, &daemon{}, join} }

// Run runs es with the arguments and returns its exit code.
func (a App) Run(ctx context.Context, args []string, groups ...Group) int {
	a.Args = args
	a.GuardOutput()
	root := a.Root(groups...)
	root.SetArgs(args)
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.InitDefaultCompletionCmd(args...)
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.Args = NoArguments
		completion.RunE = func(cmd *cobra.Command, args []string) error { return cmd.Help() }
	}
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = a.Printed()
	}
	if err != nil {
		return a.fail(ctx, err)
	}
	return ui.ExitDone
}

// Root is the command that has all others.
func (a App) Root(groups ...Group) *cobra.Command {
	var tellVersion bool
	root := &cobra.Command{
		Use:   "es",
		Short: "a module index without a registry",
		Long: `es publishes and installs JavaScript modules without a registry.

Authors sign records that link a name, a version and a module's CID, and gossip
them between peers. Your own index keeps what the keys you trust have signed.

First steps:
  es demo                        the whole story, on this machine
  es search left-pad             what exists, and who says so
  es trust add KEY left-pad      whom you believe, and for which names
  es add left-pad                install it here`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          NoArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			if tellVersion {
				return a.runVersion()
			}
			return cmd.Help()
		},
	}
	root.Flags().BoolVar(&tellVersion, "version", false, "print the version of es")
	f := root.PersistentFlags()
	f.StringVar(&a.Home, "home", "", "directory of keys, trust, index and blocks (default $ES_HOME or ~/.es)")
	f.BoolVar(&a.JSON, "json", false, "print one JSON document on standard output")
	f.BoolVarP(&a.Quiet, "quiet", "q", false, "print results and errors only")
	f.BoolVar(&a.Offline, "offline", false, "do not use the network")
	f.BoolVarP(&a.Verbose, "verbose", "v", false, "say more about what happens")
	root.DisableSuggestions = true // unknownCommand has its own
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		a.JSON = a.JSON || slices.Contains(a.Args, "--json") // it may come after what is wrong
		return wrongFlag(cmd, err)
	})
	root.AddCommand(a.versionCommand())
	for _, commands := range groups {
		root.AddCommand(commands(a)...)
	}
	root.SetHelpCommand(helpCommand(root))
	fitFlags(root)
	return root
}

// NamedHome is the home that the user names; "" for the usual one.
func (a App) NamedHome() string { return cmp.Or(a.Home, a.Getenv("ES_HOME")) }

// HomeDir is the home that the flags and the environment name, or the usual one.
func (a App) HomeDir() (string, error) {
	dir := a.NamedHome()
	if dir == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			return "", ui.Hinted(fmt.Errorf("find the home directory: %w", err), "set ES_HOME to a directory for keys, trust and modules")
		}
		dir = filepath.Join(user, ".es")
	}
	return filepath.Abs(dir)
}

// WithHome runs f with the home directory that the flags and the environment name,
// which is made where there is none.
func (a App) WithHome(ctx context.Context, f func(*home.Home) error) error {
	return a.WithHomeOpened(ctx, home.Open, f)
}

// WithStorage is WithHome for a command that needs no index.
func (a App) WithStorage(f func(*home.Storage) error) error {
	dir, err := a.HomeDir()
	if err != nil {
		return err
	}
	storage, err := home.OpenStorage(dir)
	if err != nil {
		return err
	}
	return f(storage)
}

// ReadingHome is withHome for a command that only reads: it makes no home, and needs
// none that can be written.
func (a App) ReadingHome(ctx context.Context, f func(*home.Home) error) error {
	return a.WithHomeOpened(ctx, home.OpenForReading, f)
}

// WithHomeOpened runs f with the home directory, which open opens.
func (a App) WithHomeOpened(ctx context.Context, open func(context.Context, string) (*home.Home, error), f func(*home.Home) error) error {
	dir, err := a.HomeDir()
	if err != nil {
		return err
	}
	home, err := open(ctx, dir)
	if err != nil {
		return err
	}
	defer home.Close()
	return f(home)
}
