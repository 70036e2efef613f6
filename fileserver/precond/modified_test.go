package precond_test

import (
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"

	"freshet/fileserver/precond"
)

func stamped(modTime, changeTime time.Time) precond.State {
	s := file
	s.ModTime, s.Changed = modTime, changeTime
	return s
}

// at returns a time within the second of the example, or after it.
func at(d time.Duration) time.Time { return example.Add(d) }

const ms = time.Millisecond

func TestLastModified(t *testing.T) {
	muchLater := at(time.Hour)
	for _, c := range []struct {
		name  string
		state precond.State
		now   time.Time
		want  time.Duration // after the example; -1: none is sent
	}{
		{"rounded_up", stamped(at(300*ms), at(300*ms)), muchLater, time.Second},
		{"a_moment_after_the_second", stamped(at(1), at(1)), muchLater, time.Second},
		{"stamps_lag", stamped(at(981*ms), at(981*ms)), muchLater, 2 * time.Second},
		{"stamps_lag_no_more", stamped(at(980*ms), at(980*ms)), muchLater, time.Second},
		{"whole_second_is_meant", stamped(at(0), at(700*ms)), muchLater, 0},
		{"renamed_into_place_in_the_next_second", stamped(at(900*ms), at(1200*ms)), muchLater, 2 * time.Second},
		{"renamed_into_place_later", stamped(at(900*ms), at(2900*ms)), muchLater, time.Second},
		{"restored", stamped(at(300*ms), at(time.Minute)), muchLater, time.Second},
		{"change_time_unknown", stamped(at(300*ms), time.Time{}), muchLater, time.Second},
		{"never_later_than_now", stamped(at(300*ms), at(300*ms)), at(400 * ms), 0},
		{"from_the_next_second_on", stamped(at(300*ms), at(300*ms)), at(time.Second), time.Second},
		{"modified_in_the_future", stamped(at(time.Hour), at(0)), at(5500 * ms), 5 * time.Second},
		{"before_1970", stamped(at(0).AddDate(-40, 0, 0).Add(1), at(0)), muchLater, at(time.Second).AddDate(-40, 0, 0).Sub(example)},
		{"no_modification_time", folder, muchLater, -1},
		{"nothing", nothing, muchLater, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := precond.LastModified(c.state, c.now)
			if ok != (c.want != -1) || ok && !got.Equal(example.Add(c.want)) {
				t.Errorf("LastModified = %v, %v, want %v", got, ok, example.Add(c.want))
			}
		})
	}
}

// TestDatesAndStamps says which dates are good for which stamps.
func TestDatesAndStamps(t *testing.T) {
	for _, c := range []struct {
		name      string
		state     precond.State
		date      time.Duration // that of the field, after the example
		read      precond.Verdict
		unchanged bool // If-Unmodified-Since is true
	}{
		{"echoed", stamped(at(300*ms), at(300*ms)), time.Second, notModified, true},
		{"second_of_the_change", stamped(at(300*ms), at(300*ms)), 0, proceed, false},
		{"just_before_the_date", stamped(at(980*ms), at(980*ms)), time.Second, notModified, true},
		{"so_close_that_the_stamp_may_lag", stamped(at(981*ms), at(981*ms)), time.Second, proceed, false},
		{"renamed_into_place", stamped(at(100*ms), at(150*ms)), time.Second, notModified, true},
		{"renamed_into_place_in_the_next_second", stamped(at(900*ms), at(1200*ms)), 2 * time.Second, notModified, true},
		{"renamed_into_place_after_the_date", stamped(at(900*ms), at(1200*ms)), time.Second, proceed, false},
		{"mode_changed_later", stamped(at(300*ms), at(time.Minute+300*ms)), time.Second, proceed, true},
		{"mode_changed_before_the_date", stamped(at(300*ms), at(time.Minute+300*ms)), 61 * time.Second, notModified, true},
		{"time_set_back_after_a_change", stamped(at(300*ms), at(time.Hour+300*ms)), time.Second, proceed, true},
		{"uploaded_with_a_time", stamped(at(0), at(time.Hour+300*ms)), 0, proceed, true},
		{"uploaded_with_a_time_before_the_date", stamped(at(0), at(300*ms)), time.Second, notModified, true},
		{"time_in_the_future", stamped(at(time.Hour), at(300*ms)), time.Minute, proceed, false},
		{"change_time_unknown", stamped(at(300*ms), time.Time{}), time.Minute, proceed, true},
		{"coarse_stamps", stamped(at(0), at(0)), 0, proceed, true},
		{"coarse_stamps_two_seconds_before", stamped(at(0), at(0)), 2 * time.Second, proceed, true},
		{"coarse_stamps_three_seconds_before", stamped(at(0), at(0)), 3 * time.Second, notModified, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			date := at(c.date).Format(http.TimeFormat)
			if got := precond.Parse(header("If-Modified-Since: " + date)).Read(c.state); got != c.read {
				t.Errorf("If-Modified-Since: %s, want %s", verdictNames[got], verdictNames[c.read])
			}
			want := map[bool]precond.Verdict{true: proceed, false: failed}[c.unchanged]
			if got := precond.Parse(header("If-Unmodified-Since: " + date)).Write(c.state); got != want {
				t.Errorf("If-Unmodified-Since: %s, want %s", verdictNames[got], verdictNames[want])
			}
			lastModified, _ := precond.LastModified(c.state, at(2*time.Hour))
			wantRange := c.read == notModified && lastModified.Equal(at(c.date))
			if got := precond.IfRange([]string{date}, c.state); got != wantRange {
				t.Errorf("If-Range: %v, want %v", got, wantRange)
			}
		})
	}
}

// A disk is a file on a filesystem whose stamps are behind the clock by up to its granularity, and of a clock that ticks.
type disk struct {
	granularity time.Duration
	now         time.Time
	state       precond.State
	version     int
	honest      bool // nobody set a time back
}

func (d *disk) stamp(t *rapid.T) time.Time {
	tick := time.Duration(rapid.IntRange(0, 9999).Draw(t, "tick µs")) * time.Microsecond
	return d.now.Add(-tick).Truncate(d.granularity)
}

// step does something to the file, or lets time pass.
func (d *disk) step(t *rapid.T) {
	const second = int(time.Second / time.Microsecond)
	switch rapid.IntRange(0, 6).Draw(t, "what") {
	case 0, 1:
		d.now = d.now.Add(time.Duration(rapid.IntRange(0, 3*second).Draw(t, "wait µs")) * time.Microsecond)
	case 2:
		d.now = d.now.Add(time.Duration(rapid.IntRange(0, 30_000).Draw(t, "short wait µs")) * time.Microsecond)
	case 3, 4:
		d.version++
		d.state.ModTime = d.stamp(t)
		d.state.Changed = d.state.ModTime
	case 5:
		d.state.Changed = d.stamp(t) // chmod
	case 6:
		d.honest = false
		d.state.ModTime = d.now.Add(-time.Duration(rapid.IntRange(0, 5*second).Draw(t, "back µs")) * time.Microsecond)
		if rapid.Bool().Draw(t, "whole") {
			d.state.ModTime = d.state.ModTime.Truncate(time.Second)
		}
		d.state.Changed = d.stamp(t)
	}
}

// TestDatesNameOneState lets local programs do what they like to a file, and clients fetch it and come back with the
// Last-Modified or the Date of what they got: a 304 or a range is given only for the bytes that they have, and, unless somebody
// set the time back or the time is a whole second, an If-Unmodified-Since holds only for them.
func TestDatesNameOneState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		granularity := rapid.SampledFrom([]time.Duration{1, 100, ms, 10 * ms, time.Second, 2 * time.Second}).Draw(t, "granularity")
		d := disk{granularity: granularity, now: example.Add(time.Minute), state: file, honest: true}
		for range rapid.IntRange(0, 3).Draw(t, "steps before") {
			d.step(t)
		}
		had := d.version
		date := d.now.Truncate(time.Second)
		if lastModified, ok := precond.LastModified(d.state, d.now); ok && rapid.Bool().Draw(t, "by Last-Modified") {
			if lastModified.After(date) || lastModified.Nanosecond() != 0 {
				t.Fatalf("Last-Modified %v at %v", lastModified, d.now)
			}
			date = lastModified
		}
		d.honest = true
		for range rapid.IntRange(0, 5).Draw(t, "steps after") {
			d.step(t)
		}
		field := date.Format(http.TimeFormat)
		if precond.Parse(header("If-Modified-Since: "+field)).Read(d.state) == notModified && d.version != had {
			t.Fatalf("304 for changed bytes: date %s, modified %v, changed %v", field, d.state.ModTime, d.state.Changed)
		}
		if precond.IfRange([]string{field}, d.state) && d.version != had {
			t.Fatalf("range of changed bytes: date %s, modified %v, changed %v", field, d.state.ModTime, d.state.Changed)
		}
		if !d.honest || d.state.ModTime.Nanosecond() == 0 {
			return
		}
		if precond.Parse(header("If-Unmodified-Since: "+field)).Write(d.state) == proceed && d.version != had {
			t.Fatalf("write over changed bytes: date %s, modified %v, changed %v", field, d.state.ModTime, d.state.Changed)
		}
	})
}

// TestDatesAreOfUse: what was written in one go can be revalidated, resumed and replaced with the Last-Modified that is sent
// three seconds later.
func TestDatesAreOfUse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const micro = time.Microsecond
		modified := at(time.Duration(rapid.IntRange(1, 999_999).Draw(t, "µs")) * micro)
		state := stamped(modified, modified.Add(time.Duration(rapid.IntRange(0, 1_999_999).Draw(t, "rename after µs"))*micro))
		if state.Changed.Nanosecond() == 0 {
			t.Skip("looks coarse")
		}
		lastModified, ok := precond.LastModified(state, state.Changed.Add(3*time.Second))
		if !ok {
			t.Fatal("no Last-Modified")
		}
		date := lastModified.Format(http.TimeFormat)
		if precond.Parse(header("If-Modified-Since: "+date)).Read(state) != notModified {
			t.Errorf("no 304 for %s: modified %v, changed %v", date, state.ModTime, state.Changed)
		}
		if !precond.IfRange([]string{date}, state) {
			t.Errorf("no range for %s: modified %v, changed %v", date, state.ModTime, state.Changed)
		}
		if precond.Parse(header("If-Unmodified-Since: "+date)).Write(state) != proceed {
			t.Errorf("no write with %s: modified %v, changed %v", date, state.ModTime, state.Changed)
		}
	})
}
