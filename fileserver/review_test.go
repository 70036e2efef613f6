package fileserver_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A tag is that of a file. A link that takes the file's name while the request waits is not what the client has seen.
func TestLinkInPlaceOfAFileWithATag(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, method, field string }{
		{"delete", "DELETE", "X-None: 0"},
		{"move", "MOVE", "Destination: /elsewhere"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.file(t, "f", "seen")
			w.file(t, "other", "not seen")
			_, tag, _ := w.fetch(t, "GET", "/f", "")
			// While a program has the file open for writing, the change waits.
			writer, err := os.OpenFile(filepath.Join(w.root, "f"), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			answered := make(chan int, 1)
			go func() {
				status, _, _ := w.fetch(t, tt.method, "/f", "", "If-Match: "+tag, tt.field)
				answered <- status
			}()
			time.Sleep(200 * time.Millisecond)
			err = errors.Join(os.Symlink("other", filepath.Join(w.root, "l")),
				os.Rename(filepath.Join(w.root, "l"), filepath.Join(w.root, "f")), writer.Close())
			if err != nil {
				t.Fatal(err)
			}
			if status := <-answered; status != 412 {
				t.Errorf("answered %d", status)
			}
			if to, err := os.Readlink(filepath.Join(w.root, "f")); to != "other" {
				t.Errorf("the link leads to %q: %v", to, err)
			}
		})
	}
}

// Files of a form are new files unless a field names the version that they replace.
func TestFormConditionThatNamesNothing(t *testing.T) {
	for _, tt := range []struct{ name, field, value string }{
		{"if_none_match_empty", "if-none-match", ""},
		{"if_none_match_no_tag", "if-none-match", "none"},
		{"if_none_match_any", "if-none-match", "*"},
		{"if_match_empty", "if-match", ""},
		{"if_match_no_tag", "if-match", "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.file(t, "f", "old")
			form := "--b\r\nContent-Disposition: form-data; name=\"" + tt.field + "\"\r\n\r\n" + tt.value + "\r\n" +
				"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nnew\r\n--b--\r\n"
			a := w.ask(t, "POST", "/", form, "Content-Type: multipart/form-data; boundary=b")
			if a.status != 409 || w.onDisk(t, "f") != "old" {
				t.Errorf("answered %d, the file is %q", a.status, w.onDisk(t, "f"))
			}
		})
	}
}
