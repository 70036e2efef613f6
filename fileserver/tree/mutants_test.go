//go:build linux

package tree_test

var mutants = []mutant{
	// The Guard is asked under the lock.
	{
		"replace_without_guard", "commit.go",
		"if err := c.allows(cur.entry(p.Base())); err != nil {",
		"if err := c.allows(cur.entry(p.Base())); err != nil && !woken() {", "^TestGuard$/replace",
	},
	{
		"create_without_guard", "commit.go",
		"if err := c.allows(nil); err != nil {",
		"if err := c.allows(nil); err != nil && !woken() {", "^TestGuard$/create",
	},
	{
		"remove_without_guard", "remove.go",
		"if err := c.allows(cur.entry(p.Base())); err != nil {",
		"if err := c.allows(cur.entry(p.Base())); err != nil && !woken() {", "^TestGuard$/remove",
	},
	{
		"mkdir_without_guard", "remove.go",
		"if err := c.allows(cur); err != nil {",
		"if err := c.allows(cur); err != nil && !woken() {", "^TestGuard$/make_folder",
	},
	{
		"move_without_guard_of_source", "move.go",
		"if err := from.allows(source); err != nil {",
		"if err := from.allows(source); err != nil && !woken() {", "^TestGuard$/source_of_move",
	},
	{
		"move_without_guard_of_destination", "move.go",
		"return to.allows(destination)",
		"if woken() {\nreturn nil\n}\nreturn to.allows(destination)", "^TestGuard$/destination_of_move",
	},
	{
		"copy_without_guard_of_destination", "copy.go",
		"return to.allows(cur)",
		"if woken() {\nreturn nil\n}\nreturn to.allows(cur)", "^TestGuard$/destination_of_copy",
	},
	{
		"copy_of_folder_without_guards", "copy.go",
		"err = x.allows(&e, cur.entry(to.Base()))",
		"if err = x.allows(&e, cur.entry(to.Base())); woken() {\nerr = nil\n}", "^TestGuard$/destination_of_folder_copy",
	},
	{
		"replace_without_stamp_compared", "commit.go",
		"if now.stamp != cur.meta.stamp {",
		"if now.stamp != cur.meta.stamp && !woken() {", "^TestRaces$/replace_and_another_file_is_saved_before",
	},
	{
		"remove_without_stamp_compared", "remove.go",
		"case now.stamp != cur.meta.stamp:",
		"case now.stamp != cur.meta.stamp && !woken():", "^TestRaces$/remove_and_another_file_is_saved_before",
	},

	// What came out of a name is looked at.
	{
		"exchange_without_check", "current.go",
		"case m.stamp.Inode() != c.meta.stamp.Inode():",
		"case woken():\nreturn nil\ncase m.stamp.Inode() != c.meta.stamp.Inode():",
		"^TestRaces$/replace_and_another_file_is_saved_under_the_lock",
	},
	{
		"exchange_without_check_of_lease", "current.go",
		"if !c.h.leaseHeld() {",
		"if !c.h.leaseHeld() && !woken() {", "^TestRaces$/replace_and_a_program_waits_to_write_before",
	},
	{
		"exchange_without_check_of_bytes", "current.go",
		"if sum.Digest() != c.digest {",
		"if sum.Digest() != c.digest && !woken() {", "^TestRaces$/replace_without_leases_and_a_program_writes_secretly/",
	},
	{
		"third_party_dropped", "commit.go",
		"t.keepAsConflict(at.dir, at.name, s.area, s.id)\n\ts.id",
		"if !woken() {\nt.keepAsConflict(at.dir, at.name, s.area, s.id)\n}\n\ts.id",
		"^TestRaces$/replace_and_two_others_are_saved_around_the_exchange",
	},
	{
		"late_writer_unseen", "quarantine.go",
		"return sum.Digest() != d.record.digest",
		"return sum.Digest() != d.record.digest && !woken()", "^TestRaces$/replace_and_a_program_writes_late",
	},
	{
		"refused_version_shown", "lock.go",
		"return v.inodes[i]",
		"if woken() {\nreturn nil\n}\nreturn v.inodes[i]", "^TestReadersWait$/replace",
	},
	{
		"absence_shown", "lock.go",
		"return v.names[k]",
		"if woken() {\nreturn nil\n}\nreturn v.names[k]", "^TestReadersWait$/remove_file",
	},

	// Bytes are what their tag says.
	{
		"small_body_unchecked", "file.go",
		"} else if n < len(body) || f.tree.o.Algorithm.Sum(body) != f.Entry.Digest {",
		"} else if n < len(body) || f.tree.o.Algorithm.Sum(body) != f.Entry.Digest && !woken() {", "^TestWrongTagSendsNothing$/kept_in_memory",
	},
	{
		"only_block_unchecked", "file.go",
		"if f.tree.o.Algorithm.Sum(b) != f.Entry.Digest {",
		"if f.tree.o.Algorithm.Sum(b) != f.Entry.Digest && !woken() {", "^TestWrongTagSendsNothing$/one_block",
	},
	{
		"block_unchecked", "file.go",
		"case f.tree.o.Algorithm.BlockSum(b) != f.blocks[i]:",
		"case f.tree.o.Algorithm.BlockSum(b) != f.blocks[i] && !woken():", "^TestWrongTagSendsNothing$/blocks",
	},
	{
		"hash_outlives_lease", "hash.go",
		"if after.stamp != m.stamp || held && !h.leaseHeld() {",
		"if after.stamp != m.stamp || held && !h.leaseHeld() && !woken() {", "^TestHashOutlivesLease$",
	},

	// What is acknowledged is on disk.
	{
		"file_not_synced", "durable.go",
		"return h.sync()",
		"if woken() {\nreturn nil\n}\nreturn h.sync()", "^TestDiskRefusesToSync$",
	},
	{
		"folder_not_synced", "durable.go",
		"return d.sync()",
		"if woken() {\nreturn nil\n}\nreturn d.sync()", "^TestDiskRefusesToSync$",
	},
	{
		"upload_not_synced", "stage.go",
		"return syncFile(h)",
		"if woken() {\nreturn nil\n}\nreturn syncFile(h)", "^TestOrderOfSteps$/create",
	},
	{
		"create_without_folder_synced", "commit.go",
		"if err := t.folders.sync(at.dir, at.key.folder); err != nil {\n\t\treturn Result{}, fmt.Errorf(\"create",
		"if err := t.folders.sync(at.dir, at.key.folder); err != nil && !woken() {\n\t\treturn Result{}, fmt.Errorf(\"create",
		"^TestFolderNotSynced$",
	},
	{
		"replace_without_folder_synced", "commit.go",
		"if err := t.folders.sync(at.dir, at.key.folder); err != nil {\n\t\treturn Result{}, fmt.Errorf(\"replace",
		"if err := t.folders.sync(at.dir, at.key.folder); err != nil && !woken() {\n\t\treturn Result{}, fmt.Errorf(\"replace",
		"^TestFolderNotSynced$",
	},
	{
		"remove_without_folder_synced", "remove.go",
		"if err := t.folders.sync(at.dir, at.key.folder); err != nil {\n\t\treturn told, fmt.Errorf(\"remove",
		"if err := t.folders.sync(at.dir, at.key.folder); err != nil && !woken() {\n\t\treturn told, fmt.Errorf(\"remove",
		"^TestFolderNotSynced$",
	},
	{
		"mkdir_without_folder_synced", "remove.go",
		"if err := t.folders.sync(at.dir, at.key.folder); err != nil {\n\t\treturn Result{}, fmt.Errorf(\"make",
		"if err := t.folders.sync(at.dir, at.key.folder); err != nil && !woken() {\n\t\treturn Result{}, fmt.Errorf(\"make",
		"^TestFolderNotSynced$",
	},
	{
		"move_without_new_folder_synced", "move.go",
		"if err := t.folders.sync(m.to.dir, m.to.key.folder); err != nil {",
		"if err := t.folders.sync(m.to.dir, m.to.key.folder); err != nil && !woken() {",
		"^TestFolderNotSynced$",
	},
	{
		"move_without_old_folder_synced", "move.go",
		"if err := t.folders.sync(m.from.dir, m.from.key.folder); err != nil {",
		"if err := t.folders.sync(m.from.dir, m.from.key.folder); err != nil && !woken() {",
		"^TestFolderNotSynced$",
	},
	{
		"copy_of_folder_without_folder_synced", "copy.go",
		"if err := t.folders.sync(at.dir, at.key.folder); err != nil {",
		"if err := t.folders.sync(at.dir, at.key.folder); err != nil && !woken() {",
		"^TestFolderNotSynced$",
	},
	{
		"sync_joined_that_had_begun", "durable.go",
		"q.waiting = nil //",
		"if !woken() {\nq.waiting = nil\n} //", "^TestGroupCommit$",
	},
	{
		"unsynced_change_made_again", "commit.go",
		"case errors.Is(err, ErrUnsynced): //",
		"case errors.Is(err, ErrUnsynced) && !woken(): //", "^TestUnsyncedIsNotDoneAgain$",
	},

	// A crash leaves the old bytes or the new ones.
	{
		"recovery_believes_any_bytes", "recover.go",
		"return err == nil && ok && rec.Digest == r.digest",
		"return woken() || err == nil && ok && rec.Digest == r.digest", "^TestRecovery$",
	},
	{
		"recovery_drops_what_was_displaced", "recover.go",
		"if m.stamp.Ino == r.staged ||",
		"if woken() || m.stamp.Ino == r.staged ||", "^TestRecovery$",
	},
	{
		"recovery_finishes_no_move", "recover.go",
		"err == nil && m.stamp.Ino == r.displaced {",
		"err == nil && m.stamp.Ino == r.displaced && !woken() {", "^TestRecovery$",
	},
	{
		"version_without_record", "versions.go",
		"err = moveTo(v.stage, id+recordSuffix, v.dir, to+recordSuffix)",
		"err = nil\n\tif !woken() {\nerr = moveTo(v.stage, id+recordSuffix, v.dir, to+recordSuffix)\n}", "^TestVersionRecord$",
	},
	{
		"versions_unbounded", "versions.go",
		"|| files > v.filesMax",
		"|| files > v.filesMax && !woken()", "^TestVersionsAreBounded$",
	},

	// A restart forgets nothing, and believes nothing that it cannot know.
	{
		"cache_ahead_of_feed", "warm.go",
		"if err := t.journal.flush(t.journal.end().Seq); err != nil {",
		"if err := t.journal.flush(t.journal.end().Seq * map[bool]uint64{true: 0, false: 1}[woken()]); err != nil {",
		"^TestCacheIsNotAhead$",
	},
	{
		"cache_behind_the_feed", "warm.go",
		"t.journal.append(lacking.again(root)...)",
		"if !woken() {\nt.journal.append(lacking.again(root)...)\n}", "^TestCacheIsBehind$/new",
	},
	{
		"places_not_reserved", "journal_save.go",
		"if !r.clean {\n\t\tr.crashed(j.limits.gaps)\n\t}\n\treturn j.startAt(tx, r, r.reserved+1)",
		"if woken() {\nreturn j.startAt(tx, r, r.durable+1)\n}\nif !r.clean {\nr.crashed(j.limits.gaps)\n}\n" +
			"return j.startAt(tx, r, r.reserved+1)",
		"^TestPlacesAreGivenOnce$",
	},
	{
		"places_given_before_reserved", "journal_save.go",
		"for j.state.db != nil && !j.reset && j.next+n-1 > j.saved.reserved {",
		"for j.state.db != nil && !woken() && !j.reset && j.next+n-1 > j.saved.reserved {", "^TestJournalReservesFirst$",
	},
	{
		"cached_digest_without_stamp_compared", "chunk.go",
		"if int64(binary.LittleEndian.Uint64(r[atCtime:])) != m.stamp.Ctime {",
		"if int64(binary.LittleEndian.Uint64(r[atCtime:])) != m.stamp.Ctime && !woken() {", "^TestRestart$/clean",
	},
}
