package rangeset

// The shape of the tree.
const (
	MaxPage  = maxPage  // the most elements of a page
	MaxNode  = maxNode  // the most children of a node
	TopLevel = topLevel // that of the nodes without a parent
)
