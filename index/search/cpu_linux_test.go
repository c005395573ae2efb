package search_test

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is the processor time that this thread has used: on a busy machine it says more
// than the time that passed.
func cpuTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
