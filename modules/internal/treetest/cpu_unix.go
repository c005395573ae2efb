//go:build !windows

package treetest

import (
	"time"

	"golang.org/x/sys/unix"
)

// CPUTime is what this process has used. Unlike the wall clock it does not
// depend on what else the machine does.
func CPUTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
