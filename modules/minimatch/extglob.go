package minimatch

import (
	"strings"
)

// A globAST is one element of a path pattern, as minimatch 10.2.5 parses it:
// text with extended globs such as "!(a|b)" in it. Text may have '*', '?' and
// '[...]'. A node of kind 0 is a concatenation, any other is an extended glob
// whose parts are its alternatives.
type globAST struct {
	kind        byte
	root        *globAST
	parent      *globAST
	parentIndex int
	parts       []globPart
	magic       bool
	unicode     bool
	emptyExt    bool
	negs        []*globAST // in the root
	filledNegs  bool       // in the root
	nodes       int        // of the whole tree, in the root
}

// A globPart is text, or a node.
type globPart struct {
	text string
	node *globAST
}

// Which extended globs may take over the alternatives of one inside them.
var (
	adoption          = map[byte]string{'!': "@", '?': "?@", '@': "@", '*': "*+?@", '+': "+@"}
	adoptionWithSpace = map[byte]string{'!': "?", '@': "?", '+': "?*"}
	adoptionAny       = map[byte]string{'!': "?@", '?': "?@", '@': "?@", '*': "*+?@", '+': "+@?*"}
	usurp             = map[byte]map[byte]byte{
		'!': {'!': '@'},
		'?': {'*': '*', '+': '*'},
		'@': {'!': '!', '?': '?', '@': '@', '*': '*', '+': '+'},
		'+': {'?': '*', '*': '*'},
	}
)

const maxExtglobDepth = 2

func newGlobAST(kind byte, parent *globAST) *globAST {
	a := &globAST{kind: kind, magic: kind != 0, parent: parent}
	a.root = a
	if parent != nil {
		a.root = parent.root
		a.parentIndex = len(parent.parts)
	}
	a.root.nodes++
	if kind == '!' && !a.root.filledNegs {
		a.root.negs = append(a.root.negs, a)
	}
	return a
}

func parseGlobAST(pattern string) *globAST {
	a := newGlobAST(0, nil)
	a.parse(pattern, 0, 0)
	return a
}

func (a *globAST) pushText(s string) {
	if s != "" {
		a.parts = append(a.parts, globPart{text: s})
	}
}

func (a *globAST) pushNode(n *globAST) { a.parts = append(a.parts, globPart{node: n}) }

// A globScanner follows escapes and bracket expressions through a pattern.
type globScanner struct {
	escaping   bool
	inBrackets bool
	start      int
	negated    bool
}

// plain reports whether c, which ends at i, is text whatever it looks like.
func (g *globScanner) plain(c byte, i int) bool {
	if g.escaping || c == '\\' {
		g.escaping = !g.escaping
		return true
	}
	if g.inBrackets {
		if i == g.start+1 {
			if c == '^' || c == '!' {
				g.negated = true
			}
		} else if c == ']' && !(i == g.start+2 && g.negated) {
			g.inBrackets = false
		}
		return true
	}
	if c == '[' {
		g.inBrackets, g.start, g.negated = true, i, false
		return true
	}
	return false
}

func startsExtglob(s string, c byte, i int) bool {
	return strings.IndexByte("!?+*@", c) >= 0 && i < len(s) && s[i] == '('
}

// parse reads s from pos and returns where it stopped.
func (a *globAST) parse(s string, pos, depth int) int {
	if a.kind != 0 {
		return a.parseExtglob(s, pos, depth)
	}
	var scan globScanner
	var acc strings.Builder
	i := pos
	for i < len(s) {
		c := s[i]
		i++
		if !scan.plain(c, i) && startsExtglob(s, c, i) && depth <= maxExtglobDepth {
			a.pushText(acc.String())
			acc.Reset()
			ext := newGlobAST(c, a)
			i = ext.parse(s, i, depth+1)
			a.pushNode(ext)
			continue
		}
		acc.WriteByte(c)
	}
	a.pushText(acc.String())
	return i
}

// parseExtglob reads the alternatives after the '(' at pos.
func (a *globAST) parseExtglob(s string, pos, depth int) int {
	var scan globScanner
	var acc strings.Builder
	var parts []*globAST
	part := newGlobAST(0, a)
	i := pos + 1
	for i < len(s) {
		c := s[i]
		i++
		if scan.plain(c, i) {
			acc.WriteByte(c)
			continue
		}
		adopts := strings.IndexByte(adoptionAny[a.kind], c) >= 0
		if startsExtglob(s, c, i) && (depth <= maxExtglobDepth || adopts) {
			part.pushText(acc.String())
			acc.Reset()
			ext := newGlobAST(c, part)
			part.pushNode(ext)
			inside := depth + 1
			if adopts {
				inside = depth
			}
			i = ext.parse(s, i, inside)
			continue
		}
		switch c {
		case '|':
			part.pushText(acc.String())
			acc.Reset()
			parts = append(parts, part)
			part = newGlobAST(0, a)
		case ')':
			if acc.Len() == 0 && len(a.parts) == 0 {
				a.emptyExt = true
			}
			part.pushText(acc.String())
			for _, p := range append(parts, part) {
				a.pushNode(p)
			}
			return i
		default:
			acc.WriteByte(c)
		}
	}
	// It never ended, so it was text.
	a.kind, a.magic = 0, false
	a.parts = []globPart{{text: s[pos-1:]}}
	return i
}

func (a *globAST) String() string {
	var list []string
	for _, p := range a.parts {
		if p.node != nil {
			list = append(list, p.node.String())
		} else {
			list = append(list, p.text)
		}
	}
	if a.kind == 0 {
		return strings.Join(list, "")
	}
	return string(a.kind) + "(" + strings.Join(list, "|") + ")"
}

// only returns the extended glob that is all there is in the part.
func (p globPart) only() *globAST {
	if p.node == nil || p.node.kind != 0 || len(p.node.parts) != 1 {
		return nil
	}
	inner := p.node.parts[0].node
	if inner == nil || inner.kind == 0 {
		return nil
	}
	return inner
}

func (a *globAST) flatten() {
	if a.kind == 0 {
		for _, p := range a.parts {
			if p.node != nil {
				p.node.flatten()
			}
		}
		return
	}
	for range 10 {
		done := true
		for i := 0; i < len(a.parts); i++ {
			if a.parts[i].node == nil {
				continue
			}
			a.parts[i].node.flatten()
			if a.flattenPart(i) {
				done = false
			}
		}
		if done {
			return
		}
	}
}

// flattenPart lets a take over what is inside its i-th alternative, and reports
// whether another pass is needed.
func (a *globAST) flattenPart(i int) bool {
	inner := a.parts[i].only()
	if inner == nil || a.kind == 0 {
		return false
	}
	switch {
	case strings.IndexByte(adoption[a.kind], inner.kind) >= 0:
		a.adopt(inner, i)
		return true
	case strings.IndexByte(adoptionWithSpace[a.kind], inner.kind) >= 0:
		blank := newGlobAST(0, inner)
		blank.parts = []globPart{{}}
		inner.pushNode(blank)
		a.adopt(inner, i)
		return true
	}
	if kind, ok := usurp[a.kind][inner.kind]; ok && len(a.parts) == 1 {
		a.parts = inner.parts
		for _, p := range a.parts {
			if p.node != nil {
				p.node.parent = a
			}
		}
		a.kind, a.emptyExt = kind, false
	}
	return false
}

func (a *globAST) adopt(inner *globAST, i int) {
	parts := append([]globPart(nil), a.parts[:i]...)
	parts = append(parts, inner.parts...)
	a.parts = append(parts, a.parts[i+1:]...)
	for _, p := range inner.parts {
		if p.node != nil {
			p.node.parent = a
		}
	}
}

// fillNegs appends what follows a negation to its alternatives, so that they
// are compared to the end of the element.
func (a *globAST) fillNegs() {
	if a.filledNegs {
		return
	}
	a.filledNegs = true
	for len(a.negs) > 0 {
		n := a.negs[len(a.negs)-1]
		a.negs = a.negs[:len(a.negs)-1]
		if n.kind != '!' {
			continue
		}
		p := n
		for pp := p.parent; pp != nil; p, pp = pp, pp.parent {
			for i := p.parentIndex + 1; pp.kind == 0 && i < len(pp.parts); i++ {
				for _, part := range n.parts {
					part.node.copyIn(pp.parts[i])
				}
			}
		}
	}
}

// copyIn does nothing once the tree is too large: each of several negations in a row
// would double it.
func (a *globAST) copyIn(p globPart) {
	if a.root.nodes > maxGlobNodes {
		return
	}
	if p.node == nil {
		a.pushText(p.text)
		return
	}
	a.pushNode(p.node.clone(a))
}

func (a *globAST) clone(parent *globAST) *globAST {
	c := newGlobAST(a.kind, parent)
	for _, p := range a.parts {
		c.copyIn(p)
	}
	return c
}

func (a *globAST) isStart() bool {
	if a.root == a {
		return true
	}
	if !a.parent.isStart() {
		return false
	}
	for i := range a.parentIndex {
		if i >= len(a.parent.parts) {
			return false
		}
		if n := a.parent.parts[i].node; n == nil || n.kind != '!' {
			return false
		}
	}
	return true
}

func (a *globAST) isEnd() bool {
	if a.root == a || a.parent.kind == '!' {
		return true
	}
	if !a.parent.isEnd() {
		return false
	}
	return a.kind == 0 || a.parentIndex == len(a.parent.parts)-1
}
