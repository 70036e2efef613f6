//go:build linux

package tree_test

import "freshet/fileserver/tree"

// A littleWorld is a tree, and a path in it. Every operation is tried on that path, under every symlink policy.
type littleWorld struct {
	name string
	// made of "d/" folder, "a=text" file, "l->target" link, "b&a" hard link, "p|" fifo, "n#" device, "s@" socket, "m%" mounted
	// filesystem. ROOT and OUT in a target stand for the absolute names of the root and of a folder beside it.
	made []string
	path string
	via  via
	self string // what has the name itself: "", "file", "folder", "link", "special" or "mount"
	in   reached
	// under SymlinksAnywhere, if it is another thing
	anywhere *reached
	lands    string // the name that a file written to path gets; "" if it may not be written
	refused  error  // what writing fails with then, or a write to the folder that would hold path
	reserved bool   // os.Root, which knows of no reserved name, would go there
	aroundIt bool   // what the path leads to holds all other folders
}

// via says where on the path there is a link.
type via int

const (
	viaNone via = iota
	viaLast
	viaParent
)

// reached is what reading the path gives.
type reached struct {
	text   string
	folder bool
	err    error
}

func file(text string) reached { return reached{text: text} }

func no(err error) reached { return reached{err: err} }

var (
	folder  = reached{folder: true}
	outside = no(tree.ErrOutside)
)

func anywhere(r reached) *reached { return &r }

var worlds = []littleWorld{
	{name: "file", made: []string{"a=alpha"}, path: "a", self: "file", in: file("alpha"), lands: "a"},
	{name: "file_in_folder", made: []string{"d/", "d/a=alpha"}, path: "d/a", self: "file", in: file("alpha"), lands: "d/a"},
	{name: "folder", made: []string{"d/", "d/a=alpha", "d/e/", "d/.freshet/", "d/p|"}, path: "d", self: "folder", in: folder,
		refused: tree.ErrIsFolder},
	{name: "absent", path: "a", in: no(tree.ErrNotExist), lands: "a"},
	{name: "absent_parent", path: "d/a", in: no(tree.ErrNotExist), refused: tree.ErrNoParent},
	{name: "parent_is_a_file", made: []string{"d=file"}, path: "d/a", in: no(tree.ErrNotExist), refused: tree.ErrNoParent},
	{name: "hard_link", made: []string{"a=alpha", "b&a"}, path: "a", self: "file", in: file("alpha"), lands: "a"},

	{name: "link_to_file", made: []string{"a=alpha", "l->a"}, path: "l", via: viaLast, self: "link", in: file("alpha"),
		lands: "a"},
	{name: "link_to_file_in_folder", made: []string{"d/", "d/a=alpha", "l->./d//a"}, path: "l", via: viaLast, self: "link",
		in: file("alpha"), lands: "d/a"},
	{name: "link_to_folder", made: []string{"d/", "d/a=alpha", "l->d"}, path: "l", via: viaLast, self: "link", in: folder,
		refused: tree.ErrIsFolder},
	{name: "link_to_folder_with_slash", made: []string{"d/", "l->d/"}, path: "l", via: viaLast, self: "link", in: folder,
		refused: tree.ErrIsFolder},
	{name: "link_to_file_with_slash", made: []string{"a=alpha", "l->a/"}, path: "l", via: viaLast, self: "link",
		in: no(tree.ErrNotExist), refused: tree.ErrNotFolder},
	{name: "file_below_link", made: []string{"d/", "d/a=alpha", "l->d"}, path: "l/a", via: viaParent, self: "file",
		in: file("alpha"), lands: "d/a"},
	{name: "absent_below_link", made: []string{"d/", "l->d"}, path: "l/a", via: viaParent, in: no(tree.ErrNotExist),
		lands: "d/a"},
	{name: "link_up_and_down", made: []string{"a=alpha", "d/", "e/", "d/l->../e/../a"}, path: "d/l", via: viaLast, self: "link",
		in: file("alpha"), lands: "a"},
	{name: "dot_dot_after_a_link", made: []string{"a=wrong", "d/", "d/e/", "d/a=alpha", "p->d/e", "l->p/../a"}, path: "l",
		via: viaLast, self: "link", in: file("alpha"), lands: "d/a"},
	{name: "several_hops", made: []string{"a=alpha", "d/", "d/n->../a", "m->d/n", "l->m"}, path: "l", via: viaLast,
		self: "link", in: file("alpha"), lands: "a"},
	{name: "link_to_here", made: []string{"d/", "d/l->."}, path: "d/l", via: viaLast, self: "link", in: folder,
		refused: tree.ErrIsFolder},
	{name: "link_to_the_root", made: []string{"d/", "d/l->.."}, path: "d/l", via: viaLast, self: "link", in: folder,
		refused: tree.ErrIsFolder, aroundIt: true},
	{name: "link_to_absent", made: []string{"l->a"}, path: "l", via: viaLast, self: "link", in: no(tree.ErrNotExist), lands: "a"},
	{name: "link_to_absent_folder", made: []string{"l->d/a"}, path: "l", via: viaLast, self: "link",
		in: no(tree.ErrNotExist), refused: tree.ErrNoParent},
	{name: "below_link_to_absent", made: []string{"l->d"}, path: "l/a", via: viaParent, in: no(tree.ErrNotExist),
		refused: tree.ErrNoParent},
	{name: "link_to_itself", made: []string{"l->l"}, path: "l", via: viaLast, self: "link", in: outside,
		refused: tree.ErrOutside},
	{name: "loop_of_two", made: []string{"l->m", "m->l"}, path: "l", via: viaLast, self: "link", in: outside,
		refused: tree.ErrOutside},
	{name: "below_a_loop", made: []string{"l->l"}, path: "l/a", via: viaParent, in: outside, refused: tree.ErrOutside},

	{name: "link_out", made: []string{"l->../outside/secret"}, path: "l", via: viaLast, self: "link", in: outside,
		anywhere: anywhere(file("outside secret")), refused: tree.ErrOutside},
	{name: "link_out_to_folder", made: []string{"l->../outside"}, path: "l", via: viaLast, self: "link", in: outside,
		anywhere: &folder, refused: tree.ErrOutside},
	{name: "link_to_parent_of_root", made: []string{"l->.."}, path: "l", via: viaLast, self: "link", in: outside,
		anywhere: &folder, refused: tree.ErrOutside, aroundIt: true},
	{name: "link_out_to_absent", made: []string{"l->../outside/none"}, path: "l", via: viaLast, self: "link", in: outside,
		anywhere: anywhere(no(tree.ErrNotExist)), refused: tree.ErrOutside},
	{name: "file_below_link_out", made: []string{"l->../outside"}, path: "l/secret", via: viaParent, in: outside,
		anywhere: anywhere(file("outside secret")), refused: tree.ErrOutside},
	{name: "absent_below_link_out", made: []string{"l->../outside"}, path: "l/none", via: viaParent, in: outside,
		anywhere: anywhere(no(tree.ErrNotExist)), refused: tree.ErrOutside},
	{name: "out_and_back_in", made: []string{"a=alpha", "l->../root/a"}, path: "l", via: viaLast, self: "link", in: outside,
		anywhere: anywhere(file("alpha")), refused: tree.ErrOutside},
	{name: "several_hops_out", made: []string{"d/", "d/n->../../outside/secret", "m->d/n", "l->m"}, path: "l", via: viaLast,
		self: "link", in: outside, anywhere: anywhere(file("outside secret")), refused: tree.ErrOutside},
	{name: "out_below_inner_link", made: []string{"d/", "d/o->../../outside", "l->d"}, path: "l/o/secret", via: viaParent,
		in: outside, anywhere: anywhere(file("outside secret")), refused: tree.ErrOutside},
	{name: "absolute_out", made: []string{"l->OUT/secret"}, path: "l", via: viaLast, self: "link", in: outside,
		anywhere: anywhere(file("outside secret")), refused: tree.ErrOutside},
	{name: "absolute_inside", made: []string{"a=alpha", "l->ROOT/a"}, path: "l", via: viaLast, self: "link", in: outside,
		anywhere: anywhere(file("alpha")), refused: tree.ErrOutside},
	{name: "below_absolute_inside", made: []string{"d/", "d/a=alpha", "l->ROOT/d"}, path: "l/a", via: viaParent, in: outside,
		anywhere: anywhere(file("alpha")), refused: tree.ErrOutside},
	{name: "magic_link", made: []string{"l->/proc/self/cwd"}, path: "l", via: viaLast, self: "link", in: outside,
		refused: tree.ErrOutside},

	{name: "link_to_reserved", made: []string{".freshet/", "l->.freshet"}, path: "l", via: viaLast, self: "link",
		in: no(tree.ErrReserved), refused: tree.ErrReserved, reserved: true},
	{name: "link_to_file_in_reserved", made: []string{".freshet/", ".freshet/x=kept", "l->.freshet/x"}, path: "l", via: viaLast,
		self: "link", in: no(tree.ErrReserved), refused: tree.ErrReserved, reserved: true},
	{name: "link_to_absent_in_reserved", made: []string{".freshet/", "l->.freshet/y"}, path: "l", via: viaLast, self: "link",
		in: no(tree.ErrNotExist), refused: tree.ErrReserved, reserved: true},
	{name: "link_around_to_reserved", made: []string{".freshet/", ".freshet/x=kept", "d/", "l->d/../.freshet/x"}, path: "l",
		via: viaLast, self: "link", in: no(tree.ErrReserved), refused: tree.ErrReserved, reserved: true},
	{name: "below_link_to_reserved", made: []string{".freshet/", ".freshet/x=kept", "l->.freshet"}, path: "l/x", via: viaParent,
		in: no(tree.ErrReserved), refused: tree.ErrReserved, reserved: true},
	{name: "link_to_reserved_in_other_case", made: []string{"d/", "d/.FRESHET/", "d/.FRESHET/x=kept", "l->d/.FRESHET/x"},
		path: "l", via: viaLast, self: "link", in: no(tree.ErrReserved), refused: tree.ErrReserved, reserved: true},

	{name: "fifo", made: []string{"p|"}, path: "p", self: "special", in: no(tree.ErrSpecial), refused: tree.ErrSpecial},
	{name: "device", made: []string{"n#"}, path: "n", self: "special", in: no(tree.ErrSpecial), refused: tree.ErrSpecial},
	{name: "socket", made: []string{"s@"}, path: "s", self: "special", in: no(tree.ErrSpecial), refused: tree.ErrSpecial},
	{name: "link_to_fifo", made: []string{"p|", "l->p"}, path: "l", via: viaLast, self: "link", in: no(tree.ErrSpecial),
		refused: tree.ErrSpecial},

	{name: "mount", made: []string{"m%", "m/a=alpha"}, path: "m", self: "mount", in: folder, refused: tree.ErrIsFolder},
	{name: "file_on_mount", made: []string{"m%", "m/a=alpha"}, path: "m/a", self: "file", in: file("alpha"), lands: "m/a"},
	{name: "absent_on_mount", made: []string{"m%"}, path: "m/a", in: no(tree.ErrNotExist), lands: "m/a"},
	{name: "folder_on_mount", made: []string{"m%", "m/d/", "m/d/a=alpha"}, path: "m/d", self: "folder", in: folder,
		refused: tree.ErrIsFolder},
	{name: "link_onto_mount", made: []string{"m%", "m/a=alpha", "l->m/a"}, path: "l", via: viaLast, self: "link",
		in: file("alpha"), lands: "m/a"},
	{name: "link_from_mount", made: []string{"m%", "a=alpha", "m/l->../a"}, path: "m/l", via: viaLast, self: "link",
		in: file("alpha"), lands: "a"},
	{name: "link_out_from_mount", made: []string{"m%", "m/l->../../outside/secret"}, path: "m/l", via: viaLast, self: "link",
		in: outside, anywhere: anywhere(file("outside secret")), refused: tree.ErrOutside},
}
