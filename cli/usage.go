package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli/internal/ui"
)

// Usagef is wrong command line input.
func Usagef(cmd *cobra.Command, format string, args ...any) error {
	return ui.Coded(ui.ExitUsage, fmt.Errorf(format, args...), "see "+cmd.CommandPath()+" --help")
}

// NoArguments refuses arguments; a name of a command that does not exist is told as that.
func NoArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		return unknownCommand(cmd, args[0])
	}
	return Usagef(cmd, "%s takes no arguments, but got %q", cmd.CommandPath(), args[0])
}

// Arguments checks the number of arguments; max below 0 is any number.
func Arguments(min, max int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < min:
			return Usagef(cmd, "%s needs %s", cmd.CommandPath(), what)
		case max >= 0 && len(args) > max:
			return Usagef(cmd, "%s needs %s, and got one argument too many: %q", cmd.CommandPath(), what, args[max])
		}
		return nil
	}
}

// insteadOf has the commands of npm, and opposites of es's own, that es does not
// have, with what to do instead.
var insteadOf = map[string]map[string]string{
	"es": {
		"revoke":        "es key revoke KEY revokes a key of yours, for ever and for everybody; es yank NAME@VERSION keeps a version from being chosen; es trust remove KEY takes back that you believe one",
		"unpublish":     "nothing that was published can be taken away: es yank NAME@VERSION keeps a version from being chosen, es deprecate NAME TEXT warns",
		"undeprecate":   "es deprecate NAME --undo",
		"unyank":        "es yank NAME@RANGE --undo",
		"untag":         "es tag NAME TAG --remove",
		"unadvise":      "es advise NAME@RANGE --undo",
		"undelegate":    "es delegate KEY --undo",
		"disconnect":    "a peer leaves when es node ends; es trust deny KEY is for what a key signs",
		"undeny":        "es trust remove KEY takes a denial back",
		"unpin":         "es trust pin NAME@VERSION --remove",
		"untrust":       "es trust remove KEY",
		"distrust":      "es trust deny KEY, or es trust remove KEY for what you said of it",
		"deny":          "es trust deny KEY",
		"pin":           "es trust pin NAME@VERSION CID",
		"whoami":        "there are no accounts: es key list shows the keys that you sign with",
		"login":         "there are no accounts: es key new makes a key to sign with",
		"logout":        "there are no accounts: es key list shows the keys that you sign with",
		"adduser":       "there are no accounts: es key new makes a key to sign with",
		"owner":         "nobody owns a name: es delegate KEY NAME lets another key speak for yours",
		"access":        "nobody owns a name: es delegate KEY NAME lets another key speak for yours",
		"token":         "there are no accounts: es key list shows the keys that you sign with",
		"ci":            "es install --frozen installs exactly what es-lock.json says",
		"clean-install": "es install --frozen installs exactly what es-lock.json says",
		"audit":         "es install --audit tells of security advisories about what is installed",
		"outdated":      "es update takes the newest versions that package.json allows",
		"dist-tag":      "es tag NAME@VERSION TAG",
		"dist-tags":     "es tag NAME@VERSION TAG",
		"pack":          "es publish --dry-run shows what would be published",
		"prune":         "es install removes what es-lock.json does not have",
		"ping":          "es doctor looks at the network too",
		"run":           "es runs no scripts: npm run SCRIPT",
		"run-script":    "es runs no scripts: npm run SCRIPT",
		"test":          "es runs no scripts: npm test",
		"start":         "es node runs a node; es runs no scripts: npm start",
		"exec":          "es runs no programs: npx --no NAME runs what is installed",
		"init":          "es takes the package.json that npm init makes",
		"daemon":        "es node",
		"serve":         "es node",
		"swarm":         "es peers",
	},
	"es key": {
		"remove": noKeyRemoval, "rm": noKeyRemoval, "delete": noKeyRemoval,
	},
	"es trust": {
		"undeny":   "es trust remove KEY takes a denial back",
		"allow":    "es trust remove KEY takes a denial back; es trust add KEY SCOPE believes the key",
		"unpin":    "es trust pin NAME@VERSION --remove",
		"distrust": "es trust deny KEY, or es trust remove KEY for what you said of it",
		"edit":     "es trust list names the file, which any editor may change",
	},
}

// insteadOfFlag has flags of npm that es does not have, with what to do instead.
var insteadOfFlag = map[string]string{
	"D": noDevDependencies, "save-dev": noDevDependencies, "dev": noDevDependencies,
	"g": noGlobals, "global": noGlobals,
	"E": exactVersions, "save-exact": exactVersions,
	"S": savesAlways, "save": savesAlways,
}

// noKeyRemoval does not lead to es key revoke alone, which cannot be undone.
const noKeyRemoval = "es key use KEY lets another key sign; a key of yours stays until es key revoke revokes it, for ever and for everybody"

const (
	noDevDependencies = "esDependencies is the one list that es has, also of what only development needs: leave the flag out"
	noGlobals         = "es installs into the project that it is run in: leave the flag out"
	exactVersions     = "es add NAME@VERSION writes that very version into package.json"
	savesAlways       = "es add writes into package.json always: leave the flag out"
)

// wrongFlag is the error for flags that the command does not have, or not so.
func wrongFlag(cmd *cobra.Command, err error) error {
	var missing interface{ GetSpecifiedName() string }
	if errors.As(err, &missing) && slices.Contains([]string{"add", "install", "update", "remove"}, cmd.Name()) {
		if hint, ok := insteadOfFlag[missing.GetSpecifiedName()]; ok {
			return ui.Coded(ui.ExitUsage, err, hint)
		}
	}
	return Usagef(cmd, "%v", err)
}

// unknownCommand leads from what was typed to what may have been meant, and never to
// the opposite.
func unknownCommand(cmd *cobra.Command, name string) error {
	err := fmt.Errorf("unknown command %q for %s", name, cmd.CommandPath())
	help := "see " + cmd.CommandPath() + " --help"
	words := nearestWords(cmd, name)
	if len(words) == 0 {
		return ui.Coded(ui.ExitUsage, err, help)
	}
	if hint, ok := insteadOf[cmd.CommandPath()][words[0]]; ok {
		return ui.Coded(ui.ExitUsage, err, hint)
	}
	for i, w := range words {
		words[i] = cmd.CommandPath() + " " + w
	}
	return ui.Coded(ui.ExitUsage, err, "did you mean "+strings.Join(words, " or ")+"?")
}

// maxSlips is how many typing errors are made out in a command, and minStart how much of
// it must be right for what is left out at its end to be made out.
const (
	maxSlips = 2
	minStart = 3
)

// nearestWords returns the commands that the word may stand for, or one of insteadOf;
// of equally near ones all, sorted, unless one is another's opposite.
func nearestWords(cmd *cobra.Command, typed string) []string {
	instead := insteadOf[cmd.CommandPath()]
	if _, ok := instead[typed]; ok {
		return []string{typed}
	}
	least := maxSlips + 1
	var found, as []string // commands, and by which of their names
	try := func(word, stands string) {
		n := editDistance(typed, word)
		if n > 1 && len(typed) <= 4 || len(typed) == 1 || opposites(typed, word) { // one letter is near to all of them
			n = least + 1
		}
		if len(typed) >= minStart && strings.HasPrefix(word, typed) {
			n = min(n, maxSlips)
		}
		switch {
		case n < least:
			least, found, as = n, []string{stands}, []string{word}
		case n == least && n <= maxSlips && !slices.Contains(found, stands):
			found, as = append(found, stands), append(as, word)
		}
	}
	for _, c := range cmd.Commands() {
		if !c.IsAvailableCommand() && c.Name() != "help" {
			continue
		}
		for _, word := range append([]string{c.Name()}, c.Aliases...) {
			try(word, c.Name())
		}
	}
	for word := range instead {
		try(word, word)
	}
	for i, a := range as {
		if instead[a] != "" && len(as) > 1 || slices.ContainsFunc(as[:i], func(b string) bool { return opposites(a, b) }) {
			return nil
		}
	}
	slices.Sort(found)
	return found
}

// opposites reports whether the first word is the second with a prefix that turns its
// meaning, give or take a typing error, or the second is so made of the first.
func opposites(a, b string) bool {
	for _, prefix := range []string{"un", "de", "dis", "non", "in"} {
		if rest, ok := strings.CutPrefix(a, prefix); ok && len(rest) >= minStart && editDistance(rest, b) <= 1 {
			return true
		}
		if b == prefix+a {
			return true
		}
	}
	return false
}

// editDistance counts the characters to insert, remove, replace or swap with the next
// that make b of a.
func editDistance(a, b string) int {
	s, t := []rune(a), []rune(b)
	before, last := []int(nil), make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := range s {
		row := make([]int, len(t)+1)
		row[0] = i + 1
		for j := range t {
			differ := 1
			if s[i] == t[j] {
				differ = 0
			}
			row[j+1] = min(last[j]+differ, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && s[i] == t[j-1] && s[i-1] == t[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(t)]
}

// helpCommand is es help; cobra's own calls a command that does not exist a success.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "show how a command is used",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			var words []string
			if at, rest, err := root.Find(args); err == nil && len(rest) == 0 {
				for _, c := range at.Commands() {
					if c.IsAvailableCommand() && strings.HasPrefix(c.Name(), begun) {
						words = append(words, c.Name())
					}
				}
			}
			return words, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			at := root
			for _, word := range args {
				next, _, err := at.Find([]string{word})
				if err != nil || next == at {
					return unknownCommand(at, word)
				}
				at = next
			}
			at.InitDefaultHelpFlag()
			return at.Help()
		},
	}
}

// HelpColumns is how wide a help text gets.
const HelpColumns = 80

// fitFlags breaks what help says of flags between words; Long texts are written so.
func fitFlags(root *cobra.Command) {
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", fmt.Sprintf(".FlagUsagesWrapped %d", HelpColumns)))
}
