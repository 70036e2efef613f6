package watcher

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A picture is what a scan of a tree shows, by path.
type picture map[string]sight

type sight struct {
	id    identity
	mode  fs.FileMode
	size  int64
	mtime time.Time
	link  string
}

func (ob *observer) look() picture {
	p := picture{}
	ob.do(filepath.WalkDir(ob.w.prefix, func(path string, d fs.DirEntry, err error) error {
		rel, _ := ob.w.relative(path)
		if err != nil || rel == "" || strings.HasPrefix(d.Name(), "~probe") {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		s := sight{id: identityOf(fi), mode: fi.Mode()}
		if !fi.IsDir() {
			s.size, s.mtime = fi.Size(), fi.ModTime()
			s.link, _ = os.Readlink(path)
		}
		p[rel] = s
		return nil
	}))
	return p
}

// missed returns a path that changed from p to q and that no Batch covered, "" if there is none. What was below a
// folder that is gone is covered by the folder's name.
func (ob *observer) missed(p, q picture) string {
	if ob.rescans > 0 {
		return ""
	}
	for rel, now := range q {
		if then, ok := p[rel]; (!ok || then != now) && !ob.covers(rel) {
			return rel
		}
	}
	for rel, then := range p {
		if _, ok := q[rel]; ok {
			continue
		}
		covered := ob.covers(rel)
		for up, _ := split(rel); up != "" && !covered; up, _ = split(up) {
			covered = ob.covers(up) && q[up].id != p[up].id
		}
		if !covered {
			return fmt.Sprint(rel, " (gone) ", then.mode)
		}
	}
	return ""
}

// A player makes random changes to a real tree and to a folder outside of it.
type player struct {
	*rand.Rand
	root, out string
}

// name returns the path of something that may be there: names are few, so that changes meet.
func (p player) name() string {
	rel := string(rune('a' + p.IntN(4)))
	for p.IntN(3) > 0 && len(rel) < 8 {
		rel += "/" + string(rune('a'+p.IntN(4)))
	}
	return filepath.Join(p.root, rel)
}

func (p player) outside() string { return filepath.Join(p.out, string(rune('a'+p.IntN(3)))) }

// play makes one change, or none if it is not possible, and says which.
func (p player) play() string {
	a, b := p.name(), p.name()
	changes := []struct {
		name   string
		weight int
		run    func()
	}{
		{"mkdir", 4, func() { os.Mkdir(a, 0o777) }},
		{"mkdir -p and write", 3, func() {
			if os.MkdirAll(a+"/b/c", 0o777) == nil {
				os.WriteFile(a+"/b/c/d", []byte(b), 0o666)
			}
		}},
		{"rename", 5, func() { os.Rename(a, b) }},
		{"rename back and forth", 1, func() { os.Rename(a, b); os.Rename(b, a) }},
		{"trade", 2, func() { os.Rename(a, a+"~"); os.Rename(b, a); os.Rename(a+"~", b) }},
		{"cascade", 2, func() {
			os.Rename(a, a+"~1")
			os.Rename(a+"~1", b+"~2")
			os.Mkdir(a, 0o777)
			os.Rename(b+"~2", a+"/d")
		}},
		{"deep tree back and forth", 2, func() {
			os.MkdirAll(a+"/a/b/c", 0o777)
			os.Rename(a+"/a", b+"~")
			os.WriteFile(b+"~/b/c/f", nil, 0o666)
			os.Rename(b+"~", a+"/a")
		}},
		{"replace by another of the same name", 2, func() {
			os.MkdirAll(a+"~/a/b", 0o777)
			os.WriteFile(a+"~/a/b/f", nil, 0o666)
			os.Rename(a, p.outside())
			os.Rename(a+"~", a)
		}},
		{"move out", 1, func() { os.Rename(a, p.outside()) }},
		{"move in", 2, func() { os.Rename(p.outside(), a) }},
		{"remove all", 2, func() { os.RemoveAll(a) }},
		{"remove all and make again", 1, func() { os.RemoveAll(a); os.MkdirAll(a+"/a", 0o777) }},
		{"append", 4, func() {
			if f, err := os.OpenFile(a, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666); err == nil {
				f.WriteString(b)
				f.Close()
			}
		}},
		{"save by rename", 2, func() {
			if os.WriteFile(a+"~", []byte(b), 0o666) == nil && os.Rename(a+"~", a) != nil {
				os.Remove(a + "~")
			}
		}},
		{"chmod", 2, func() {
			if fi, err := os.Lstat(a); err == nil && fi.Mode().Type() != fs.ModeSymlink {
				os.Chmod(a, fi.Mode()^0o010)
			}
		}},
		{"symlink", 1, func() { os.Symlink(b, a) }},
		{"replace by link", 1, func() {
			if os.Rename(a, b) == nil {
				os.Symlink(b, a)
			}
		}},
	}
	sum := 0
	for _, c := range changes {
		sum += c.weight
	}
	n := p.IntN(sum)
	for _, c := range changes {
		if n -= c.weight; n < 0 {
			c.run()
			return fmt.Sprintf("%s %s %s", c.name, strings.TrimPrefix(a, p.root), strings.TrimPrefix(b, p.root))
		}
	}
	return ""
}

// TestModel changes a tree at random, and after each burst asks that every path that a scan shows as changed was
// covered, and that every folder that is there is watched under its path.
func TestModel(t *testing.T) {
	t.Parallel()
	for range 2 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint("seed_", seed), func(t *testing.T) {
			t.Parallel()
			ob := observe(t, Options{}, nil)
			p := player{rand.New(rand.NewPCG(seed, 0)), ob.root, t.TempDir()}
			for range 30 {
				before := ob.look()
				ob.forget()
				var played []string
				for range 1 + p.IntN(14) {
					played = append(played, p.play())
					if p.IntN(8) == 0 {
						ob.settle()
					}
				}
				after := ob.look()
				ob.settle()
				ob.noRescan()
				if rel := ob.missed(before, after); rel != "" {
					t.Errorf("%s is not reported", rel)
				}
				ob.probe()
				if t.Failed() {
					t.Fatalf("after\n%s", strings.Join(played, "\n"))
				}
			}
		})
	}
}
