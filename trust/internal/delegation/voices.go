package delegation

import (
	"slices"

	"github.com/everythingstays/es/records"
)

// Voices counts how many voices keys that decide have together: the most pairs of a
// signing voice and the voice of a root that it decides by, none twice (SPEC.md [T34]).
func (g *Graph) Voices(keys []records.Fingerprint) int {
	if len(keys) < 2 {
		return len(keys)
	}
	rows := map[int32]int{}
	var may [][]int32 // by signing voice: the voices of roots
	for _, key := range keys {
		k := g.id(key)
		row, ok := rows[g.keys[k].voice]
		if !ok {
			row = len(may)
			rows[g.keys[k].voice] = row
			may = append(may, nil)
		}
		for n := g.last[k]; n > 0; n = g.hops[n-1].other {
			may[row] = append(may[row], g.roots[g.hops[n-1].root].voice)
		}
	}
	for i := range may {
		slices.Sort(may[i])
		may[i] = slices.Compact(may[i])
	}
	return matching(may)
}

// matching returns the size of the largest matching between the rows and what
// they list, by augmenting paths.
func matching(may [][]int32) int {
	rowOf := map[int32]int{}
	var assign func(row int, tried map[int32]bool) bool
	assign = func(row int, tried map[int32]bool) bool {
		for _, c := range may[row] {
			if _, taken := rowOf[c]; !taken {
				rowOf[c] = row
				return true
			}
		}
		for _, c := range may[row] {
			if tried[c] {
				continue
			}
			tried[c] = true
			if assign(rowOf[c], tried) {
				rowOf[c] = row
				return true
			}
		}
		return false
	}
	size := 0
	for row := range may {
		if assign(row, map[int32]bool{}) {
			size++
		}
	}
	return size
}
