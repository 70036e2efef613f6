// Package auth says who is asking and what they may do.
//
// # Who
//
// Users stand in an htpasswd file, one "name:hash" a line, hashed by argon2id (in PHC form) or bcrypt. An [Authority]
// tells whether a name and a password belong together (HTTP Basic, RFC 7617). It works out at most HashesMax hashes at once,
// remembers for a while what was right, so that a client that asks all the time costs nothing, and slows down those who
// guess, by address and by user. What it remembers of credentials is keyed by a key that no other process knows, and is of
// one [Users]: another file begins with nothing. A name that nobody has takes as long to refuse as one that somebody has.
//
// # What
//
// [Rules] say who may do what with which path. The rules of the longest path that is at or above the one asked for decide
// alone: whom they do not name has no rights there. They are evaluated on a tree.Path, the very value that is opened, and
// so know nothing of escapes, dots and slashes. Where two spellings may name one file (letters of another case, other code
// points for the same characters), a path has no more rights than any of the spellings that a rule names.
package auth
