package trust_test

import (
	"slices"

	"github.com/everythingstays/es/records"
)

// limitVectors are about how far successions and delegations lead.
func limitVectors() []vector {
	follow := key(1, "left-pad follow=yes")
	three := key(1, "left-* depth=3")
	chain := func(w *world, to int) *world {
		for k := 2; k <= to; k++ {
			w.succeeds(k, k-1)
		}
		return w
	}
	// The keys 10 to 42, by fingerprint: one more than a root may have beside its own.
	many := make([]int, 33)
	for i := range many {
		many[i] = 10 + i
	}
	slices.SortFunc(many, func(a, b int) int { return records.Fingerprint.Compare(testKey(a), testKey(b)) })
	delegates := func(w *world) *world {
		for _, k := range many {
			w.delegates(1, k, 0, "left-pad")
		}
		return w
	}
	says33, says32 := many[32], many[31]
	v := decisionVector
	return []vector{
		v("follow-chain-32", "trusted", "T29", "the 32nd key of a chain", follow, chain(about("left-pad", says(32, "X")), 33)),
		v("follow-chain-33", "untrusted", "T29", "the 33rd key of a chain", follow, chain(about("left-pad", says(33, "X")), 33)),
		v("follow-fork-newest", "untrusted", "T29", "of two successors the newer one is not followed either", follow, about("left-pad", says(3, "X")).succeeds(2, 1).succeeds(3, 1)),
		v("delegate-third", "trusted", "T30", "three in a row", three,
			about("left-pad", says(4, "X")).delegates(1, 2, 2, "*").delegates(2, 3, 1, "*").delegates(3, 4, 0, "*")),
		v("delegate-third-depth", "untrusted", "T30", "the second allows more than the first, which allows one", three,
			about("left-pad", says(4, "X")).delegates(1, 2, 1, "*").delegates(2, 3, 3, "*").delegates(3, 4, 0, "*")),
		v("delegate-fourth", "untrusted", "T30", "four in a row are more than any line allows", three,
			about("left-pad", says(5, "X")).delegates(1, 2, 3, "*").delegates(2, 3, 3, "*").delegates(3, 4, 3, "*").delegates(4, 5, 0, "*")),
		v("delegate-32", "trusted", "T31", "of 33 delegates the 32nd by fingerprint", key(1, "left-* depth=1"), delegates(about("left-pad", says(says32, "X")))),
		v("delegate-33", "untrusted", "T31", "of 33 delegates the last by fingerprint", key(1, "left-* depth=1"), delegates(about("left-pad", says(says33, "X")))),
		v("delegate-after-chain", "untrusted", "T31", "successors go before delegates: one of two delegates has room beside 31 successors", key(1, "left-pad follow=yes depth=1"),
			chain(about("left-pad", says(higher(50, 51), "X")), 32).delegates(1, 50, 0, "*").delegates(1, 51, 0, "*")),
		v("delegate-nearer", "untrusted", "T31", "who is reached by two delegations has no room after 32 that are reached by one", key(1, "left-pad depth=2"),
			delegates(about("left-pad", says(60, "X"))).delegates(1, many[0], 1, "*").delegates(many[0], 60, 0, "*")),
		v("pin-record-denied", "trusted", "T35", "of a pinned module the record of a denied key is not used", "deny "+k1+"\npin left-pad 1.0.0 "+modX+"\n",
			about("left-pad", says(1, "X"), says(2, "X"))),
	}
}

// higher returns the key with the higher fingerprint.
func higher(a, b int) int {
	if testKey(a).Compare(testKey(b)) > 0 {
		return a
	}
	return b
}
