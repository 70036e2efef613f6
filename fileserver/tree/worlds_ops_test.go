//go:build linux

package tree_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"freshet/fileserver/tree"
)

// TestWorlds tries every operation in every world under every symlink policy: what it must do to the disk is done and
// nothing else, and what it must refuse is refused. A folder beside the root is not so much as opened.
func TestWorlds(t *testing.T) {
	base, here := worldsFolder(t)
	if !here {
		return
	}
	for _, policy := range []tree.Symlinks{tree.SymlinksInside, tree.SymlinksNever, tree.SymlinksAnywhere} {
		for i := range worlds {
			if policy != tree.SymlinksInside && worlds[i].via == viaNone {
				continue // no link, no policy
			}
			if worlds[i].needsRoot() && os.Geteuid() != 0 {
				continue
			}
			for _, op := range worldOps {
				t.Run(string(policy)+"/"+worlds[i].name+"/"+op.name, func(t *testing.T) {
					tryWorld(t, base, &worlds[i], policy, op.do)
				})
			}
		}
	}
}

// worldsFolder is where worlds are made: in memory in a sandbox, and where there is no root to make one, on disk.
func worldsFolder(t *testing.T) (base string, here bool) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Log("worlds with devices and mounted filesystems are left out: they need root")
		return t.TempDir(), true
	}
	if !inSandbox(t) {
		return "", false
	}
	return memoryFolder(t), true
}

// needsRoot reports whether only root can make the world.
func (w *littleWorld) needsRoot() bool {
	return slices.ContainsFunc(w.made, func(item string) bool { return strings.ContainsAny(item, "#%") })
}

func tryWorld(t *testing.T, base string, w *littleWorld, policy tree.Symlinks, do func(*worldCase)) {
	base = filepath.Join(base, strings.ReplaceAll(t.Name(), "/", "_"))
	root, beside := build(t, base, w.made)
	log := slog.New(slog.NewTextHandler(testWriter{t}, nil))
	tr, err := tree.New(root, tree.Options{Write: true, Symlinks: policy, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	c := &worldCase{T: t, littleWorld: w, policy: policy, tree: tr, root: root, before: servedState(t, root)}
	c.want = maps.Clone(c.before)
	c.expect()
	untouched, opens := stateOf(t, beside, true), watchOpens(t, beside)
	do(c)
	if err := tr.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if got := opens.opened(); len(got) > 0 && w.anywhere == nil {
		t.Errorf("outside the root were opened: %q", got)
	}
	if !maps.Equal(stateOf(t, beside, true), untouched) {
		t.Error("something outside the root was changed")
	}
	if got := servedState(t, root); !maps.Equal(got, c.want) {
		t.Errorf("on disk: %v\nwant:    %v", got, c.want)
	}
	checkStateFolder(t, root)
	checkStateFolder(t, filepath.Join(root, "m"))
}

// servedState is stateOf without what the server keeps for itself.
func servedState(t testing.TB, root string) diskState {
	state := stateOf(t, root, false)
	maps.DeleteFunc(state, func(name, _ string) bool {
		_, own, found := strings.Cut("/"+name+"/", "/"+tree.Reserved+"/")
		own, _, _ = strings.Cut(own, "/")
		return found && slices.Contains([]string{"", "stage", "versions", "lock", "cache.db", "state.db"}, own)
	})
	return state
}

// A worldCase is one world built on disk, served under one policy, and one operation on it.
type worldCase struct {
	*testing.T
	*littleWorld
	policy tree.Symlinks
	tree   *tree.Tree
	root   string
	before diskState
	want   diskState // what must be there afterwards

	read  reached // what reading the path gives
	write error   // what writing to what the path leads to fails with
	own   error   // what changing who has the name itself fails with
}

// expect works out what holds for the world under the policy.
func (c *worldCase) expect() {
	c.read, c.write = c.in, c.refused
	if c.policy == tree.SymlinksAnywhere && c.anywhere != nil {
		c.read = *c.anywhere
	}
	if c.lands == "" && (c.via == viaParent || c.via == viaNone && c.self == "") {
		c.own = c.refused
	}
	if c.policy == tree.SymlinksNever && c.via != viaNone {
		c.read, c.write = outside, tree.ErrOutside
		if c.via == viaParent {
			c.own = tree.ErrOutside
		}
	}
}

func (c *worldCase) at() tree.Path { return at(c, c.path) }

// landing is the name on disk that has the path, once links to its folder are followed.
func (c *worldCase) landing() string {
	if c.via == viaParent && c.lands != "" {
		return c.lands
	}
	return c.path
}

// onMount reports whether a name is on the filesystem that some worlds mount.
func onMount(name string) bool { return strings.HasPrefix(name, "m/") }

// displacing is what taking the name from what has it fails with.
func (c *worldCase) displacing() error {
	switch {
	case c.own != nil:
		return c.own
	case c.self == "special":
		return tree.ErrSpecial
	case c.self == "mount":
		return tree.ErrCrossDevice
	}
	return nil
}

// removing is what taking away what is at the path fails with.
func (c *worldCase) removing() error {
	if err := c.displacing(); err != nil && err != tree.ErrNoParent {
		return err
	}
	if c.self == "" {
		return tree.ErrNotExist
	}
	return nil
}

// wantErr checks an outcome, and returns whether the operation was to succeed and did.
func (c *worldCase) wantErr(err, want error) bool {
	c.Helper()
	if !errors.Is(err, want) {
		c.Errorf("error %v, want %v", err, want)
	}
	if want == tree.ErrNotExist && errors.Is(err, tree.ErrNoParent) {
		c.Errorf("%v blames the folder of what is missing", err)
	}
	return want == nil && err == nil
}

// gone takes a name and all below it out of what must be there.
func (c *worldCase) gone(name string) {
	maps.DeleteFunc(c.want, func(k, _ string) bool { return k == name || strings.HasPrefix(k, name+"/") })
}

// same says that to must hold what from held before.
func (c *worldCase) same(from, to string) {
	c.gone(to)
	for k, v := range c.before {
		if rest, ok := strings.CutPrefix(k, from); ok && (rest == "" || rest[0] == '/') {
			c.want[to+rest] = v
		}
	}
}

var worldOps = []struct {
	name string
	do   func(c *worldCase)
}{
	{"stat", (*worldCase).tryStat},
	{"open", (*worldCase).tryOpen},
	{"list", (*worldCase).tryList},
	{"commit", (*worldCase).tryCommit},
	{"commit_below", (*worldCase).tryCommitBelow},
	{"remove", (*worldCase).tryRemove},
	{"mkdir", (*worldCase).tryMkdir},
	{"move_from", (*worldCase).tryMoveFrom},
	{"move_to", func(c *worldCase) { c.tryMoveTo("source.txt") }},
	{"move_folder_to", func(c *worldCase) { c.tryMoveTo("spare/f") }},
	{"copy_from", (*worldCase).tryCopyFrom},
	{"copy_to", (*worldCase).tryCopyTo},
	{"copy_folder_to", (*worldCase).tryCopyFolderTo},
}

func (c *worldCase) tryStat() {
	e, err := c.tree.Stat(context.Background(), c.at())
	if !c.wantErr(err, c.read.err) {
		return
	}
	if e.IsFile() == c.read.folder || e.Name != path.Base(c.path) || e.IsFile() && e.Size != int64(len(c.read.text)) {
		c.Errorf("got %+v", e)
	}
}

func (c *worldCase) tryOpen() {
	want := c.read.err
	if c.read.folder {
		want = tree.ErrIsFolder
	}
	if text, err := get(c, c.tree, c.path); c.wantErr(err, want) && text != c.read.text {
		c.Errorf("read %q", text)
	}
}

func (c *worldCase) tryList() {
	want := c.read.err
	if want == nil && !c.read.folder || want == tree.ErrSpecial {
		want = tree.ErrNotFolder
	}
	entries, err := c.tree.List(context.Background(), c.at())
	if !c.wantErr(err, want) {
		return
	}
	var got, names []string
	for _, e := range entries {
		got = append(got, e.Name)
		followed, err := c.tree.Stat(context.Background(), at(c, c.path+"/"+e.Name))
		if e.Kind == tree.KindLink && (e.Followed == nil) == (err == nil) || e.Followed != nil && *e.Followed != followed {
			c.Errorf("the link %+v is listed as leading to %+v, and leads to %+v, %v", e, e.Followed, followed, err)
		}
	}
	onDisk, err := os.ReadDir(filepath.Join(c.root, c.path))
	if err != nil {
		c.Fatal(err)
	}
	for _, e := range onDisk {
		special := e.Type()&^(os.ModeDir|os.ModeSymlink) != 0
		if !special && !strings.EqualFold(e.Name(), tree.Reserved) {
			names = append(names, e.Name())
		}
	}
	if slices.Sort(got); !slices.Equal(got, names) {
		c.Errorf("listed %q, want %q", got, names)
	}
}

func (c *worldCase) tryCommit() {
	res, err := put(c, c.tree, c.path, "new", nil)
	if c.wantErr(err, c.write) {
		if _, was := c.before[c.lands]; res.Created == was {
			c.Errorf("created: %v", res.Created)
		}
		c.want[c.lands] = "=new"
	}
}

func (c *worldCase) tryCommitBelow() {
	_, err := put(c, c.tree, c.path+"/new", "new", nil)
	switch {
	case c.read.folder && c.write == tree.ErrIsFolder:
		if c.wantErr(err, nil) {
			c.want[path.Join(c.leadsTo(), "new")] = "=new"
		}
	case c.write == tree.ErrOutside:
		c.wantErr(err, tree.ErrOutside)
	case c.read.err == tree.ErrReserved:
		if !errors.Is(err, tree.ErrReserved) && !errors.Is(err, tree.ErrNoParent) {
			c.Errorf("error %v", err)
		}
	default:
		c.wantErr(err, tree.ErrNoParent)
	}
}

// leadsTo is the name on disk of the folder inside the root that the path leads to.
func (c *worldCase) leadsTo() string {
	name, err := filepath.EvalSymlinks(filepath.Join(c.root, c.path))
	if err != nil {
		c.Fatal(err)
	}
	if name, err = filepath.Rel(c.root, name); err != nil {
		c.Fatal(err)
	}
	return name
}

func (c *worldCase) tryRemove() {
	if _, err := c.tree.Remove(context.Background(), c.at(), tree.Change{}); c.wantErr(err, c.removing()) {
		c.gone(c.landing())
	}
}

func (c *worldCase) tryMkdir() {
	want := c.own
	if want == nil && c.self != "" {
		want = tree.ErrExist
	}
	if _, err := c.tree.Mkdir(context.Background(), c.at(), tree.Change{}); c.wantErr(err, want) {
		c.want[c.landing()] = "/"
	}
}

func (c *worldCase) tryMoveFrom() {
	want := c.removing()
	if want == nil && onMount(c.landing()) {
		want = tree.ErrCrossDevice
	}
	_, err := c.tree.Move(context.Background(), c.at(), at(c, "spare/moved"), tree.Transfer{})
	if c.wantErr(err, want) {
		c.same(c.landing(), "spare/moved")
		c.gone(c.landing())
	}
}

func (c *worldCase) tryMoveTo(source string) {
	want := c.displacing()
	if want == nil && onMount(c.landing()) {
		want = tree.ErrCrossDevice
	}
	_, err := c.tree.Move(context.Background(), at(c, source), c.at(), tree.Transfer{})
	if c.wantErr(err, want) {
		c.same(source, c.landing())
		c.gone(source)
	}
}

func (c *worldCase) tryCopyFrom() {
	want := c.read.err
	if c.read.folder && c.aroundIt {
		want = tree.ErrSame
	}
	_, err := c.tree.Copy(context.Background(), c.at(), at(c, "spare/copied"), tree.Transfer{})
	switch {
	case !c.wantErr(err, want):
	case c.read.folder:
		source, err := filepath.EvalSymlinks(filepath.Join(c.root, c.path))
		if err != nil {
			c.Fatal(err)
		}
		for name, what := range servedState(c, source) {
			if what != "special" {
				c.want[path.Join("spare/copied", name)] = what
			}
		}
		c.want["spare/copied"] = "/"
	default:
		c.want["spare/copied"] = "=" + c.read.text
	}
}

func (c *worldCase) tryCopyTo() {
	_, err := c.tree.Copy(context.Background(), at(c, "source.txt"), c.at(), tree.Transfer{})
	if c.wantErr(err, c.write) {
		c.want[c.lands] = "=source"
	}
}

func (c *worldCase) tryCopyFolderTo() {
	_, err := c.tree.Copy(context.Background(), at(c, "spare/f"), c.at(), tree.Transfer{})
	if c.wantErr(err, c.displacing()) {
		c.same("spare/f", c.landing())
	}
}

// TestWorldsAsRoot has os.Root judge the expectations: what is reached inside the root, and where a new file lands.
func TestWorldsAsRoot(t *testing.T) {
	base, here := worldsFolder(t)
	if !here {
		return
	}
	for _, w := range worlds {
		if w.needsRoot() && os.Geteuid() != 0 {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			name, _ := build(t, filepath.Join(base, w.name), w.made)
			root, err := os.OpenRoot(name)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			fi, err := root.Stat(w.path)
			if reached := w.in.err == nil || w.in.err == tree.ErrSpecial; reached != (err == nil) && !w.reserved {
				t.Errorf("os.Root says %v, expected is %v", err, w.in.err)
			}
			if err == nil && fi.IsDir() != w.in.folder && !w.reserved {
				t.Errorf("os.Root says folder: %v", fi.IsDir())
			}
			if w.in.folder || w.in.err == tree.ErrSpecial || w.reserved {
				return
			}
			if text, err := root.ReadFile(w.path); err == nil && string(text) != w.in.text {
				t.Errorf("os.Root reads %q, expected is %q", text, w.in.text)
			}
			want := stateOf(t, name, false)
			err = root.WriteFile(w.path, []byte("new"), 0o644)
			if (err == nil) != (w.refused == nil) {
				t.Errorf("writing, os.Root says %v, expected is %v", err, w.refused)
			}
			if w.refused == nil {
				want[w.lands] = "=new"
			}
			if slices.Contains(w.made, "b&a") {
				want["b"] = "=new" // os.Root writes in place
			}
			if got := stateOf(t, name, false); !maps.Equal(got, want) {
				t.Errorf("on disk: %v\nwant:    %v", got, want)
			}
		})
	}
}

// inEveryWorld is there beside what a world is made of.
var inEveryWorld = []string{"source.txt=source", "spare/", "spare/f/", "spare/f/x=ex"}

// build makes a world in the folder base, with another folder beside the root that nothing may touch.
func build(t testing.TB, base string, made []string) (root, beside string) {
	t.Helper()
	root, beside = filepath.Join(base, "root"), filepath.Join(base, "outside")
	for _, name := range []string{base, root, beside, filepath.Join(beside, "folder")} {
		if err := os.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"secret", "a", "x", "folder/secret"} {
		if err := os.WriteFile(filepath.Join(beside, name), []byte("outside "+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	absolute := strings.NewReplacer("ROOT", root, "OUT", beside)
	for _, item := range append(slices.Clone(inEveryWorld), made...) {
		if err := buildItem(t, root, absolute.Replace(item)); err != nil {
			t.Fatalf("%s: %v", item, err)
		}
	}
	return root, beside
}

func buildItem(t testing.TB, root, item string) error {
	mark := strings.IndexAny(item, "=&|#@%>")
	if mark < 0 {
		return os.Mkdir(filepath.Join(root, item), 0o755)
	}
	name, rest := filepath.Join(root, item[:mark]), item[mark+1:]
	switch item[mark] {
	case '=':
		return os.WriteFile(name, []byte(rest), 0o644)
	case '&':
		return os.Link(filepath.Join(root, rest), name)
	case '|':
		return unix.Mkfifo(name, 0o644)
	case '#':
		return unix.Mknod(name, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 3)))
	case '%':
		mountTmpfs(t, name, "size=1m")
		return nil
	case '@':
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
		if err != nil {
			return err
		}
		l.SetUnlinkOnClose(false)
		return l.Close()
	}
	return os.Symlink(rest, strings.TrimSuffix(name, "-"))
}
