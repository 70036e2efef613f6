package precond_test

import (
	"fmt"
	"strings"
	"testing"

	"freshet/fileserver/precond"
	"freshet/hashing"
)

const unknown = precond.Unknown

const mtimes, otherMtimes = 0x1111, 0x2222

// The tags of listings of a folder whose fingerprint is that of a or b.
var (
	pageOfA      = hashing.FolderETag(digestA, mtimes, 1, hashing.FormHTML)
	jsonOfA      = hashing.FolderETag(digestA, mtimes, 2, hashing.FormJSON)
	touchedA     = hashing.FolderETag(digestA, otherMtimes, 1, hashing.FormHTML)
	pageOfB      = hashing.FolderETag(hashing.Sum([]byte("b")), mtimes, 1, hashing.FormHTML)
	codedPageOfA = strings.TrimSuffix(pageOfA, `"`) + `-gzip.1"`
)

func TestVerdictOnChangesOfAFolder(t *testing.T) {
	folderA := precond.State{Exists: true, Folder: true, ETag: tagA, Digest: digestA}
	moving := precond.State{Exists: true, Folder: true} // its fingerprint is not known
	for _, c := range []struct {
		name           string
		field          string
		known, unknown precond.Verdict
	}{
		{"if_match_bare", "If-Match: " + tagA, proceed, unknown},
		{"if_match_page", "If-Match: " + pageOfA, proceed, unknown},
		{"if_match_json", "If-Match: " + jsonOfA, proceed, unknown},
		{"if_match_page_of_other_times", "If-Match: " + touchedA, proceed, unknown},
		{"if_match_coded_page", "If-Match: " + codedPageOfA, proceed, unknown},
		{"if_match_list_with_current", "If-Match: " + pageOfB + ", " + jsonOfA, proceed, unknown},
		{"if_match_other_bare", "If-Match: " + tagB, failed, unknown},
		{"if_match_other_page", "If-Match: " + pageOfB, failed, unknown},
		{"if_match_weak", "If-Match: W/" + tagA, failed, unknown},
		{"if_match_weak_page", "If-Match: W/" + pageOfA, failed, unknown},
		{"if_match_tag_of_a_coded_file", "If-Match: " + codedA, failed, unknown},
		{"if_match_cut_page", "If-Match: " + strings.Replace(pageOfA, "-h", "", 1), failed, unknown},
		{"if_match_malformed", "If-Match: x, " + tagA, failed, failed},
		{"if_match_any", "If-Match: *", proceed, proceed},
		{"if_none_match_bare", "If-None-Match: " + tagA, failed, unknown},
		{"if_none_match_page", "If-None-Match: " + pageOfA, failed, unknown},
		{"if_none_match_weak", "If-None-Match: W/" + tagA, failed, unknown},
		{"if_none_match_other", "If-None-Match: " + pageOfB, proceed, unknown},
		{"if_none_match_any", "If-None-Match: *", failed, failed},
		{"if_none_match_unquoted", "If-None-Match: x", proceed, proceed},
		{"no_condition", "If-Range: x", proceed, proceed},
	} {
		t.Run(c.name, func(t *testing.T) {
			condition := precond.Parse(header(c.field))
			if got := condition.Write(folderA); got != c.known {
				t.Errorf("Write = %s, want %s", verdictNames[got], verdictNames[c.known])
			}
			if got := condition.Write(moving); got != c.unknown {
				t.Errorf("Write without a fingerprint = %s, want %s", verdictNames[got], verdictNames[c.unknown])
			}
		})
	}
}

// A file whose digest is a folder's fingerprint still has none of the folder's tags but the one that both would have.
func TestTagsOfFoldersDoNotNameFiles(t *testing.T) {
	for _, tag := range []string{pageOfA, jsonOfA, codedPageOfA} {
		if got := precond.Parse(header("If-Match: " + tag)).Write(file); got != failed {
			t.Errorf("If-Match %s of a file: %s", tag, verdictNames[got])
		}
	}
}

func TestVerdictOnReadingAFolder(t *testing.T) {
	whole := precond.State{Exists: true, Folder: true, ETag: pageOfA, Digest: digestA, Mtimes: mtimes}
	window := whole
	window.Window = true
	moving := precond.State{Exists: true, Folder: true, Window: true}
	for _, c := range []struct {
		name                   string
		field                  string
		whole, window, unknown precond.Verdict
	}{
		{"if_match_own", "If-Match: " + pageOfA, proceed, proceed, failed},
		{"if_match_of_another_view", "If-Match: " + jsonOfA, failed, proceed, failed},
		{"if_match_of_other_times", "If-Match: " + touchedA, failed, failed, failed},
		{"if_match_of_another_state", "If-Match: " + pageOfB, failed, failed, failed},
		{"if_match_bare", "If-Match: " + tagA, failed, failed, failed},
		{"if_match_weak_of_another_view", "If-Match: W/" + jsonOfA, failed, failed, failed},
		{"if_none_match_own", "If-None-Match: " + pageOfA, notModified, notModified, proceed},
		{"if_none_match_weak_own", "If-None-Match: W/" + pageOfA, notModified, notModified, proceed},
		{"if_none_match_of_another_view", "If-None-Match: " + jsonOfA, proceed, proceed, proceed},
		{"if_none_match_bare", "If-None-Match: " + tagA, proceed, proceed, proceed},
	} {
		t.Run(c.name, func(t *testing.T) {
			condition := precond.Parse(header(c.field))
			got := fmt.Sprint(verdictNames[condition.Read(whole)], " ", verdictNames[condition.Read(window)], " ",
				verdictNames[condition.Read(moving)])
			want := fmt.Sprint(verdictNames[c.whole], " ", verdictNames[c.window], " ", verdictNames[c.unknown])
			if got != want {
				t.Errorf("whole, window and without a fingerprint: %s, want %s", got, want)
			}
		})
	}
}
