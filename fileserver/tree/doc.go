// Package tree is the served directory, and the only code that reads or writes user files.
//
// Its one idea: every state of a file has a name, the digest of its bytes, and every change is a compare-and-swap on it. A
// change takes a [Guard], which is asked under the path's lock what is there now; what the swap displaced is looked at
// before anything is final, and put back if it is not what the Guard was shown. What a change replaces or removes is kept
// as a version, never dropped.
//
// # The live picture
//
// While it runs, a tree keeps a picture of all that it serves in memory: names, stamps and digests of every file, and of every
// folder a fingerprint of all that is in it and below ([Tree.Folder]). It is brought up to date by looking at the disk where
// the watcher reports a change, and by the tree's own changes before they are answered. A question about a folder, or about
// what has changed ([Tree.Changes]), first waits for the watcher's barrier: the answer shows every local change that had
// finished when the question was asked. Where that cannot be had, because a file below has no digest right now or changes
// cannot be seen, there is no fingerprint, and never a wrong one.
//
// What the picture knows is kept on disk: in cache.db, which may be deleted at any time and costs reading the files again, and
// in state.db, which holds what cannot be found out again. The cache is never ahead of the feed in state.db, so that what
// happened while no tree was running, or before a crash, is told to whoever follows the feed, or the cursor is refused.
//
// # What is refused
//
// Names that leave the root, the reserved name .freshet at every depth, special files, and whatever the symlink policy
// excludes. On Linux the kernel enforces the root (openat2 with RESOLVE_BENEATH); elsewhere os.Root does.
//
// # Races that no server can close
//
//   - A local program that overwrites blindly from a stale read is not seen as a conflict by the kernel. What the server
//     replaced is in versions; what the program replaced is the program's business.
//   - A program that resolved a name before a swap and sleeps inside open(2) for longer than the quarantine (5 s), or that
//     reopens a descriptor through /proc for writing later, writes into a version.
//   - Writers below the filesystem layer (raw devices, other hosts of a network filesystem) are not seen.
//   - Where no read lease can be had (files of another owner without CAP_LEASE), and on filesystems other than ext4, xfs and
//     btrfs, stores through a shared mapping may move bytes under an unmoved stamp: a body never goes out under a wrong tag,
//     but a 304 may be answered until the page is written back, which on tmpfs never happens.
//   - Stores through a shared mapping and writes by io_submit(2) raise no event: the fingerprint of a folder, and the feed, see
//     them when the file is next opened by name, changed otherwise, or looked at by the rescan (Options.RescanInterval).
//   - While a file is hashed or replaced under a lease, open(2) for writing waits; one with O_NONBLOCK gets EAGAIN.
//   - Between a swap and its roll-back (tens of microseconds) a local program may see the refused version.
//   - A write replaces one name of a file with several hard links; the other names keep the old content.
package tree
