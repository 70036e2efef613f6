package tree

import "slices"

// told tells how a folder differs from what was known, and reports whether that stands for all that is below.
func (s *scan) told(task scanTask, was *baseline, changed []edit) (covered bool) {
	if s.tell == nil || task.covered {
		return task.covered
	}
	if !was.known {
		s.tell([]Event{{Path: task.rel, Kind: KindFolder}})
		return true
	}
	if !task.n.keeps(was) {
		s.tell(eventsOf(task.rel, task.n, was, changed))
	}
	return false
}

// keeps reports whether a folder has the very chunks that were known of it: nothing has changed.
func (n *node) keeps(was *baseline) bool {
	return slices.EqualFunc(n.slots, was.chunks, func(s slot, c chunk) bool {
		return len(s.items) > 0 && len(c) > 0 && &s.items[0] == &c[0]
	})
}

// eventsOf compares a folder with what was known of it.
func eventsOf(rel Path, n *node, was *baseline, changed []edit) (events []Event) {
	at := ground{rel: rel}
	for i := range changed {
		e := &changed[i]
		old, had := was.find(e.name)
		if e.item.kind == KindFolder || !visible(e, &old, had) {
			continue // a folder that is new tells so by itself
		}
		it := e.item.entry(0)
		events = append(events, Event{
			Path: at.below(e.name), Kind: it.Kind, Digest: it.Digest, Size: it.Size, ModTime: it.ModTime, Target: it.Target,
		})
	}
	for _, c := range was.chunks {
		for i := range c.len() {
			name := string(c.name(i))
			if _, ok := n.item(name); !ok {
				events = append(events, Event{Path: at.below(name), Kind: c.kind(i), Gone: true})
			}
		}
	}
	return events
}
