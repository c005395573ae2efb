// Package cli is the command line of es: flags, messages, hints and exit codes.
//
// Each command is one file with its flags and one function that makes a call
// into node, install, index, trust or sign and prints what came of it. Only
// this package prints, reads the environment and ends the process.
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

// Main runs es with the arguments of this process and returns its exit code.
func Main() int {
	ui.NameTerminal()
	a := newApp(ui.Standard())
	ctx, stop := a.Interruptible(context.Background())
	defer stop()
	return a.run(ctx, os.Args[1:])
}

// app is one run of es: what its commands write to and read from, and the global flags.
type app struct {
	*ui.Streams
	*flags
	*daemon
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
	stuck *localapi.StuckError // it did not answer
}

func newApp(s *ui.Streams) *app { return &app{s, &flags{}, &daemon{}} }

func (a *app) run(ctx context.Context, args []string) int {
	a.Args = args
	a.GuardOutput()
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.InitDefaultCompletionCmd(args...)
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.Args = noArguments
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

func (a *app) rootCommand() *cobra.Command {
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
		Args:          noArguments,
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
	root.AddCommand(
		a.demoCommand(),
		a.keyCommand(),
		a.publishCommand(),
		a.searchCommand(),
		a.infoCommand(),
		a.whyCommand(),
		a.trustCommand(),
		a.addCommand(),
		a.installCommand(),
		a.updateCommand(),
		a.listCommand(),
		a.removeCommand(),
		a.nodeCommand(),
		a.connectCommand(),
		a.tagCommand(),
		a.deprecateCommand(),
		a.yankCommand(),
		a.adviseCommand(),
		a.endorseCommand(),
		a.delegateCommand(),
		a.rotateCommand(),
		a.heartbeatCommand(),
		a.peersCommand(),
		a.syncCommand(),
		a.doctorCommand(),
		a.statusCommand(),
		a.exportCommand(),
		a.verifyCommand(),
		a.versionCommand(),
	)
	root.SetHelpCommand(helpCommand(root))
	fitFlags(root)
	return root
}

// namedHome is the home that the user names; "" for the usual one.
func (a *app) namedHome() string { return cmp.Or(a.Home, a.Getenv("ES_HOME")) }

func (a *app) homeDir() (string, error) {
	dir := a.namedHome()
	if dir == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			return "", ui.Hinted(fmt.Errorf("find the home directory: %w", err), "set ES_HOME to a directory for keys, trust and modules")
		}
		dir = filepath.Join(user, ".es")
	}
	return filepath.Abs(dir)
}

// withHome runs f with the home directory that the flags and the environment name,
// which is made where there is none.
func (a *app) withHome(ctx context.Context, f func(*home.Home) error) error {
	return a.withHomeOpened(ctx, home.Open, f)
}

// readingHome is withHome for a command that only reads: it makes no home, and needs
// none that can be written.
func (a *app) readingHome(ctx context.Context, f func(*home.Home) error) error {
	return a.withHomeOpened(ctx, home.OpenForReading, f)
}

func (a *app) withHomeOpened(ctx context.Context, open func(context.Context, string) (*home.Home, error), f func(*home.Home) error) error {
	dir, err := a.homeDir()
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
