package main

import (
	"slices"
	"testing"
	"time"

	"freshet/fileserver/tree"
)

func TestIndexLines(t *testing.T) {
	seen := tree.Stats{Files: 12_304, Bytes: 41e9, Folders: 300, Watching: true}
	busy, unwatched, blind := seen, seen, seen
	busy.FilesPending = 1037
	unwatched.UnwatchedFolders, unwatched.WatchRemedy = 12, "sysctl -w fs.inotify.max_user_watches=524288"
	blind.Watching = false
	for name, c := range map[string]struct {
		stats tree.Stats
		want  [][2]string
	}{
		"watching": {seen, [][2]string{{"Index", "12 304 files, 41 GB, ready in 0.8 s; watching for changes"}}},
		"large_files_are_still_read": {busy, [][2]string{
			{"Index", "12 304 files, 41 GB, ready in 0.8 s but for 1 037 being read; watching for changes"}}},
		"beyond_the_limit": {unwatched, [][2]string{
			{"Index", "12 304 files, 41 GB, ready in 0.8 s; 12 of 300 folders are not watched"},
			{"To watch them all", "sysctl -w fs.inotify.max_user_watches=524288"}}},
		"no_watcher": {blind, [][2]string{
			{"Index", "12 304 files, 41 GB, ready in 0.8 s; not watching: each request looks at the disk itself"}}},
		"nothing": {tree.Stats{Watching: true}, [][2]string{{"Index", "0 files, 0 B, ready in 0.8 s; watching for changes"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := indexLines(&c.stats, 801*time.Millisecond); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestNumbersForPeople(t *testing.T) {
	for _, c := range [][2]string{
		{grouped(0), "0"}, {grouped(999), "999"}, {grouped(1000), "1 000"}, {grouped(1_000_214), "1 000 214"},
		{grouped(-1234), "-1 234"}, {grouped(-123), "-123"},
		{files(0), "0 files"}, {files(1), "1 file"}, {files(2000), "2 000 files"},
		{humanBytes(0), "0 B"}, {humanBytes(999), "999 B"}, {humanBytes(1000), "1.0 kB"}, {humanBytes(9949), "9.9 kB"},
		{humanBytes(9950), "10 kB"}, {humanBytes(999_499), "999 kB"}, {humanBytes(999_500), "1.0 MB"}, {humanBytes(41e9), "41 GB"},
		{humanBytes(1<<63 - 1), "9.2 EB"},
		{shortTime(0), "0.0 ms"}, {shortTime(900 * time.Microsecond), "0.9 ms"}, {shortTime(99 * time.Millisecond), "99.0 ms"},
		{shortTime(100 * time.Millisecond), "0.1 s"}, {shortTime(801 * time.Millisecond), "0.8 s"},
		{shortTime(99949 * time.Millisecond), "99.9 s"}, {shortTime(100 * time.Second), "1m40s"},
	} {
		if c[0] != c[1] {
			t.Errorf("got %s, want %s", c[0], c[1])
		}
	}
}
