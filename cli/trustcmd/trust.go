package trustcmd

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/cli"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

func trustCommand(a cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "say whom you believe, and for which names",
		Long: `Nothing is trusted until you say so, except your own keys. What you say is kept
in the file "trust" in your home directory, one line a key, which you may edit
by hand. The most specific scope that holds a name decides alone.

Scopes:
  left-pad       that name
  left-*         names that begin so (at least three characters)
  @acme/*        every name in the scope @acme
  '*'            every name; asks for --i-trust-everything`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	cmd.AddCommand(trustAddCommand(a), trustListCommand(a), trustRemoveCommand(a), trustDenyCommand(a), trustPinCommand(a),
		trustThresholdCommand(a), trustMinAgeCommand(a))
	return cmd
}

type trustJSON struct {
	Fingerprint records.Fingerprint `json:"fingerprint,omitzero"`
	Registry    string              `json:"registry,omitempty"` // of npm, in place of the fingerprint
	Keys        []registryKeyJSON   `json:"keys,omitempty"`     // of the registry
	Unsigned    bool                `json:"unsigned,omitempty"` // the registry has none
	Imports     bool                `json:"imports,omitempty"`  // the key's word is enough for what it imported
	UID         string              `json:"uid,omitempty"`
	Label       string              `json:"label,omitempty"`
	Scopes      []records.Scope     `json:"scopes,omitempty"`
	Until       string              `json:"until,omitempty"`
	Depth       int                 `json:"depth,omitempty"`
	Follow      bool                `json:"follow,omitempty"`
	Denied      bool                `json:"denied,omitempty"`
	Problem     string              `json:"problem,omitempty"` // why it can sign nothing now
	Own         bool                `json:"own,omitempty"`
	File        string              `json:"file,omitempty"` // the project's, or none for the user's own
	Line        int                 `json:"line,omitempty"`
	known       bool                // the key is here, and not its fingerprint alone
	Names       int                 `json:"names"`    // that the line lets something in of now
	Versions    int                 `json:"versions"` // that it lets in
	// Overruled are scopes in which the user's own file decides instead.
	Overruled []records.Scope `json:"overruled,omitempty"`
}

func entryJSON(e trust.Entry, key *sign.Key) trustJSON {
	j := trustJSON{Fingerprint: e.Fingerprint, Label: e.Label, Scopes: e.Scopes, Depth: e.Depth, Follow: e.Follow, Imports: e.Imports, Line: e.Line}
	if !e.Until.IsZero() {
		j.Until = e.Until.Format(time.DateOnly)
	}
	if key != nil {
		j.UID, j.Problem, j.known = key.UserID(), grantProblem(key, time.Now()), true
	}
	return j
}
