package watcher

import (
	"strconv"
	"syscall"
)

// errWatchLimit is what adding a watch beyond fs.inotify.max_user_watches returns.
const errWatchLimit = syscall.ENOSPC

const queuesAdvice = "raise the limit with: sysctl -w fs.inotify.max_user_instances=1024, or that of open files"

// watchesAdvice returns the command that lets this user watch twice as many folders as there are, and no fewer than the
// number that distributions give to desktops.
func watchesAdvice(folders int) string {
	n := 524_288
	for n < 2*folders {
		n *= 2
	}
	return "sysctl -w fs.inotify.max_user_watches=" + strconv.Itoa(n)
}
