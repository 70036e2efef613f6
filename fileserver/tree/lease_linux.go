package tree

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// leaseBreaks tells, by the kernel's signal, that somebody waits to write to a file that is held under a lease.
func leaseBreaks() (broken <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGIO)
	return c, func() { signal.Stop(c) }
}

// descriptorsMax is how many files the process may have open.
func descriptorsMax() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return int(min(limit.Cur, 1<<20))
}
