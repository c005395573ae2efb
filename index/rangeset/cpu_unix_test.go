//go:build unix

package rangeset_test

import (
	"syscall"
	"time"
)

// cpuTime returns what this process has used of the processors: on a busy machine
// it says more than a clock.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
