// Package watcher says which paths below a folder may have changed.
//
// A [Watcher] watches every folder of a tree through fsnotify and gathers what it is told in one bounded set of names
// per folder. Whoever keeps a picture of the tree takes that set with [Watcher.Next] at its own pace and looks at the
// disk: a [Batch] says where to look, never what happened, and may name paths that did not change.
//
// # What is kept
//
// A change made after [Watcher.Ready] is closed is in some later Batch: its name, or its whole folder, or Rescan.
// That holds for what is made in a new folder before its watch is in place, for renamed folders, which are named
// again under their new path with all that is below, and for events that the kernel dropped, which become Rescan once
// every folder that is there by then is watched.
//
// # What is not seen
//
//   - Stores through a shared mapping raise no event, nor does an edit through a name of the same file outside the
//     tree.
//   - A write raises events while it goes on, its end raises none: who finds a file still being written must look
//     again.
//   - Other hosts of a network filesystem, and what is mounted over a folder or unmounted, raise none.
//   - Links are never followed: what they lead to is reported under its own path if that is below the root, else not
//     at all.
//   - Folders beyond the kernel's limit are counted in [Stats], and nothing is known about them.
//
// Hence no answer may depend on this package alone: it makes remembered things fresh early, and a sweep must follow.
//
// # How
//
// One goroutine reads events and errors and only takes notes. The library may block on its error channel with the
// lock held that adding a watch needs, so a second goroutine adds and removes watches. That one knows every watched
// folder by device and inode: a folder that turns up under a second path is removed under its old one, with all that
// is below, before it is added under the new one. Otherwise the library would keep the old name, and drop the watch
// when it reads that the folder was moved.
package watcher
