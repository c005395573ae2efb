package npmrange

// Intersects reports whether r and o have a version in common, as node-semver has it:
// between bounds pre-releases count too, and one that is named only beside a bound that
// names one of the same version.
func (r Range) Intersects(o Range) bool {
	for _, a := range r.sets {
		for _, b := range o.sets {
			if satisfiable(a) && satisfiable(b) && compatible(a, b) {
				return true
			}
		}
	}
	return false
}

func satisfiable(set []comparator) bool {
	for i := range set {
		if !compatible(set[:i], set[i:i+1]) {
			return false
		}
	}
	return true
}

func compatible(a, b []comparator) bool {
	for _, x := range a {
		for _, y := range b {
			if !x.intersects(y) {
				return false
			}
		}
	}
	return true
}

// nothing is the bound below which no version is.
func (c comparator) nothing() bool {
	return c.op == "<" && (c.version == "0.0.0" || c.version == "0.0.0-0")
}

func (c comparator) intersects(d comparator) bool {
	switch {
	case c.op == "":
		return matchSet([]comparator{d}, c.version, false)
	case d.op == "":
		return matchSet([]comparator{c}, d.version, false)
	case c.nothing() || d.nothing():
		return false
	case c.op[0] == d.op[0]: // both are open to the same side
		return true
	case c.op[0] == '<':
		c, d = d, c
	}
	// c is from below, d from above.
	order := c.version.Compare(d.version)
	return order < 0 || order == 0 && c.op == ">=" && d.op == "<="
}
