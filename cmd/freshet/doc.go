// Command freshet serves a directory of plain files over HTTP: every byte goes out under a strong entity tag that is never
// wrong, and every write is a compare-and-swap on that tag.
//
// What an operator may set stands in one table (settings.go), from which come the flags, the FRESHET_ environment, the keys
// of the --config file and the help. Without settings the program is read-only, on loopback, and keeps nothing on disk.
package main
