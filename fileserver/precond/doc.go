// Package precond decides on conditional requests: RFC 9110 section 13, and If-Range of section 13.1.5, as pure functions of
// header fields and the state of a resource.
//
// # Tags
//
// A reader's tags are compared with the tag of the selected representation, a writer's by the digest that they begin with,
// so that a client that fetched a coded representation can write. Where it cannot be decided whether a tag matches, because
// the field is malformed or the present tag is not known, an If-Match is false; an If-None-Match sends a reader the bytes,
// and keeps a writer off. A folder's fingerprint is not known for moments only, in which a writer is asked to come again.
// Only what is no tag at all, as in `If-None-Match: anything`, matches nothing for anybody.
//
// # Dates
//
// A date names a state only to the second, stamps lag a little behind the clock, and any program can set a modification time
// back. What follows keeps the promise that a 304 is never wrong, for clients that send a Last-Modified or a Date of ours
// (RFC 9110 section 13.1.3 has them send either), as long as the clock of this machine is not set back.
//
//   - A file's modification date is its modification time rounded up to the second, not down: then nothing that was changed
//     after a response was generated has a modification date up to that response's Date.
//   - Last-Modified is that date, but never later than now (section 8.8.2.1). Within the second of a change it is the time of
//     the response, which is before the modification date and so leads to no 304.
//   - If-Modified-Since leads to a 304 only if, besides, the change time, which no program can set, is before the date. So a
//     file is sent again after a chmod, or when it was restored or uploaded with an old modification time: a needless 200 is
//     harmless. Change times of whole seconds come from filesystems that round them; they must be coarseStamp before the
//     date. There a date seldom leads to a 304.
//   - If-Unmodified-Since compares the modification date alone: a file that was copied in with an old time could else never be
//     written with a date. A local program that sets the time back after its change is not noticed; nor are, within one or two
//     seconds, changes on a filesystem whose stamps are that coarse. A writer who needs certainty sends a tag.
//   - If-Range accepts a date only where If-Modified-Since would, and only if it is exactly the modification date.
package precond
