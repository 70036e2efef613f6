package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// recover settles what a crash left in the stage folder of an area: every file there is an upload that was never
// acknowledged, or a file that a change displaced. Uploads go; displaced files become versions, and conflict copies if
// their bytes are not those that the change was shown. Afterwards the stage folder is empty.
func (t *Tree) recover(a *area) error {
	names, err := a.stage.names()
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	slices.Sort(names)
	if err := t.finishMoves(a, names); err != nil {
		return err
	}
	for _, name := range names {
		switch {
		case strings.HasSuffix(name, partSuffix), strings.HasSuffix(name, treeSuffix):
			a.stage.removeAll(name)
		case strings.HasSuffix(name, spareSuffix):
			if err := t.recoverSpare(a, strings.TrimSuffix(name, spareSuffix)); err != nil {
				return err
			}
		}
	}
	if names, err = a.stage.names(); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	slices.Sort(names)
	for _, name := range names {
		if id, isRecord := strings.CutSuffix(name, recordSuffix); isRecord {
			if _, err := a.stage.stat(id); errors.Is(err, ErrNotExist) {
				_ = a.stage.unlink(name)
			}
			continue
		}
		if err := t.recoverStaged(a, name); err != nil {
			return err
		}
	}
	return nil
}

// recoverStaged settles one file of the stage folder.
func (t *Tree) recoverStaged(a *area, id string) error {
	m, err := a.stage.stat(id)
	if err != nil {
		return err
	}
	text, err := a.stage.readRecord(id + recordSuffix)
	var r record
	if err == nil {
		r, err = parseRecord(text)
	}
	if err != nil {
		if a.versions.expects(id) {
			return a.versions.take(id, false)
		}
		// A file that nothing is known of may be somebody's only copy.
		t.o.Log.Warn("a file of unknown origin in the stage folder is kept as a version", "id", id, "error", err)
		return a.versions.take(id, true)
	}
	if m.stamp.Ino == r.staged || t.stillThere(r, m) {
		a.stage.removeAll(id)
		_ = failpoint("recover-dropped")
		_ = a.stage.unlink(id + recordSuffix)
		return nil
	}
	if t.recoveredAsShown(a, id, r, m) {
		t.o.Log.Info("a change that a crash interrupted is complete", "path", r.path, "change", r.how)
		return a.versions.take(id, false)
	}
	t.restoreConflict(a, id, r)
	return nil
}

// recoveredAsShown reports whether a displaced file is the one that its change was decided on.
func (t *Tree) recoveredAsShown(a *area, id string, r record, m meta) bool {
	if m.stamp.Ino != r.displaced {
		return false
	}
	if r.digest.IsZero() || !m.isRegular() {
		return true
	}
	h, m, err := a.stage.open(id)
	if err != nil {
		return false
	}
	defer h.close()
	rec, ok, _, err := t.hasher.hash(context.Background(), h, false, changeHashWaitMax)
	return err == nil && ok && rec.Digest == r.digest
}

// stillThere reports whether a file that was on its way out also has its name yet, as it does for a moment on filesystems
// that cannot rename without replacing.
func (t *Tree) stillThere(r record, m meta) bool {
	at, err := t.placeOf(r)
	if err != nil {
		return false
	}
	defer at.close()
	now, err := at.stat()
	return err == nil && now.stamp.Inode() == m.stamp.Inode()
}

// recoverSpare settles an exchange that was made by renames: the target is put back, or becomes what was displaced.
func (t *Tree) recoverSpare(a *area, id string) error {
	spare := id + spareSuffix
	text, err := a.stage.readRecord(id + recordSuffix)
	var r record
	if err == nil {
		r, err = parseRecord(text)
	}
	if err != nil {
		return moveTo(a.stage, spare, a.stage, newID())
	}
	at, err := t.placeOf(r)
	if err == nil {
		defer at.close()
	}
	if m, statErr := a.stage.stat(spare); statErr == nil && m.stamp.Ino == r.staged {
		// The change was being undone: the upload had come out of the name again, and what it had displaced goes back.
		if err == nil {
			_ = moveTo(a.stage, id, at.dir, at.name)
		}
		a.stage.removeAll(spare)
		return nil
	}
	if err == nil {
		if moveTo(a.stage, spare, at.dir, at.name) == nil {
			return nil
		}
	}
	// The name is taken, by the upload or by another program: what came out of it is what the change displaced.
	if m, err := a.stage.stat(id); err == nil && m.stamp.Ino == r.staged {
		a.stage.removeAll(id)
		_ = failpoint("recover-emptied")
	}
	return moveTo(a.stage, spare, a.stage, id)
}

// finishMoves ends the moves that had exchanged two names, but not yet taken the displaced file from the source's name.
func (t *Tree) finishMoves(a *area, names []string) error {
	for _, name := range names {
		id, isMove := strings.CutSuffix(name, movedSuffix)
		if !isMove {
			continue
		}
		if text, err := a.stage.readRecord(name); err == nil {
			if r, err := parseRecord(text); err == nil {
				t.finishMove(a, id, r)
			}
		}
		if err := a.stage.unlink(name); err != nil {
			return fmt.Errorf("recover: %w", err)
		}
	}
	return nil
}

func (t *Tree) finishMove(a *area, id string, r record) {
	at, err := t.disk.place(r.path, false)
	if err != nil {
		return
	}
	defer at.close()
	if m, err := at.stat(); err == nil && m.stamp.Ino == r.displaced {
		if err := moveTo(at.dir, at.name, a.stage, id); err != nil {
			t.o.Log.Error("a move that a crash interrupted could not be finished", "path", r.path, "error", err)
		}
		_ = failpoint("recover-moved")
	}
}
