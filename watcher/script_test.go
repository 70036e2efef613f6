package watcher

import (
	"os/exec"
	"strings"
	"testing"
)

// A step is a line for the shell, run in the watched folder; $OUT is a folder outside.
type step struct {
	sh    string
	want  string // paths, each of which a Batch must cover, separated by spaces
	never string // paths that no Batch may cover
}

var scripts = []struct {
	name   string
	before string // run before the folder is watched
	steps  []step
}{
	{"create_file", ``, []step{{sh: `echo x >f`, want: `f`}}},
	{"append_in_place", `echo x >f; echo x >g`, []step{{sh: `echo y >>f`, want: `f`, never: `g`}}},
	{"truncate", `mkdir a; echo x >a/f`, []step{{sh: `: >a/f`, want: `a/f`, never: `f`}}},
	{"save_by_rename", `echo x >f`, []step{{sh: `echo y >.f.new && mv .f.new f`, want: `f .f.new`}}},
	{"remove_file", `mkdir a; echo x >a/f`, []step{{sh: `rm a/f`, want: `a/f`}}},
	{"chmod_makes_executable", `echo x >f`, []step{{sh: `chmod +x f`, want: `f`}}},
	{"touch_restores_time", `echo x >f`, []step{{sh: `touch -d 2020-01-01 f`, want: `f`}}},
	{"link_retargeted", `ln -s a l`, []step{{sh: `ln -sfn b l`, want: `l`}}},
	{"hard_link_made", `echo x >f`, []step{{sh: `ln f g`, want: `g`}}},
	{"new_folders_with_a_file_at_once", ``, []step{
		{sh: `mkdir -p a/b/c && echo x >a/b/c/f`, want: `a a/b a/b/c a/b/c/f`},
		{sh: `echo y >a/b/c/f; echo x >a/g`, want: `a/b/c/f a/g`, never: `a/b/g f`},
	}},
	{"folder_copied_in", `mkdir -p $OUT/a/b; echo x >$OUT/a/b/f`, []step{
		{sh: `cp -r $OUT/a a`, want: `a a/b a/b/f`},
		{sh: `rm a/b/f`, want: `a/b/f`},
	}},
	{"folder_moved_in", `mkdir -p $OUT/a/b; echo x >$OUT/a/b/f`, []step{
		{sh: `mv $OUT/a a`, want: `a a/b a/b/f`},
		{sh: `echo y >a/b/f`, want: `a/b/f`},
	}},
	{"folder_moved_out", `mkdir -p a/b; echo x >a/b/f`, []step{
		{sh: `mv a $OUT/a`, want: `a`},
		{sh: `echo y >$OUT/a/b/f; echo y >$OUT/a/g`, never: `a a/b/f a/g`},
	}},
	{"folder_moved_out_and_in_under_another_name", `mkdir -p a/b`, []step{
		{sh: `mv a $OUT/a; mv $OUT/a z`, want: `a z z/b`},
		{sh: `echo y >z/b/f`, want: `z/b/f`, never: `a a/b/f`},
	}},
	{"folder_renamed", `mkdir -p a/b; echo x >a/b/f`, []step{
		{sh: `mv a z`, want: `a z z/b z/b/f`},
		{sh: `echo y >z/b/f; echo y >z/g`, want: `z/b/f z/g`, never: `a a/b/f a/g`},
	}},
	{"folder_renamed_and_written_at_once", `mkdir -p a/b`, []step{
		{sh: `mv a z; echo y >z/b/f; mkdir -p z/b/c/d; echo y >z/b/c/d/f`, want: `a z z/b/f z/b/c/d/f`},
		{sh: `echo y >z/b/c/d/g`, want: `z/b/c/d/g`, never: `a/b/c/d/g`},
	}},
	{"folder_renamed_and_back", `mkdir -p a/b`, []step{
		{sh: `mv a z; mv z a`, want: `a z`},
		{sh: `echo y >a/b/f`, want: `a/b/f`, never: `z/b/f`},
	}},
	{"folders_trade_names", `mkdir -p a/x b/y`, []step{
		{sh: `mv a t; mv b a; mv t b`, want: `a b a/y b/x`},
		{sh: `echo y >a/y/f; echo y >b/x/f`, want: `a/y/f b/x/f`, never: `a/x/f b/y/f t/x/f`},
	}},
	{"folder_moved_deeper", `mkdir -p a/b c/d`, []step{
		{sh: `mv a c/d/e`, want: `a c/d/e c/d/e/b`},
		{sh: `echo y >c/d/e/b/f`, want: `c/d/e/b/f`, never: `a/b/f`},
	}},
	{"folder_removed", `mkdir -p a/b/c; echo x >a/b/c/f`, []step{{sh: `rm -r a`, want: `a a/b a/b/c a/b/c/f`}}},
	{"folder_removed_and_made_again", `mkdir -p a/b`, []step{
		{sh: `rm -r a; mkdir -p a/b; echo x >a/b/f`, want: `a a/b a/b/f`},
		{sh: `echo y >a/b/f`, want: `a/b/f`},
	}},
	{"folder_replaced_by_link_to_where_it_went", `mkdir -p a/b`, []step{
		{sh: `mv a z; ln -s z a`, want: `a z z/b`},
		{sh: `echo y >z/b/f`, want: `z/b/f`, never: `a/b/f`},
	}},
	{"folder_replaced_by_file", `mkdir -p a/b`, []step{{sh: `rm -r a; echo x >a`, want: `a`}}},
	{"file_replaced_by_folder", `echo x >a`, []step{
		{sh: `rm a; mkdir a`, want: `a`},
		{sh: `echo x >a/f`, want: `a/f`},
	}},
	{"link_to_folder_outside_not_followed", `mkdir $OUT/d; ln -s $OUT/d old`, []step{
		{sh: `ln -s $OUT/d new`, want: `new`, never: `old`},
		{sh: `echo x >$OUT/d/f`, never: `old/f new/f`},
	}},
	{"link_to_folder_inside_not_followed", `mkdir d`, []step{
		{sh: `ln -s d l`, want: `l`},
		{sh: `echo x >l/f`, want: `d/f`, never: `l/f`},
	}},
	{"skipped_folder", `mkdir -p skip/a b`, []step{
		{sh: `echo x >skip/f; echo x >skip/a/f; mkdir -p b/skip/c; echo x >b/skip/c/f`, want: `b/skip`,
			never: `skip/f skip/a/f b/skip/c b/skip/c/f`},
		{sh: `mkdir x; mv skip x/y`, want: `x/y x/y/a`},
		{sh: `mv x/y x/skip; echo x >x/skip/a/g`, want: `x/y x/skip`, never: `x/skip/a/g`},
	}},
	{"names_are_bytes", `mkdir ... '\b' "$(printf 'n\377')"`, []step{
		{sh: `for d in ... '\b' "$(printf 'n\377')" '*'; do mkdir -p "$d"; echo x >"$d/f"; done`,
			want: ".../f \\b/f n\xff/f */f"},
	}},
	{"mkfifo_does_not_block", ``, []step{{sh: `mkfifo p; mkdir a; echo x >a/f`, want: `p a/f`}}},
}

func TestScripts(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			out := t.TempDir()
			run := func(root, script string) {
				cmd := exec.Command(shell, "-ec", script)
				cmd.Dir, cmd.Env = root, append(cmd.Environ(), "OUT="+out)
				if b, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v %s", script, err, b)
				}
			}
			skip := func(rel string) bool { _, name := split(rel); return name == "skip" }
			ob := observe(t, Options{Skip: skip}, func(root string) { run(root, s.before) })
			for _, step := range s.steps {
				ob.settle()
				ob.forget()
				run(ob.root, step.sh)
				for _, rel := range strings.Fields(step.want) {
					ob.expect(rel)
				}
				ob.settle()
				for _, rel := range strings.Fields(step.never) {
					if ob.covers(rel) {
						t.Errorf("after %q: %q is reported", step.sh, rel)
					}
				}
				ob.noRescan()
			}
		})
	}
}
