// Package hashing says what bytes are called.
//
// A [Digest] is the 128-bit content hash of a file, an [ETag] its name on the wire (RFC 9110 section 8.8.3), and a [Stamp]
// the kernel's word on which state of which inode was seen. An [Index] remembers digests by stamp. A [FolderHasher] computes
// the fingerprint of a folder, which names the state of all that is in it and below.
//
// The rule that everything else rests on: a digest is remembered only together with the stamp that was equal before and
// after the bytes were read, and is believed later only while the file's stamp is still that one and [Record.Trusted] says so.
// Two states of a file may share a stamp only in the ways that Record.Trusted names.
//
// XXH3 is not collision-resistant against somebody who may write both versions: its tags tell honest versions apart, they are
// no proof against forgery. [BLAKE3] is for roots that people may write to who are not trusted.
package hashing
