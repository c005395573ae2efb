package projectcmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/cli/internal/ui"
	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/records"
)

func listCommand(a cli.App) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls", "la", "ll"},
		Short:   "show what es has installed here",
		Args:    cli.NoArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.ReadingHome(cmd.Context(), func(h *home.Home) error { return runList(cmd.Context(), a, h) })
		},
	}
}

type listJSON struct {
	Name      records.Name    `json:"name"`
	Spec      string          `json:"spec"`
	Version   records.Version `json:"version,omitempty"`
	Module    string          `json:"module,omitempty"`
	Signer    string          `json:"signer,omitempty"`    // verified here
	Signature string          `json:"signature,omitempty"` // what is known here of it
	Claimed   string          `json:"claimedSigner,omitempty"`
	Path      string          `json:"path,omitempty"`
	Installed bool            `json:"installed"`
	Optional  bool            `json:"optional,omitempty"`
	Needs     []listJSON      `json:"dependencies,omitempty"`
}

func runList(ctx context.Context, a cli.App, h *home.Home) error {
	p, err := openProject(h)
	if err != nil {
		return err
	}
	nodes, err := p.List(ctx, here(h))
	if err != nil {
		return err
	}
	switch {
	case a.JSON:
		list := []listJSON{}
		for _, n := range nodes {
			list = append(list, describeNode(n))
		}
		if err := a.Emit(list); err != nil {
			return err
		}
	case len(nodes) == 0:
		a.Note("no esDependencies in package.json")
		a.Hint("es add NAME")
	default:
		printNodes(a, nodes, "")
	}
	if missing := countMissing(nodes); missing > 0 {
		return ui.Hinted(fmt.Errorf("%s not installed", ui.Plural(int64(missing), "package")), "es install")
	}
	return nil
}

func describeNode(n *install.Node) listJSON {
	j := listJSON{Name: n.Name, Spec: n.Spec, Installed: n.Installed, Optional: n.Optional}
	if p := n.Package; p != nil {
		j.Version, j.Module, j.Path = p.Version, p.Module.String(), p.Path
		j.Signer, j.Claimed, j.Signature = describeSignature(p, n.Signature)
	}
	for _, c := range n.Children {
		j.Needs = append(j.Needs, describeNode(c))
	}
	return j
}

// countMissing counts the packages of the tree that are needed and not installed.
func countMissing(nodes []*install.Node) (missing int) {
	for _, n := range nodes {
		if !n.Installed && !n.Optional {
			missing++
		}
		missing += countMissing(n.Children)
	}
	return missing
}

// printNodes draws the tree.
func printNodes(a cli.App, nodes []*install.Node, indent string) {
	for i, n := range nodes {
		branch, below := "├─ ", "│  "
		if i == len(nodes)-1 {
			branch, below = "└─ ", "   "
		}
		text := string(n.Name)
		if n.Package != nil {
			text = packageText(n.Package)
			if n.Package.Name != n.Name {
				text = string(n.Name) + " = " + text
			}
		}
		switch n.Signature.Standing {
		case install.Contradicted:
			text += " (not what its record says)"
		case install.Invalid:
			text += " (its signature does not count any more)"
		case install.Unknown:
			text += " (record not here)"
		}
		switch {
		case n.Installed && n.Repeated:
			text += " (shown above)"
		case n.Installed:
		case n.Optional:
			text += " (optional, not installed)"
		default:
			text += fmt.Sprintf(" (wanted as %s, not installed)", ui.Safe(n.Spec))
		}
		a.Printf("%s%s%s", indent, branch, text)
		printNodes(a, n.Children, indent+below)
	}
}
