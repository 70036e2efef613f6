package tree

import "unsafe"

// feedRingBlock is how many events have one piece of memory.
const feedRingBlock = 1024

// feedEventBytes is about what an event takes in memory, besides its texts: itself, and its place in the map.
const feedEventBytes = int(unsafe.Sizeof(Event{})) + 64

// A feedRing is the last events in memory. Their places follow each other without a hole. It is made of blocks, so that it
// grows and shrinks without copying.
type feedRing struct {
	blocks [][]Event
	skip   int    // events dropped from the first block
	start  uint64 // place of the first event, or of the next if there is none
	count  int
	bytes  int             // about
	latest map[Path]uint64 // place of the last event of each path
}

func newFeedRing(next uint64) feedRing { return feedRing{start: next, latest: map[Path]uint64{}} }

func (e *Event) memory() int { return feedEventBytes + len(e.Path.s) + len(e.Target) + len(e.From) }

// first returns the place of the oldest event.
func (r *feedRing) first() uint64 { return r.start }

// push adds an event. Its place is the one behind that of the last.
func (r *feedRing) push(e Event) {
	if n := len(r.blocks); n == 0 || len(r.blocks[n-1]) == feedRingBlock {
		r.blocks = append(r.blocks, make([]Event, 0, feedRingBlock))
	}
	if r.count == 0 {
		r.start = e.Seq
	}
	block := &r.blocks[len(r.blocks)-1]
	*block = append(*block, e)
	r.count++
	r.bytes += e.memory()
	r.latest[e.Path] = e.Seq
}

// drop forgets the oldest event. Its memory is given back with that of its block, since somebody may be reading it.
func (r *feedRing) drop() {
	e := &r.blocks[0][r.skip]
	if r.latest[e.Path] == e.Seq {
		delete(r.latest, e.Path)
	}
	r.bytes -= e.memory()
	r.count--
	r.start++
	if r.skip++; r.skip == feedRingBlock {
		r.blocks[0] = nil
		r.blocks, r.skip = r.blocks[1:], 0
	}
}

// behind returns the events behind a place, as far as they are in one block; none if there are none. They do not change.
func (r *feedRing) behind(at uint64) []Event {
	i := r.skip
	if at >= r.start {
		i += int(min(at-r.start+1, uint64(r.count)))
	}
	if i/feedRingBlock >= len(r.blocks) {
		return nil
	}
	block := r.blocks[i/feedRingBlock]
	return block[min(i%feedRingBlock, len(block)):]
}

// isLatest reports whether no later event of the same path is known.
func (r *feedRing) isLatest(e *Event) bool { return r.latest[e.Path] == e.Seq }
