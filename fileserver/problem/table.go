package problem

import (
	"context"
	"io"
	"net/http"
	"os"
	"time"

	"freshet/fileserver/tree"
)

// How long a client is told to wait before it tries again.
const (
	retrySoon  = 2 * time.Second  // for what passes by itself at once
	retryLater = 10 * time.Second // for what needs others to finish
)

// What a request can be refused for by its own words.
var (
	Header = &Kind{name: "header", status: http.StatusBadRequest,
		title: "A header field cannot be understood",
		next:  "Correct the field and send the request again."}
	ContentRange = &Kind{name: "content-range", status: http.StatusBadRequest,
		title: "Partial PUT is not supported",
		next:  "Send the whole file without Content-Range (RFC 9110 section 14.5)."}
	Coding = &Kind{name: "content-coding", status: http.StatusUnsupportedMediaType,
		title: "Coded bodies are not stored",
		next:  "Send the bytes as they are, without Content-Encoding."}
	MediaType = &Kind{name: "media-type", status: http.StatusUnsupportedMediaType,
		title: "This body is not understood here",
		next:  "Send the kind of body that the method takes."}
	Length = &Kind{name: "length", status: http.StatusBadRequest,
		title: "The body is not as long as announced",
		next:  "Send the whole body, or announce its true length."}
	Digest = &Kind{name: "digest-mismatch", status: http.StatusUnprocessableEntity,
		title: "The bytes do not match their digest",
		next:  "Send the file again; nothing was changed."}
	Query = &Kind{name: "query", status: http.StatusBadRequest,
		title: "The query cannot be understood",
		next:  "Leave it out to list the folder by name."}
	Form = &Kind{name: "form", status: http.StatusBadRequest,
		title: "The form cannot be understood",
		next:  "Send multipart/form-data, its fields before its files."}
	Destination = &Kind{name: "destination", status: http.StatusBadRequest,
		title: "The Destination cannot be used",
		next:  "Name a path on this server."}
	DestinationElsewhere = &Kind{name: "destination-elsewhere", status: http.StatusBadGateway,
		title: "The Destination is on another server", next: "Name a path on this server."}
	DestinationForbidden = &Kind{name: "destination-reserved", status: http.StatusForbidden,
		title: "The Destination's name is reserved", next: "Choose another name."}
	FolderPath = &Kind{name: "folder-path", status: http.StatusBadRequest,
		title: "The path names a folder",
		next:  "Leave out the slash at the end to name a file."}
	SlashAfterFile = &Kind{name: "slash-after-file", status: http.StatusConflict,
		title: "The Destination names a folder, the source is a file",
		next:  "Give the Destination the file's whole new path, without a slash at the end."}
	Method = &Kind{name: "method", status: http.StatusMethodNotAllowed,
		title: "The method cannot be used here",
		next:  "Use one of the methods in the Allow field."}
	MethodUnknown = &Kind{name: "method-unknown", status: http.StatusNotImplemented,
		title: "The method is not known",
		next:  "Use one of the methods in the Allow field."}
	Unsupported = &Kind{name: "unsupported", status: http.StatusNotImplemented,
		title: "This way of uploading is not supported",
		next:  "Send the whole file in one PUT."}
	Asked = &Kind{name: "body", status: http.StatusBadRequest,
		title: "The question cannot be understood",
		next:  "Send one JSON object with have, and at most have64, depth and limit beside it."}
	AskedTooMuch = &Kind{name: "body-too-large", status: http.StatusRequestEntityTooLarge,
		title: "The question is too long",
		next:  "Ask about fewer folders at once; the limits are in /.well-known/freshet."}
	Range = &Kind{name: "range", status: http.StatusRequestedRangeNotSatisfiable,
		title: "No such bytes",
		next:  "Ask for a range within the size that Content-Range gives."}
)

// What a request can be refused for by what is there, or by who asks.
var (
	Precondition = &Kind{name: "precondition", status: http.StatusPreconditionFailed,
		title: "The precondition failed",
		next:  "Fetch the current version, bring your change up to it, and send it again with If-Match and its tag."}
	PreconditionRequired = &Kind{name: "precondition-required", status: http.StatusPreconditionRequired,
		title: "A precondition is required",
		next:  "Send If-Match with the tag of the version that you mean to change."}
	Exists = &Kind{name: "exists", status: http.StatusConflict,
		title: "The name is taken",
		next:  "Choose another name, or replace the version that is there by its tag."}
	NotFolder = &Kind{name: "not-folder", status: http.StatusConflict,
		title: "This is not a folder",
		next:  "Ask about the folder that it is in."}
	Unsettled = &Kind{name: "fingerprint-unknown", status: http.StatusServiceUnavailable,
		title: "The folder's fingerprint is not known now",
		next:  "Try again; what is being written in the folder must come to rest first.", retryAfter: retrySoon}
	SignIn = &Kind{name: "sign-in", status: http.StatusUnauthorized,
		title:  "Sign in first",
		detail: "This needs the name and password of a user who may do it.",
		next:   "Send the name and password of a user of this server."}
	Credentials = &Kind{name: "credentials", status: http.StatusUnauthorized,
		title:  "The name or the password is wrong",
		detail: "There is no such user, or the password is another one.",
		next:   "Send the name and password of a user of this server."}
	Denied = &Kind{name: "denied", status: http.StatusForbidden,
		title:  "You may not do this",
		detail: "The rules of this server do not allow it, whether or not something is here.",
		next:   "Ask whoever runs the server."}
	Tries = &Kind{name: "tries", status: http.StatusTooManyRequests,
		title:  "Too many failed logins",
		detail: "This address, or this name, has had the wrong password too often; it was not looked at this time.",
		next:   "Wait for as long as Retry-After says, then try again.", retryAfter: retrySoon}
	Unencrypted = &Kind{name: "unencrypted", status: http.StatusForbidden,
		title:  "Passwords are not taken on this connection",
		detail: "The connection is not encrypted, so that anybody on the way could read a password.",
		next:   "Use https, or have whoever runs the server set plain-passwords, if the network can be trusted."}
	CrossOrigin = &Kind{name: "cross-origin", status: http.StatusForbidden,
		title: "Refused for pages from elsewhere",
		next:  "Send the request from a page of this server, or from a program that is not a browser."}
	Host = &Kind{name: "host", status: http.StatusForbidden,
		title: "This host name is not allowed",
		next:  "Use the address, or start the server with this name in its host setting (--host NAME)."}
)

// What the tree and the connection report.
var (
	NotFound = &Kind{name: "not-found", status: http.StatusNotFound,
		title:  "Nothing is here",
		detail: "There is no file or folder at this path.", next: "Look in the folder above."}
	Path = &Kind{name: "path", status: http.StatusBadRequest,
		title:  "The path cannot be used",
		detail: "The path has dot segments, encoded slashes, backslashes or NUL in it, or a name that is too long.",
		next:   "Send a plain path."}
	NoParent = &Kind{name: "no-parent", status: http.StatusConflict,
		title:  "The folder does not exist",
		detail: "The folder that would hold this path does not exist.", next: "Make the folder first, with MKCOL."}
	IsFolder = &Kind{name: "is-folder", status: http.StatusMethodNotAllowed,
		title:  "A folder is here",
		detail: "The path names a folder; the method is for files.", next: "Name a file."}
	AlreadyThere = &Kind{name: "already-there", status: http.StatusMethodNotAllowed,
		title:  "Something is here already",
		detail: "The path is taken.", next: "Choose another name."}
	Outside = &Kind{name: "outside", status: http.StatusForbidden,
		title:  "The link is not followed",
		detail: "The path leads through a link that leaves the served folder, or links are not followed here.",
		next:   "Use the file's own path."}
	NoVersion = &Kind{name: "no-version", status: http.StatusNotFound,
		title:  "No such version is kept",
		detail: "There never was such a version of this path, or it is not kept any more.",
		next:   "Ask for the versions of the path, or for the trash, to see what there is."}
	Permission = &Kind{name: "permission", status: http.StatusForbidden,
		title:  "The server may not do this",
		detail: "The server's user has no permission on this file or folder.",
		next:   "Change the permissions on the server."}
	Same = &Kind{name: "same", status: http.StatusForbidden,
		title:  "Source and destination are one",
		detail: "The destination is the source, or one of them is inside the other.", next: "Choose another destination."}
	ReadOnly = &Kind{name: "read-only", status: http.StatusMethodNotAllowed,
		title:  "This server only reads",
		detail: "Nothing can be changed through this server.", next: "Start the server with --write to allow changes."}
	ReadOnlyDisk = &Kind{name: "read-only-disk", status: http.StatusForbidden,
		title:  "The disk cannot be written to",
		detail: "The filesystem is mounted read-only on the server; nothing was changed.",
		next:   "Mount it for writing on the server, then try again."}
	CrossDevice = &Kind{name: "cross-device", status: http.StatusBadGateway,
		title:  "The destination is on another filesystem",
		detail: "A folder cannot be moved to another filesystem in one step.", next: "Copy it, then delete the source."}
	InUse = &Kind{name: "in-use", status: http.StatusLocked,
		title:  "A local program is writing this file",
		detail: "The file is open for writing on the server.", next: "Try again when the program has finished.",
		retryAfter: retrySoon}
	Unstable = &Kind{name: "unstable", status: http.StatusServiceUnavailable,
		title:  "The file keeps changing",
		detail: "The file did not stay still long enough.", next: "Try again.", retryAfter: retrySoon}
	Busy = &Kind{name: "busy", status: http.StatusServiceUnavailable,
		title:  "The server is busy",
		detail: "Too many uploads or open files at once.", next: "Try again later.", retryAfter: retryLater}
	RootGone = &Kind{name: "root-gone", status: http.StatusServiceUnavailable,
		title:  "The served folder is gone",
		detail: "The folder was removed or replaced on the server.", next: "Start the server again when it is back.",
		retryAfter: retryLater}
	IndexWarming = &Kind{name: "index-warming", status: http.StatusServiceUnavailable,
		title:  "The tree is still being looked at",
		detail: "The server has not yet seen all that is there since it started, so it says nothing about whole folders.",
		next:   "Try again; this does not mean that anything is empty or gone.", retryAfter: retrySoon}
	CursorGone = &Kind{name: "cursor-gone", status: http.StatusGone,
		title:  "The feed cannot be followed from there",
		detail: "What happened behind this cursor cannot be told any more.",
		next:   "Keep the cursor given here, compare the tree once, then follow the feed from that cursor."}
	NoSpace = &Kind{name: "no-space", status: http.StatusInsufficientStorage,
		title:  "The disk is full",
		detail: "There is no space for this on the server; nothing was changed.", next: "Free some space, then try again."}
	TooLarge = &Kind{name: "too-large", status: http.StatusRequestEntityTooLarge,
		title:  "Larger than allowed",
		detail: "The body is larger than this server takes; nothing was changed.", next: "Send less."}
	Unsynced = &Kind{name: "unsynced", status: http.StatusInternalServerError,
		title:  "The change may not last",
		detail: "The change was made but the disk did not confirm it.",
		next:   "Look at what is there before you send it again."}
	Slow = &Kind{name: "slow", status: http.StatusRequestTimeout,
		title:  "The body took too long",
		detail: "The body stopped arriving; nothing was changed.", next: "Send the request again."}
	Cut = &Kind{name: "cut", status: http.StatusBadRequest,
		title:  "The body was cut off",
		detail: "The body ended before its announced length; nothing was changed.", next: "Send the request again."}
	Gone = &Kind{name: "cancelled", status: statusClientClosed,
		title:  "The client went away",
		detail: "The connection ended before the answer."}
	Overtime = &Kind{name: "overtime", status: http.StatusServiceUnavailable,
		title:  "This took too long",
		detail: "The server could not finish in time.", next: "Try again.", retryAfter: retryLater}
	Internal = &Kind{name: "internal", status: http.StatusInternalServerError,
		title:  "Internal error",
		detail: "Something went wrong on the server; its log says what.",
		next:   "Give the request id to whoever runs the server."}
)

// statusClientClosed is what logs call a request whose client left. No client ever sees it.
const statusClientClosed = 499

// table says which kind an error is of; the first row that matches counts.
var table = []struct {
	err  error
	kind *Kind
}{
	{tree.ErrRootGone, RootGone}, // and with it all that is looked for
	{tree.ErrName, Path},
	{tree.ErrReserved, NotFound},
	{tree.ErrNoParent, NoParent},
	{tree.ErrIsFolder, IsFolder},
	{tree.ErrNotFolder, NotFound},
	{tree.ErrSpecial, NotFound},
	{tree.ErrOutside, Outside},
	{tree.ErrSame, Same},
	{tree.ErrReadOnly, ReadOnlyDisk}, // a server that only reads does not ask the tree
	{tree.ErrCrossDevice, CrossDevice},
	{tree.ErrNoVersion, NoVersion},
	{tree.ErrInUse, InUse},
	{tree.ErrUnstable, Unstable},
	{tree.ErrTorn, Unstable},
	{tree.ErrTooManyFiles, Busy},
	{tree.ErrBusy, Busy},
	{tree.ErrNoSpace, NoSpace},
	{tree.ErrTooLarge, TooLarge},
	{tree.ErrUnsynced, Unsynced},
	{os.ErrDeadlineExceeded, Slow},
	{io.ErrUnexpectedEOF, Cut},
	{context.Canceled, Gone},
	{context.DeadlineExceeded, Overtime},
	{tree.ErrNotExist, NotFound},
	{tree.ErrExist, AlreadyThere},
	{tree.ErrPermission, Permission},
}
