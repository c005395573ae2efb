package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/node"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

func (a *app) searchCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:     "search QUERY",
		Aliases: []string{"find", "s"},
		Short:   "find modules by name, or by words of their description",
		Long: `Searches your own index: the name itself, then names that begin so, then words
in names, descriptions and keywords. Everything that was heard of is shown, with
who says so; a * marks what the keys you trust have signed.`,
		Args: arguments(1, -1, "something to search for"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 || limit > 1000 {
				return usagef(cmd, "--limit %d is not between 1 and 1000", limit)
			}
			return a.withHome(cmd.Context(), func(h *node.Home) error {
				return a.runSearch(cmd.Context(), h, strings.Join(args, " "), limit)
			})
		},
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", 20, "show at most so many")
	return cmd
}

type hitJSON struct {
	Name        records.Name          `json:"name"`
	Version     records.Version       `json:"version"`
	Description string                `json:"description"`
	Author      records.Fingerprint   `json:"author"`
	UID         string                `json:"uid"`
	Label       string                `json:"label"`
	Trusted     bool                  `json:"trusted"`
	State       trust.State           `json:"state"`
	Module      string                `json:"module"`
	Record      string                `json:"record"`
	Authors     []records.Fingerprint `json:"authors"`
}

func (a *app) runSearch(ctx context.Context, h *node.Home, query string, limit int) error {
	view, err := h.View(time.Now())
	if err != nil {
		return err
	}
	hits, err := h.Index().Search(ctx, query, limit, view)
	if err != nil {
		return err
	}
	if len(hits) == 0 && !a.offline {
		if hits, err = a.searchAfresh(ctx, h, query, limit); err != nil {
			return err
		}
	}
	list := []hitJSON{}
	for _, hit := range hits {
		j := hitJSON{
			Name: hit.Name, Version: hit.Release.Body.Version, Description: hit.Release.Body.Manifest.Description,
			Author: hit.Release.Author, Label: hit.Label, Trusted: hit.Decision.State == trust.Trusted, State: hit.Decision.State,
			Module: hit.Release.Body.Module.String(), Record: hit.Release.ID.String(), Authors: hit.Authors,
		}
		if j.UID, err = userID(ctx, h, hit.Release.Author); err != nil {
			return err
		}
		list = append(list, j)
	}
	if a.json {
		if err := a.emit(list); err != nil || len(list) > 0 {
			return err
		}
	}
	if len(list) == 0 {
		return a.nothingFound(ctx, h, query)
	}
	rows := make([][]string, len(list))
	for i, j := range list {
		rows[i] = []string{mark(j.State), string(j.Name), string(j.Version), signerText(j.Label, j.UID, len(j.Authors)), safe(j.Description)}
	}
	a.table(rows)
	if err := a.warnNearHits(ctx, h, view, list); err != nil {
		return err
	}
	if err := a.noteAge(h, time.Now()); err != nil {
		return err
	}
	switch first := list[0]; first.State {
	case trust.Trusted:
		a.hint("es add %s", first.Name)
	case trust.Untrusted:
		a.hint("es trust add %s %s   (believe this key for that name)", first.Author, first.Name)
	default:
		a.hint("es info %s shows why %s is not let in", first.Name, first.Version)
	}
	return nil
}

// nearHits is how many hits are held against the names that the user knows: each
// takes milliseconds.
const nearHits = 10

// warnNearHits says which of the first hits that trust does not let in look like names that
// the user knows.
func (a *app) warnNearHits(ctx context.Context, h *node.Home, view *trust.View, list []hitJSON) error {
	known, err := acquainted(h, view, nil)
	if err != nil {
		return err
	}
	for _, hit := range list[:min(len(list), nearHits)] {
		if hit.Trusted {
			continue
		}
		if err := a.warnNear(ctx, known, hit.Name); err != nil {
			return err
		}
	}
	return nil
}

// searchAfresh asks peers for records before it searches: nothing may be known here
// because nobody was asked yet.
func (a *app) searchAfresh(ctx context.Context, h *node.Home, query string, limit int) ([]index.Hit, error) {
	network := &joined{app: a, home: h}
	defer network.close()
	n := &news{app: a, home: h, network: network}
	if _, err := n.get(ctx, true); err != nil {
		return nil, err
	}
	view, err := h.View(time.Now())
	if err != nil {
		return nil, err
	}
	return h.Index().Search(ctx, query, limit, view)
}

// mark is the first column of a search: how the version stands with this user.
func mark(s trust.State) string {
	switch s {
	case trust.Trusted:
		return "*"
	case trust.Conflict, trust.Equivocation:
		return "!"
	}
	return "-"
}

func signerText(label, uid string, authors int) string {
	who := label
	if who == "" {
		who = uid
	}
	who = safe(who)
	if authors > 1 {
		who += fmt.Sprintf(" and %d more", authors-1)
	}
	return who
}

// userID returns what the key says of its owner; "" for an unknown key.
func userID(ctx context.Context, h *node.Home, f records.Fingerprint) (string, error) {
	key, err := h.Index().Key(ctx, f)
	if err != nil || key == nil {
		return "", err
	}
	return key.UserID(), nil
}

func (a *app) nothingFound(ctx context.Context, h *node.Home, query string) error {
	counts, err := h.Index().Counts(ctx)
	if err != nil {
		return err
	}
	notFound := fmt.Errorf("nothing found for %q among %s of %s", query, plural(counts.Names, "name"), plural(counts.Authors, "author"))
	if counts.Records == 0 {
		return coded(exitNotFound, fmt.Errorf("nothing found for %q: your index is empty", query),
			"es connect ADDR meets a peer, and es node keeps listening to it")
	}
	return coded(exitNotFound, notFound, "try fewer or shorter words")
}
