package idealtree

import (
	"fmt"

	"github.com/everythingstays/es/records"
)

// flags say what a node is there for: all are set until a way from the root is found on
// which they do not hold.
type flags struct {
	dev, optional, devOptional, peer, extraneous bool
}

// calculate walks from the root and takes back the flags that do not hold.
func (t *resolver) calculate() {
	for _, n := range t.tree.subtree() {
		n.flags = flags{true, true, true, true, true}
	}
	t.tree.flags = flags{}
	stack, seen := []*node{t.tree}, make(map[*node]bool)
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		seen[n] = true
		if !n.flags.extraneous {
			for up := n.around(); up != nil && up.flags.extraneous; up = up.around() {
				up.flags.extraneous = false
			}
		}
		if n.link != nil {
			if n.link.flags.lower(n.flags, prod) || !seen[n.link] {
				stack = append(stack, n.link)
			}
			continue
		}
		for _, e := range n.out.list {
			if e.to != nil && e.to.flags.lower(n.flags, e.kind) {
				stack = append(stack, e.to)
			}
		}
	}
	for n := range seen {
		if n != t.tree && n.flags.devOptional && (n.flags.dev || n.flags.optional) {
			n.flags.devOptional = false
		}
	}
}

// lower takes back what does not hold on an edge of this kind from a node with the flags
// from, and reports whether that was anything.
func (f *flags) lower(from flags, kind edgeKind) bool {
	before := *f
	isDev, isOptional, isPeer := kind == dev, kind == optional || kind == peerOptional, kind == peer || kind == peerOptional
	f.extraneous = f.extraneous && (from.extraneous || kind == peerOptional)
	f.dev = f.dev && (from.dev || isDev)
	f.optional = f.optional && (from.optional || isOptional)
	f.devOptional = f.devOptional && (from.devOptional || from.dev || from.optional || isDev || isOptional)
	f.peer = f.peer && (from.peer || isPeer)
	return *f != before
}

// disable marks what is not installed since n could not be found: up to the optional
// dependency that led here, and what only that needs.
func (t *resolver) disable(n *node, inert map[*node]bool) {
	up, seen := []*node{n}, map[*node]bool{n: true}
	for i := 0; i < len(up); i++ {
		for _, e := range up[i].in {
			if !e.optional() && !seen[e.from] {
				seen[e.from] = true
				up = append(up, e.from)
			}
		}
	}
	for each := range gather(up, func(e *edge) bool { return !seen[e.to] && !inert[e.from] }) {
		inert[each] = true
	}
}

func quoteSpec(e *edge) string { return fmt.Sprintf("%s@%q", e.name, records.Clip(e.spec())) }
