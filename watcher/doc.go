// Package watcher says which paths below a folder may have changed.
//
// A [Watcher] watches every folder of a tree through fsnotify and gathers what it is told in one bounded set of names
// per folder. Whoever keeps a picture of the tree takes that set with [Watcher.Next] or [Watcher.Take] at its own pace
// and looks at the disk: a [Batch] says where to look, never what happened, and may name paths that did not change.
//
// # What is kept
//
// A change made after [Watcher.Ready] is closed is in some later Batch: its name, or its whole folder, or Rescan.
// That holds for what is made in a new folder before its watch is in place, for renamed folders, which are named
// again under their new path with all that is below, and for events that the kernel dropped, which become Rescan once
// every folder that is there by then is watched.
//
// [Watcher.Barrier] says when: once it has returned, every change that had finished before it was called is in what
// Take takes. So an answer made from the picture after Barrier, Take and a look at what was taken is as good as one
// from the disk, but for what [Watcher.Unseen] names.
//
// # What is not seen
//
//   - Stores through a shared mapping raise no event, nor do writes by io_submit(2), nor those through a name of the
//     same file outside the tree.
//   - A write raises events while it goes on, its end raises none: who finds a file still being written must look
//     again.
//   - Unseen names the folders of which little or nothing is told: those beyond the kernel's limit, those that cannot be
//     read, those of network filesystems and of filesystems that programs serve, where other hosts write, and the second
//     paths of folders that are mounted twice. A filesystem counts as local only if its type is known to be.
//   - A filesystem that is mounted over a folder or unmounted raises no event. Barrier asks the kernel, and so does a
//     timer; what is found becomes Rescan.
//   - Links are never followed: what they lead to is reported under its own path if that is below the root, else not
//     at all.
//
// # How
//
// One goroutine reads events and errors and only takes notes. The library may block on its error channel with the
// lock held that adding a watch needs, so a second goroutine adds and removes watches. That one knows every watched
// folder by device and inode: a folder that turns up under a second path is removed under its old one, with all that
// is below, before it is added under the new one. Otherwise the library would keep the old name, and drop the watch
// when it reads that the folder was moved.
//
// A third goroutine makes barriers. It renames a file, the cookie, in a private folder outside the root that the same
// queue watches. The kernel keeps the order of one queue, so when the reader meets the cookie it has noted all that
// happened before; the barrier then waits until the second goroutine has looked at whatever was doubtful.
package watcher
