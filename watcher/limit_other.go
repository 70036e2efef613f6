//go:build !linux

package watcher

import "syscall"

// errWatchLimit is what adding a watch returns where a watch needs a descriptor.
const errWatchLimit = syscall.EMFILE

const queuesAdvice = "raise the limit of open files"

func watchesAdvice(int) string { return "raise the limit of open files" }
