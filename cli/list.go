package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/node"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

func (a *app) listCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "show what es has installed here",
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, args []string) error { return a.runList() },
	}
}

type listJSON struct {
	Name      records.Name    `json:"name"`
	Spec      string          `json:"spec"`
	Version   records.Version `json:"version,omitempty"`
	Module    string          `json:"module,omitempty"`
	Signer    string          `json:"signer,omitempty"`
	Path      string          `json:"path,omitempty"`
	Installed bool            `json:"installed"`
	Optional  bool            `json:"optional,omitempty"`
	Needs     []listJSON      `json:"dependencies,omitempty"`
}

func (a *app) runList() error {
	p, err := install.Open(".")
	if err != nil {
		return err
	}
	nodes, err := p.List()
	if err != nil {
		return err
	}
	if a.json {
		list := []listJSON{}
		for _, n := range nodes {
			list = append(list, describeNode(n))
		}
		return a.emit(list)
	}
	if len(nodes) == 0 {
		a.note("package.json asks es for nothing")
		a.hint("es add NAME")
		return nil
	}
	missing := a.printNodes(nodes, "")
	if missing > 0 {
		return hinted(fmt.Errorf("%s not installed", plural(int64(missing), "package")), "es install")
	}
	return nil
}

func describeNode(n *install.Node) listJSON {
	j := listJSON{Name: n.Name, Spec: n.Spec, Installed: n.Installed, Optional: n.Optional}
	if p := n.Package; p != nil {
		j.Version, j.Module, j.Path = p.Version, p.Module.String(), p.Path
		if !p.Signer.IsZero() {
			j.Signer = p.Signer.String()
		}
	}
	for _, c := range n.Children {
		j.Needs = append(j.Needs, describeNode(c))
	}
	return j
}

// printNodes draws the tree and returns how many of it are missing.
func (a *app) printNodes(nodes []*install.Node, indent string) (missing int) {
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
		switch {
		case n.Installed && n.Repeated:
			text += " (shown above)"
		case n.Installed:
		case n.Optional:
			text += " (optional, not installed)"
		default:
			text += fmt.Sprintf(" (wanted as %s, not installed)", safe(n.Spec))
			missing++
		}
		a.printf("%s%s%s", indent, branch, text)
		missing += a.printNodes(n.Children, indent+below)
	}
	return missing
}

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify [NAME@VERSION]",
		Short: "check again that what is here is what was signed, without the network",
		Long: `Without an argument, reads every file that es installed in this project, builds
its tree again and compares the CID with es-lock.json. With NAME@VERSION, checks
the signatures of its records in your index again, and every block of its module.`,
		Args: arguments(0, 1, "at most one NAME@VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.withHome(cmd.Context(), func(h *node.Home) error { return a.runVerifyProject(cmd.Context(), h) })
			}
			name, v, err := parseExact(cmd, args[0])
			if err != nil {
				return err
			}
			return a.withHome(cmd.Context(), func(h *node.Home) error { return a.runVerifyStored(cmd.Context(), h, name, v) })
		},
	}
}

type verifyJSON struct {
	Packages int          `json:"packages"`
	Damage   []damageJSON `json:"damage"`
}

type damageJSON struct {
	Path   string `json:"path"`
	File   string `json:"file,omitempty"`
	Reason string `json:"reason"`
}

func (a *app) runVerifyProject(ctx context.Context, h *node.Home) error {
	p, err := install.Open(".")
	if err != nil {
		return err
	}
	v, err := p.Verify(ctx, h.Blocks())
	if err != nil {
		return err
	}
	j := verifyJSON{Packages: v.Packages, Damage: []damageJSON{}}
	for _, d := range v.Damage {
		j.Damage = append(j.Damage, damageJSON{d.Package.Path, d.File, d.Reason})
	}
	if a.json {
		if err := a.emit(j); err != nil {
			return err
		}
	} else {
		for _, d := range j.Damage {
			where := d.Path
			if d.File != "" {
				where += "/" + d.File
			}
			a.printf("%s: %s", safe(where), safe(d.Reason))
		}
	}
	if len(j.Damage) > 0 {
		return coded(exitIntegrity, fmt.Errorf("%s not what was signed", differences(len(j.Damage))), "es install --frozen --force writes them again")
	}
	a.note("%s verified", plural(int64(v.Packages), "package"))
	return nil
}

func differences(n int) string {
	if n == 1 {
		return "1 thing is"
	}
	return fmt.Sprintf("%d things are", n)
}

type verifiedClaimJSON struct {
	Author    records.Fingerprint `json:"author"`
	Record    string              `json:"record"`
	Module    string              `json:"module"`
	Signature string              `json:"signature"` // good, or what is wrong
	Stored    bool                `json:"stored"`    // every block of the module is here
	Damage    string              `json:"damage,omitempty"`
}

func (a *app) runVerifyStored(ctx context.Context, h *node.Home, name records.Name, v records.Version) error {
	releases, err := h.Index().Releases(ctx, name)
	if err != nil {
		return err
	}
	list := []verifiedClaimJSON{}
	bad := false
	for _, r := range releases {
		if r.Body.Version != v {
			continue
		}
		c := verifiedClaimJSON{Author: r.Author, Record: r.ID.String(), Module: r.Body.Module.String(), Signature: "good"}
		if err := reopen(ctx, h, r); err != nil {
			c.Signature, bad = err.Error(), true
		}
		c.Stored, err = moduleStored(ctx, h, r.Body)
		if err != nil {
			c.Damage, bad = err.Error(), true
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return &index.NotFoundError{Name: name, Constraint: string(v)}
	}
	if a.json {
		if err := a.emit(list); err != nil {
			return err
		}
	} else {
		for _, c := range list {
			a.printf("record %s by %s: signature %s", c.Record, c.Author, safe(c.Signature))
			switch {
			case c.Damage != "":
				a.printf("module %s: %s", c.Module, safe(c.Damage))
			case c.Stored:
				a.printf("module %s: every block is here and right", c.Module)
			default:
				a.printf("module %s: not stored here", c.Module)
			}
		}
	}
	if bad {
		return coded(exitIntegrity, fmt.Errorf("%s@%s is not what was signed, or its signature does not count", name, v), "es info "+string(name)+" shows who claims what")
	}
	return nil
}

// reopen verifies a stored record as if it had come from a stranger.
func reopen(ctx context.Context, h *node.Home, r index.Release) error {
	envelope, block, err := h.Index().Envelope(ctx, r.ID)
	if err != nil {
		return err
	}
	key, err := sign.ParseKey(block)
	if err != nil {
		return err
	}
	opened, err := sign.Open(envelope, sign.KeyRing{key.Fingerprint(): key})
	if err != nil {
		return err
	}
	if opened.ID() != r.ID {
		return fmt.Errorf("the index has the record %s in its place", opened.ID())
	}
	return nil
}

// moduleStored checks the module against its release, when all of it is here.
func moduleStored(ctx context.Context, h *node.Home, r *records.Release) (bool, error) {
	tree, err := modules.Inspect(ctx, verifiedBlocks{h.Blocks()}, modules.ReleaseBounds(r))
	if notHere(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, modules.Check(ctx, h.Blocks(), tree, r)
}

func (a *app) peersCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "peers",
		Short: "show who is connected",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withNetwork(cmd.Context(), func(n node.Network) error { return a.runPeers(cmd.Context(), n) })
		},
	}
}

func (a *app) runPeers(ctx context.Context, n node.Network) error {
	peers, err := n.Peers(ctx)
	if err != nil {
		return err
	}
	if a.json {
		if peers == nil {
			peers = []node.PeerInfo{}
		}
		return a.emit(peers)
	}
	if len(peers) == 0 {
		a.note("nobody is connected")
		a.hint("es connect ADDR")
		return nil
	}
	var rows [][]string
	for _, p := range peers {
		addr := ""
		if len(p.Addrs) > 0 {
			addr = p.Addrs[0]
		}
		direction := "in"
		if p.Outbound {
			direction = "out"
		}
		rows = append(rows, []string{p.Peer, direction, safe(p.Agent), safe(addr)})
	}
	a.table(rows)
	return nil
}

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "show this node, its peers and its index",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withNetwork(cmd.Context(), func(n node.Network) error { return a.runStatus(cmd.Context(), n) })
		},
	}
}

func (a *app) runStatus(ctx context.Context, n node.Network) error {
	s, err := n.Status(ctx)
	if err != nil {
		return err
	}
	if a.json {
		return a.emit(s)
	}
	if s.Daemon {
		a.printf("node      running, es %s", safe(s.Version))
	} else {
		a.printf("node      not running: es node starts it")
	}
	a.printf("peer      %s", s.Peer)
	for _, addr := range s.Addrs {
		a.printf("address   %s", safe(addr))
	}
	a.printf("peers     %d connected", s.Peers)
	a.printf("index     %s by %s, %s", plural(s.Records, "record"), plural(s.Authors, "author"), plural(s.Releases, "release"))
	if s.Pending > 0 {
		a.printf("outbox    %s of yours that nobody has heard of yet", plural(s.Pending, "record"))
	}
	return nil
}

func (a *app) connectCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "connect ADDR",
		Short: "meet a peer, and remember it",
		Long: `Dials a peer by its multiaddr, as es node prints it after "listening", such as
  /ip4/192.0.2.7/tcp/4011/p2p/12D3KooW...
The peer is remembered and dialled again by every later command that needs one.`,
		Args: arguments(1, 1, "a multiaddr that ends in /p2p/PEER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.offline {
				return usagef(cmd, "--offline and connect contradict each other")
			}
			return a.withNetwork(cmd.Context(), func(n node.Network) error { return a.runConnect(cmd.Context(), n, args[0]) })
		},
	}
}

func (a *app) runConnect(ctx context.Context, n node.Network, addr string) error {
	p, err := n.Connect(ctx, addr)
	if err != nil {
		var unreachable *node.UnreachableError
		if errors.As(err, &unreachable) {
			return err
		}
		return hinted(err, "an address looks like /ip4/192.0.2.7/tcp/4011/p2p/12D3KooW..., as es node prints it")
	}
	if a.json {
		return a.emit(p)
	}
	a.printf("%s", p.Peer)
	a.note("connected to %s, and remembered", safe(p.Agent))
	return nil
}

// withNetwork runs f with the running daemon, or with a node for this command.
func (a *app) withNetwork(ctx context.Context, f func(node.Network) error) error {
	return a.withHome(ctx, func(h *node.Home) error {
		n, err := node.Join(ctx, h, a.nodeConfig())
		if err != nil {
			return err
		}
		defer n.Close()
		return f(n)
	})
}
