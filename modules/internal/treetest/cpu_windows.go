package treetest

import "time"

var started = time.Now()

// CPUTime returns the time since the test began: Windows says no other here.
func CPUTime() time.Duration { return time.Since(started) }
