package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

const (
	stateHomeVariable = "XDG_STATE_HOME"
	stateIDBytes      = 16 // hex digits of a folder's name below the user's state folder
)

// stateHome returns the folder for what this user's programs remember, as the XDG Base Directory Specification has it.
func stateHome() (string, error) {
	if folder := os.Getenv(stateHomeVariable); filepath.IsAbs(folder) { // a relative one is to be ignored
		return filepath.Join(folder, "freshet"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(home) {
		return "", errors.New("neither " + stateHomeVariable + " nor HOME names a folder")
	}
	return filepath.Join(home, ".local", "state", "freshet"), nil
}

// stateID names what is remembered of a path or URL.
func stateID(of string) string { return hashing.Sum([]byte(of)).String()[:stateIDBytes] }

// readOnlyState returns the folder for what is kept of t when nothing may be written into it. It goes by t's path: what is
// served there in the place of another folder is compared with that one, and whoever follows its feed is told of all that is
// different. If the user's state folder is itself in what is served, it has a name there that is not.
func (t target) readOnlyState() (string, error) {
	home, err := stateHome()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(home, stateID(resolved(t.String())))
	if t.contains(folder) {
		folder = filepath.Join(folder, tree.Reserved)
	}
	return folder, nil
}

// contains reports whether a folder, which need not be there yet, is in what is served.
func (t target) contains(folder string) bool {
	if t.only != "" {
		return false
	}
	rel, err := filepath.Rel(resolved(t.dir), resolved(folder))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// resolved returns an absolute path without links in it, as far as it leads to something.
func resolved(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if parent := filepath.Dir(path); parent != path {
		return filepath.Join(resolved(parent), filepath.Base(path))
	}
	return path
}
