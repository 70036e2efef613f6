//go:build linux

package tree_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"freshet/fileserver/tree"
)

func init() { children["journal"] = tree.JournalChild }

const killedRounds = 5

// TestJournalSurvivesKill kills a process that appends and tells each place that it was given, over and over. Whoever has such
// a place is then told exactly what happened behind it and was on disk, or that it cannot be told; and no place is given twice.
func TestJournalSurvivesKill(t *testing.T) {
	folder := t.TempDir()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	given := map[uint64]int{} // round by place
	var rounds []killedRound
	epoch := ""
	for n := range killedRounds {
		round := appendUntilKilled(t, folder, n, 20+r.IntN(900))
		for _, c := range round.told {
			if epoch == "" {
				epoch = c.Epoch
			}
			if c.Epoch != epoch {
				t.Fatalf("round %d: epoch %s, was %s", n, c.Epoch, epoch)
			}
			if earlier, ok := given[c.Seq]; ok {
				t.Fatalf("place %d was given in round %d and in round %d", c.Seq, earlier, n)
			}
			given[c.Seq] = n
		}
		j := tree.OpenJournal(t, folder)
		round.first, round.durable = round.told[0].Seq, j.End().Seq
		if round.durable < round.flushed {
			t.Fatalf("round %d: %d was flushed, and %d is durable", n, round.flushed, round.durable)
		}
		rounds = append(rounds, round)
		checkKilled(t, j, rounds, r)
		if r.IntN(2) == 0 {
			j.Crash()
		} else {
			j.Close()
		}
	}
	lost := 0
	for _, round := range rounds {
		lost += int(round.told[len(round.told)-1].Seq - min(round.durable, round.told[len(round.told)-1].Seq))
	}
	t.Logf("%d places were given, %d of them lost", len(given), lost)
	if lost == 0 {
		t.Error("no crash came before the disk: nothing was tested")
	}
}

// A killedRound is what one process did.
type killedRound struct {
	told    []tree.Cursor
	flushed uint64 // it was told that everything up to here is on disk
	first   uint64 // place that it was given first
	durable uint64 // place up to which the next one found everything
}

// appendUntilKilled runs the process until it has told of some places.
func appendUntilKilled(t *testing.T, folder string, n, places int) (round killedRound) {
	t.Helper()
	cmd := child(t, "journal", folder, strconv.Itoa(n))
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var epoch string
		var from, to uint64
		if _, err := fmt.Sscanf(lines.Text(), "given %s %d %d", &epoch, &from, &to); err == nil {
			for seq := from; seq <= to; seq++ {
				round.told = append(round.told, tree.Cursor{Epoch: epoch, Seq: seq})
			}
		} else if _, err := fmt.Sscanf(lines.Text(), "flushed %d", &round.flushed); err != nil {
			t.Fatalf("%q", lines.Text())
		}
		if len(round.told) >= places {
			_ = cmd.Process.Kill()
		}
	}
	if err := cmd.Wait(); !killed(err) {
		t.Fatalf("the process ended: %v", err)
	}
	return round
}

// checkKilled follows the feed from the places around each crash, and from some in between.
func checkKilled(t *testing.T, j tree.OpenedJournal, rounds []killedRound, r *rand.Rand) {
	t.Helper()
	for n, round := range rounds {
		places := []uint64{round.first, round.durable, round.told[len(round.told)-1].Seq}
		for range 20 {
			places = append(places, round.told[r.IntN(len(round.told))].Seq)
		}
		for _, at := range places {
			got, err := j.Follow(at)
			var gone *tree.CursorGoneError
			switch known := at <= round.durable; {
			case errors.As(err, &gone) && gone.Reason == tree.GoneGap && !known:
			case err != nil || !known:
				t.Fatalf("round %d of %d: behind %d: %d events, %v; durable were %d", n, len(rounds), at, len(got), err, round.durable)
			case !slices.Equal(got, toldBehind(rounds, at)):
				t.Fatalf("round %d of %d: behind %d: %d events, want %d", n, len(rounds), at, len(got), len(toldBehind(rounds, at)))
			}
		}
	}
}

// toldBehind returns the last events of each path behind a place that are durable, as tree.JournalChild makes them.
func toldBehind(rounds []killedRound, at uint64) (events []tree.Event) {
	last := map[tree.Path]int{}
	for n, round := range rounds {
		for seq := round.first; seq <= round.durable; seq++ {
			if seq > at {
				e := tree.JournalChildEvent(n, seq)
				last[e.Path] = len(events)
				events = append(events, e)
			}
		}
	}
	for i := range events {
		if last[events[i].Path] != i {
			events[i].Seq = 0
		}
	}
	return slices.DeleteFunc(events, func(e tree.Event) bool { return e.Seq == 0 })
}
