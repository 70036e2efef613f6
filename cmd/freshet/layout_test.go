package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const moduleDir = "../.."

// mayImport lists, for each package of the module, the packages of the module that it may import. Arrows point down only.
var mayImport = map[string][]string{
	"hashing":            {},
	"watcher":            {},
	"web":                {},
	"fileserver/tree":    {"hashing", "watcher"},
	"fileserver/precond": {"hashing"},
	"fileserver/problem": {"fileserver/tree"},
	"fileserver/auth":    {"fileserver/tree", "hashing"},
	"fileserver":         {"fileserver/auth", "fileserver/precond", "fileserver/problem", "fileserver/tree", "hashing", "web"},
	"cmd/freshet":        {"fileserver", "fileserver/auth", "fileserver/tree", "hashing"},
}

// onlyIn lists the libraries that one package keeps to itself.
var onlyIn = map[string]string{
	"github.com/labstack/echo":     "fileserver",
	"github.com/fsnotify/fsnotify": "watcher",
	"github.com/zeebo/xxh3":        "hashing",
	"github.com/zeebo/blake3":      "hashing",
}

// imports calls f for each import of each Go file of the module that is not a test, with the package that it is in.
func imports(t *testing.T, f func(file, pkg, imported string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(moduleDir), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir(), path.Ext(name) != ".go", strings.HasSuffix(name, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(moduleDir, name), nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f(name, path.Dir(name), imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	imports(t, func(file, pkg, imported string) {
		seen[pkg] = true
		allowed, known := mayImport[pkg]
		if !known {
			t.Errorf("%s: package %s is not in the list", file, pkg)
		}
		if ours, ok := strings.CutPrefix(imported, "freshet/"); ok && !slices.Contains(allowed, ours) {
			t.Errorf("%s: %s may not import %s", file, pkg, ours)
		}
		for library, owner := range onlyIn {
			if (imported == library || strings.HasPrefix(imported, library+"/")) && pkg != owner {
				t.Errorf("%s: only %s may import %s", file, owner, library)
			}
		}
	})
	for pkg := range mayImport {
		if !seen[pkg] {
			t.Errorf("package %s of the list is not there", pkg)
		}
	}
}

func TestTopLevel(t *testing.T) {
	agreed := []string{"LICENSE", "README.md", "cmd", "fileserver", "go.mod", "go.sum", "hashing", "watcher", "web"}
	out, err := exec.Command("git", "-C", moduleDir, "ls-files", "-z").Output()
	if err != nil {
		t.Skipf("not a git checkout: %v", err)
	}
	var found []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		top, _, _ := strings.Cut(name, "/")
		if !strings.HasPrefix(top, ".") && !slices.Contains(found, top) {
			found = append(found, top)
		}
	}
	slices.Sort(found)
	if !slices.Equal(found, agreed) {
		t.Errorf("the top level holds %q, want %q", found, agreed)
	}
}
