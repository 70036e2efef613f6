package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// portOwner says which process listens on a TCP port, "pid 4121, nginx", or "" if this user may not see it.
func portOwner(port int) string {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if inode := listeningInode(table, port); inode != "" {
			return socketOwner("socket:[" + inode + "]")
		}
	}
	return ""
}

// listeningInode finds the inode of the socket that listens on port in a table of proc_net_tcp(5).
func listeningInode(table string, port int) string {
	const localAddress, state, inode, listen = 1, 3, 9, "0A"
	f, err := os.Open(table)
	if err != nil {
		return ""
	}
	defer f.Close()
	suffix := fmt.Sprintf(":%04X", port)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		column := strings.Fields(lines.Text())
		if len(column) > inode && column[state] == listen && strings.HasSuffix(column[localAddress], suffix) {
			return column[inode]
		}
	}
	return ""
}

// socketOwner finds the process that has a socket open, as /proc/PID/fd names it.
func socketOwner(socket string) string {
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || target != socket {
			continue
		}
		process := filepath.Dir(filepath.Dir(link))
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil {
			return ""
		}
		owner := fmt.Sprintf("pid %d", pid)
		if name, err := os.ReadFile(filepath.Join(process, "comm")); err == nil {
			owner += ", " + shown(strings.TrimSpace(string(name)))
		}
		return owner
	}
	return ""
}
