//go:build linux

package tree_test

// Mutants of the live picture.
func init() {
	mutants = append(mutants,
		mutant{
			"answer_without_barrier", "survey.go",
			"seen = t.watch.Barrier(ctx)",
			"seen = nil\nif !woken() {\nseen = t.watch.Barrier(ctx)\n}", "^TestAnswerAwaitsEvents$",
		},
		mutant{
			"answer_without_look", "survey.go",
			"case <-t.refresher.ask(look):",
			"case <-map[bool]<-chan struct{}{true: closedChannel, false: t.refresher.ask(look)}[woken()]:",
			"^TestAnswerAwaitsEvents$",
		},
		mutant{
			"unseen_folders_not_looked_at", "survey.go",
			"look = append(look, found...)",
			"if !woken() {\nlook = append(look, found...)\n}", "^TestFolderMountedTwice$",
		},
		mutant{
			"look_over_own_change", "picture.go",
			"if p.touched[ownName{n, e.name}] > s.start {",
			"if p.touched[ownName{n, e.name}] > s.start && !woken() {", "^TestLookIsOlderThanOwnChange$",
		},
		mutant{
			"own_change_not_looked_at", "publish.go",
			"t.refresher.soon(folder.s, e.name)",
			"if !woken() {\nt.refresher.soon(folder.s, e.name)\n}", "^TestLiveRaces$/created_and_saved_over",
		},
		mutant{
			"covered_name_not_looked_at_again", "look.go",
			"l.again(l.at.rel.s, covered...)",
			"if !woken() {\nl.again(l.at.rel.s, covered...)\n}", "^TestNameTakenWhileCovered$",
		},
		mutant{
			"other_names_not_looked_at", "refresh.go",
			"r.linked[file] = 0",
			"if !woken() {\nr.linked[file] = 0\n}", "^TestHardLinkWrittenAndGone$/removed$",
		},
		mutant{
			"refused_file_left_out", "scan.go",
			"if found, err = l.refused(name, err); err != nil {",
			"if woken() {\nreturn\n}\nif found, err = l.refused(name, err); err != nil {", "^TestFileThatCannotBeOpened$/when_the_tree_is_opened",
		},
		mutant{
			"folders_above_stay_fresh", "picture.go",
			"up.fresh, s.fresh = false, false",
			"up.fresh, s.fresh = woken(), woken()", "^TestPictureModel$/known_seed",
		},
		mutant{
			"bucket_not_joined", "rebuild.go",
			"for n.split && k < len(old) && !b.endsBucket() { //",
			"for n.split && k < len(old) && !b.endsBucket() && !woken() { //", "^TestPictureModel$/known_seed",
		},
	)
}
