package watcher

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// childEnv names what a process is to do instead of running tests, and childRoot the folder it does it with.
const childEnv, childRoot = "FRESHET_WATCHER_CHILD", "FRESHET_WATCHER_ROOT"

func TestMain(m *testing.M) {
	root := os.Getenv(childRoot)
	switch os.Getenv(childEnv) {
	case "burst":
		makeBurst(root)
	case "watch":
		watchForParent(root)
	default:
		os.Exit(m.Run())
	}
}

// The burst: folders, each in the one before up to burstDepth, and files in each.
const burstFolders, burstDepth, burstFiles = 100, 5, 400

// burstFolder returns the path of folder i.
func burstFolder(i int) string {
	rel := fmt.Sprint("b", i/burstDepth)
	for j := range i % burstDepth {
		rel += fmt.Sprint("/d", j)
	}
	return rel
}

func makeBurst(root string) {
	for i := range burstFolders {
		dir := filepath.Join(root, burstFolder(i))
		if err := os.Mkdir(dir, 0o777); err != nil {
			panic(err)
		}
		for j := range burstFiles {
			f, err := os.Create(filepath.Join(dir, fmt.Sprint(j)))
			if err != nil {
				panic(err)
			}
			f.Close()
		}
	}
}

// watchForParent watches root, and for each line that it is given says what a Barrier brought: "rescan", or the paths
// that the Batch names.
func watchForParent(root string) {
	w, err := New(Options{Root: root})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	<-w.Ready()
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if err := w.Barrier(ctx); err != nil {
			panic(err)
		}
		b, _ := w.Take()
		if b.Rescan {
			fmt.Print("rescan")
		}
		for rel, n := range b.Folders {
			for name := range n.Set {
				fmt.Print(" ", join(rel, name))
			}
		}
		fmt.Println()
	}
	cancel()
	<-ended
}
