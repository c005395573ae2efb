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
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/everythingstays/es/node"
)

// Main runs es with the arguments of this process and returns its exit code.
func Main() int {
	nameTerminal()
	a := &app{
		in:     os.Stdin,
		out:    os.Stdout,
		err:    os.Stderr,
		getenv: os.Getenv,
		tty:    term.IsTerminal(int(os.Stderr.Fd())),
		asks:   term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())),
	}
	a.columns, a.colour = terminal(os.Stdout, os.Getenv)
	ctx, stop := a.interruptible(context.Background())
	defer stop()
	return a.run(ctx, os.Args[1:])
}

// terminal returns how wide a terminal is, 80 when that is not known, and whether it
// shows colours; 0 and false when the file is none.
func terminal(f *os.File, getenv func(string) string) (columns int, colour bool) {
	if !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 {
		columns = 80
	}
	return columns, showsColours(getenv)
}

// showsColours reports whether the terminal that the environment describes does.
func showsColours(getenv func(string) string) bool {
	name := getenv("TERM")
	return getenv("NO_COLOR") == "" && name != "" && name != "dumb"
}

// nameTerminal tells gpg's agent on which terminal to ask for a passphrase, when
// the user's shell does not.
func nameTerminal() {
	if os.Getenv("GPG_TTY") != "" || !term.IsTerminal(int(os.Stdin.Fd())) {
		return
	}
	if tty, err := os.Readlink("/proc/self/fd/0"); err == nil { // Linux alone has it
		os.Setenv("GPG_TTY", tty)
	}
}

// app is one run of es: where it reads and writes, and the global flags.
type app struct {
	in     io.Reader
	out    io.Writer
	err    io.Writer
	getenv func(string) string
	tty    bool // messages go to a terminal: show progress there
	asks   bool // someone can answer a question

	columns int  // of the terminal that results go to; 0 without one
	colour  bool // it shows colours

	args    []string
	home    string
	json    bool
	emitted bool // something was printed as JSON
	quiet   bool
	offline bool
	verbose bool
	first   bool // of commands that sign: the own log is said to be here

	echo    echo
	stuck   *node.StuckError // the running node did not answer
	lingers atomic.Bool      // an ending command may take nodeEndWait
}

func (a *app) run(ctx context.Context, args []string) int {
	a.args = args
	a.out = &output{to: a.out}
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.InitDefaultCompletionCmd(args...)
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.Args = noArguments
		completion.RunE = func(cmd *cobra.Command, args []string) error { return cmd.Help() }
	}
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = a.printed()
	}
	if err != nil {
		return a.fail(ctx, err)
	}
	return exitDone
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
	f.StringVar(&a.home, "home", "", "directory of keys, trust, index and blocks (default $ES_HOME or ~/.es)")
	f.BoolVar(&a.json, "json", false, "print one JSON document on standard output")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print results and errors only")
	f.BoolVar(&a.offline, "offline", false, "do not use the network")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "say more about what happens")
	root.DisableSuggestions = true // unknownCommand has its own
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		a.json = a.json || slices.Contains(a.args, "--json") // it may come after what is wrong
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
func (a *app) namedHome() string { return cmp.Or(a.home, a.getenv("ES_HOME")) }

func (a *app) homeDir() (string, error) {
	dir := a.namedHome()
	if dir == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			return "", hinted(fmt.Errorf("find the home directory: %w", err), "set ES_HOME to a directory for keys, trust and modules")
		}
		dir = filepath.Join(user, ".es")
	}
	return filepath.Abs(dir)
}

// withHome runs f with the home directory that the flags and the environment name,
// which is made where there is none.
func (a *app) withHome(ctx context.Context, f func(*node.Home) error) error {
	return a.withHomeOpened(ctx, node.OpenHome, f)
}

// readingHome is withHome for a command that only reads: it makes no home, and needs
// none that can be written.
func (a *app) readingHome(ctx context.Context, f func(*node.Home) error) error {
	return a.withHomeOpened(ctx, node.ReadHome, f)
}

func (a *app) withHomeOpened(ctx context.Context, open func(context.Context, string) (*node.Home, error), f func(*node.Home) error) error {
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
