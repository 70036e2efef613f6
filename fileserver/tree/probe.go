package tree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A Finding is one thing that a filesystem gives or does not give.
type Finding struct {
	Name   string // "read leases"
	OK     bool
	Detail string // what it means here, one line
}

// Probe tries out what the filesystem of the folder root gives, in a temporary folder inside it that is gone when it
// returns. Where root cannot be written to, only what can be read is reported.
func Probe(root string) ([]Finding, error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("probe %s: %w", root, ErrNotFolder)
	}
	findings := probeSystem(root)
	scratch, err := os.MkdirTemp(root, Reserved+"-probe-")
	if errors.Is(err, os.ErrPermission) || errors.Is(err, errReadOnlyDisk) {
		return append(findings, Finding{"writable", false, "only reading is possible here: " + cause(err)}), nil
	}
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	defer os.RemoveAll(scratch)
	findings = append(findings, Finding{"writable", true, "uploads and versions can be kept in this folder"})
	d, err := openFolder(scratch)
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	defer d.close()
	return append(findings, probeFolder(d, scratch)...), nil
}

// cause is the innermost text of an error, without the names on the way.
func cause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// finding words a trial: good if it succeeded, weak if not.
func finding(name string, err error, good, weak string) Finding {
	if err != nil {
		return Finding{name, false, weak}
	}
	return Finding{name, true, good}
}

// probeFolder tries what commits are made of in the folder d, which is called name.
func probeFolder(d dir, name string) []Finding {
	return []Finding{
		probeLease(d),
		probeExchange(d),
		probeNameless(d),
		probeClone(d),
		finding("symbolic links", os.Symlink("a", filepath.Join(name, "link")),
			"links are kept and followed as --symlinks says", "links cannot be made here"),
		finding("folder sync", d.sync(), "a change is durable when it is acknowledged",
			"after a power cut an acknowledged change may be missing"),
		probeCase(d),
	}
}

func probeLease(d dir) Finding {
	const weak = "a local program that writes in place is found by reading the file again, not by the kernel; " +
		"stores through a shared mapping may be seen late"
	h, err := d.create("lease", 0o600)
	if err != nil {
		return Finding{"read leases", false, weak}
	}
	h.close()
	if h, _, err = d.open("lease"); err != nil {
		return Finding{"read leases", false, weak}
	}
	defer h.close()
	if h.lease() != leaseGranted {
		return Finding{"read leases", false, weak}
	}
	return Finding{"read leases", true, "the kernel tells when a local program wants to write " +
		"(for files of other owners this needs CAP_LEASE)"}
}

func probeExchange(d dir) Finding {
	err := errors.Join(touch(d, "one"), touch(d, "two"))
	if err == nil {
		err = exchange(d, "one", d, "two")
	}
	return finding("exchange of names", err, "a file is replaced in one step and the old one kept",
		"while a file is replaced its name is missing for a moment; readers of this server wait, local programs may notice")
}

func touch(d dir, name string) error {
	h, err := d.create(name, 0o600)
	h.close()
	return err
}

func probeNameless(d dir) Finding {
	h, err := d.nameless(0o600)
	h.close()
	return finding("nameless files", err, "an upload that is cut off leaves nothing behind",
		"an upload that is cut off by a crash is removed at the next start")
}

func probeClone(d dir) Finding {
	a, err1 := d.create("from", 0o600)
	b, err2 := d.create("to", 0o600)
	defer a.close()
	defer b.close()
	err := errors.Join(err1, err2)
	if err == nil {
		_, err = a.write([]byte("x"))
	}
	if err == nil {
		err = b.cloneFrom(a)
	}
	return finding("reflinks", err, "copies share blocks; a large file that is being written gets a tag at once",
		"copies are written out; a large file that is being written is served without a tag")
}

func probeCase(d dir) Finding {
	_ = touch(d, "case")
	if _, err := d.stat("CASE"); err == nil {
		return Finding{"names differ by case", false, "two spellings are one file here; its tag is the same under both"}
	}
	return Finding{"names differ by case", true, "every spelling is a file of its own"}
}
