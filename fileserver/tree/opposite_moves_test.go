//go:build linux

package tree_test

import (
	"context"
	"fmt"
	"maps"
	"testing"

	"freshet/fileserver/tree"
)

// TestOppositeMovesKilled kills a process after a move of "b" over "a" was made, while one of "a" over "b" was announced
// and waited for the names. Recovery must not take the first for the second, half made, and end that.
func TestOppositeMovesKilled(t *testing.T) {
	for _, mode := range []string{plain, gap, byLinks} {
		t.Run(mode, func(t *testing.T) {
			root := t.TempDir()
			world{"a": "one", "b": "two"}.make(t, root)
			cmd := child(t, "opposite-moves", root, mode)
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			said := make([]byte, 100)
			n, _ := out.Read(said)
			if err := cmd.Wait(); !killed(err) || string(said[:n]) != acknowledged {
				t.Fatalf("the process said %q and ended with %v", said[:n], err)
			}
			newTreeClosed(t, root)
			if got, err := look(root); err != nil || !maps.Equal(got, map[string]string{"a": "two"}) {
				t.Errorf("after an acknowledged move of b over a: %q, %v", got, err)
			}
		})
	}
}

// oppositeMovesChild makes one move while another one waits, and dies.
func oppositeMovesChild(words []string) error {
	tr, err := tree.New(words[0], tree.Options{Write: true, Log: quiet})
	if err != nil {
		return err
	}
	play := (&scene{}).player(words[0], words[1])
	waits := false
	tree.HookFailpoint(func(step string) error {
		if step != "move-announced" || waits {
			return play(step)
		}
		waits = true
		if _, err := tr.Move(context.Background(), pathOf("b"), pathOf("a"), tree.Transfer{}); err != nil {
			return err
		}
		fmt.Print(acknowledged)
		die()
		return nil
	})
	_, err = tr.Move(context.Background(), pathOf("a"), pathOf("b"), tree.Transfer{})
	return err
}
