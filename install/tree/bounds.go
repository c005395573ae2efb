package tree

import (
	"fmt"
	"strings"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// Limits of a tree (SPEC.md [I123], [I124]). They are counts, so that the same
// dependencies end alike on every machine.
const (
	MaxCopies       = 32       // of one package; further ones are links to the first
	MaxDependencies = 200_000  // of all packages together
	MaxQuestions    = 40_000   // different names and specs that are resolved
	MaxTreeSize     = 16 << 30 // bytes of all files
	MaxTreeFiles    = 2_000_000
	MaxAttempts     = 32 // to plan without optional packages whose own dependencies cannot be resolved
)

// A BoundError says that a tree would be larger than a project may be.
type BoundError struct {
	Limit int64
	What  string // "packages"
}

func (e *BoundError) Error() string {
	return fmt.Sprintf("the project would have more than %d %s", e.Limit, e.What)
}

// bounds counts what is planned.
type bounds struct {
	packages, dependencies, questions int
	size, files                       int64
}

// exceeded returns a *BoundError when have is more than limit.
func exceeded(have, limit int64, what string) error {
	if have > limit {
		return &BoundError{limit, what}
	}
	return nil
}

// add counts n, which takes no room of its own when it is a link.
func (b *bounds) add(n *Node, link bool) error {
	b.packages++
	if !link {
		b.size += n.Package.Size
		b.files += n.Package.Files
	}
	for _, err := range []error{
		exceeded(int64(n.level), lockfile.MaxNesting, "packages nested in each other"),
		exceeded(int64(len(n.Package.Path)), lockfile.MaxPath, "bytes in a path, so deep do conflicting versions nest"),
		exceeded(int64(b.packages), lockfile.MaxPackages, "packages"),
		exceeded(b.files, MaxTreeFiles, "files"),
		exceeded(b.size, MaxTreeSize, "bytes"),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// addEdges counts what n depends on.
func (b *bounds) addEdges(n *Node) error {
	b.dependencies += len(n.Edges)
	return exceeded(int64(b.dependencies), MaxDependencies, "dependencies")
}

// ask counts one question to the resolver.
func (b *bounds) ask() error {
	b.questions++
	return exceeded(int64(b.questions), MaxQuestions, "different dependencies")
}

// A copyKey is what copies of a package have in common.
type copyKey struct {
	name           records.Name
	module, record cid.Cid
}

// A queue has the packages whose dependencies are to be followed: those at the top
// first, and of these the first by path. It is a heap.
type queue []*Node

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q queue) Less(i, j int) bool {
	if q[i].level != q[j].level {
		return q[i].level < q[j].level
	}
	return strings.Compare(q[i].Path(), q[j].Path()) < 0
}

// Push implements heap.Interface.
func (q *queue) Push(n any) { *q = append(*q, n.(*Node)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	n := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return n
}
