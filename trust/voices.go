package trust

import (
	"slices"

	"github.com/everythingstays/es/records"
)

// voices counts how many voices the keys have together: the most pairs of a
// signing voice and the voice of a root that it decides by, none twice.
func (v *View) voices(r *Rule, keys []records.Fingerprint) int {
	switch len(keys) {
	case 0:
		return 0
	case 1:
		return 1
	}
	var signers, roots []records.Fingerprint
	var may [][]int // by signer: the roots that it may take
	for _, k := range keys {
		g, _ := r.find(k)
		i := number(&signers, v.voice(k))
		if i == len(may) {
			may = append(may, nil)
		}
		for _, root := range g.roots {
			may[i] = append(may[i], number(&roots, root))
		}
	}
	return matching(may, len(roots))
}

// number returns the place of the key in the list, where it is added if need be.
func number(list *[]records.Fingerprint, key records.Fingerprint) int {
	i := slices.Index(*list, key)
	if i < 0 {
		i = len(*list)
		*list = append(*list, key)
	}
	return i
}

// matching returns the size of the largest matching between the rows of may and
// n columns, by augmenting paths.
func matching(may [][]int, n int) int {
	taker := make([]int, n) // of each column: 1 + its row
	var take func(row int, tried []bool) bool
	take = func(row int, tried []bool) bool {
		for _, c := range may[row] {
			if tried[c] {
				continue
			}
			tried[c] = true
			if taker[c] == 0 || take(taker[c]-1, tried) {
				taker[c] = row + 1
				return true
			}
		}
		return false
	}
	size := 0
	for row := range may {
		if take(row, make([]bool, n)) {
			size++
		}
	}
	return size
}
