// Package fileserver is the HTTP room: one tree of files, served under the methods of RFC 9110 and the parts of RFC
// 4918 that name, move and remove files.
//
// A request passes one door. It decodes the path once into a tree.Path, refuses what a page from elsewhere may have
// sent, and hands (http.ResponseWriter, *http.Request) to the handler of the method. Handlers return errors; package
// problem says what the client is told.
//
// # What it keeps
//
//   - A strong ETag goes out only with bytes that it describes. A body that turns out not to be what its tag says is cut
//     off before its announced length.
//   - Every change is guarded by the request's preconditions (RFC 9110 section 13), asked once on arrival, so that a body
//     that will be refused is not sent, and decisively under the path's lock.
//   - A folder's strong ETag names all that its listing is made of: the state of what is in it and below, and how that is
//     shown. While there is no such state to be named the folder has no tag. What is told of folders and changes includes
//     every local write that had finished before the request came.
//   - User bytes cannot run as a page of this server, on any status: see mediatype.go.
//   - A slow or silent client holds a connection for a bounded time, no lock, and little memory: see [Limits].
//
// # What it refuses
//
// Partial PUT, coded bodies, requests from pages of other origins, host names that nobody configured (a page that had
// its own name rebound to this machine sends those), and any change while the tree is read-only.
package fileserver
