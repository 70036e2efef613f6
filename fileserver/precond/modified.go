package precond

import "time"

const (
	// stampLag is the most by which the kernel's fine stamps are behind its clock: one tick of 10 ms, and as much for
	// filesystems that round to hundredths of a second.
	stampLag = 20 * time.Millisecond
	// coarseStamp is the most by which stamps of whole seconds are behind the clock.
	coarseStamp = 2 * time.Second
	// settleTime is the most by which a change time follows the modification time of the same change: writing a temporary
	// file and renaming it takes that long.
	settleTime = 2 * time.Second
)

// modificationDate is the modification time rounded up. If the change time follows it closely they are of one change, and
// the later one counts, so that a file that has just been renamed into place can be revalidated. A time of whole seconds
// is taken as it is: that was set by somebody who means it.
func (s *State) modificationDate() time.Time {
	t := s.ModTime
	if t.Nanosecond() == 0 {
		return t
	}
	if after := s.Changed.Sub(t); after > 0 && after < settleTime {
		t = s.Changed
	}
	return roundUp(t)
}

// roundUp returns the first whole second that is at least stampLag after t.
func roundUp(t time.Time) time.Time {
	return t.Add(stampLag + time.Second - 1).Truncate(time.Second)
}

// changedBefore reports whether the last change, whatever it was, was certainly over when the second d began.
func (s *State) changedBefore(d time.Time) bool {
	switch {
	case s.Changed.IsZero():
		return false
	case s.Changed.Nanosecond() == 0:
		return s.Changed.Add(coarseStamp).Before(d)
	}
	return !roundUp(s.Changed).After(d)
}

// notModifiedSince reports whether bytes fetched in the second d, or later, certainly are the present ones. While no tag is
// known a program may be writing through a mapping, which moves the times late.
func (s *State) notModifiedSince(d time.Time) bool {
	return s.Exists && s.ETag != "" && !s.ModTime.IsZero() && !s.modificationDate().After(d) && s.changedBefore(d)
}

// LastModified returns the Last-Modified to send in a response generated now, and whether there is any. It may be up to
// settleTime and a second later than the modification time, never later than now.
func LastModified(s State, now time.Time) (time.Time, bool) {
	if !s.Exists || s.ModTime.IsZero() {
		return time.Time{}, false
	}
	if d := s.modificationDate(); !d.After(now) {
		return d, true
	}
	return now.Truncate(time.Second), true
}
