package fileserver_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"freshet/fileserver/tree"
	"freshet/hashing"
)

const rivals = 8 // clients that want the same thing

// fetch sends one request and returns its status, tag and body.
func (w *world) fetch(t *testing.T, method, path, body string, fields ...string) (status int, tag, got string) {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+w.addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0, "", ""
	}
	defer reply.Body.Close()
	b, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Error(err)
	}
	return reply.StatusCode, reply.Header.Get("ETag"), string(b)
}

// TestCounterLosesNothing has clients increment a number by GET and PUT If-Match: every increment that was acknowledged counts.
func TestCounterLosesNothing(t *testing.T) {
	w := newWorldOf(t, fastFolder(t), tree.Options{Write: true})
	w.fetch(t, "PUT", "/counter", "0")
	var acknowledged atomic.Int64
	var all sync.WaitGroup
	for range rivals {
		all.Go(func() {
			for range 25 {
				_, tag, body := w.fetch(t, "GET", "/counter", "")
				n, err := strconv.Atoi(body)
				if err != nil {
					t.Errorf("the counter is %q", body)
					return
				}
				switch status, _, _ := w.fetch(t, "PUT", "/counter", strconv.Itoa(n+1), "If-Match: "+tag); status {
				case http.StatusNoContent:
					acknowledged.Add(1)
				case http.StatusPreconditionFailed, http.StatusServiceUnavailable, http.StatusLocked:
				default:
					t.Errorf("PUT: %d", status)
				}
			}
		})
	}
	all.Wait()
	if got, want := w.onDisk(t, "counter"), strconv.FormatInt(acknowledged.Load(), 10); got != want || want == "0" {
		t.Errorf("the counter is %s after %s acknowledged increments", got, want)
	}
}

func TestOneCreatorWins(t *testing.T) {
	w := newWorldOf(t, fastFolder(t), tree.Options{Write: true})
	for round := range 20 {
		path := fmt.Sprintf("/new-%d", round)
		var won atomic.Pointer[string]
		var all sync.WaitGroup
		for c := range rivals {
			all.Go(func() {
				body := fmt.Sprintf("client %d of round %d", c, round)
				switch status, _, _ := w.fetch(t, "PUT", path, body, "If-None-Match: *"); status {
				case http.StatusCreated:
					if !won.CompareAndSwap(nil, &body) {
						t.Errorf("%s was created twice", path)
					}
				case http.StatusPreconditionFailed:
				default:
					t.Errorf("PUT %s: %d", path, status)
				}
			})
		}
		all.Wait()
		if won.Load() == nil || w.onDisk(t, path[1:]) != *won.Load() {
			t.Errorf("%s: acknowledged %v, on disk %q", path, won.Load(), w.onDisk(t, path[1:]))
		}
	}
}

// TestEditDuringUpload edits the target on disk after the server has found the condition true and asked for the body.
func TestEditDuringUpload(t *testing.T) {
	for _, edit := range []struct {
		name string
		make func(file string) error
	}{
		{"in_place", func(file string) error { return os.WriteFile(file, []byte("local edit"), 0o644) }},
		{"by_rename", func(file string) error {
			if err := os.WriteFile(file+"~", []byte("local edit"), 0o644); err != nil {
				return err
			}
			return os.Rename(file+"~", file)
		}},
	} {
		t.Run(edit.name, func(t *testing.T) {
			w := newWorld(t)
			w.file(t, "a.txt", "first")
			status, answer := w.slowPut(t, "/a.txt", "If-Match: "+hashing.Sum([]byte("first")).ETag(), func() {
				if err := edit.make(filepath.Join(w.root, "a.txt")); err != nil {
					t.Fatal(err)
				}
			})
			if status != http.StatusPreconditionFailed || !strings.Contains(answer, hashing.Sum([]byte("local edit")).String()) {
				t.Errorf("%d %s", status, answer)
			}
			if got := w.onDisk(t, "a.txt"); got != "local edit" {
				t.Errorf("the local edit became %q", got)
			}
		})
	}
}

// slowPut sends half of a body, calls meanwhile, and sends the rest.
func (w *world) slowPut(t *testing.T, path, field string, meanwhile func()) (status int, answer string) {
	t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\n%s\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n", path, w.addr, field)
	interim, err := http.ReadResponse(in, nil)
	if err != nil || interim.StatusCode != http.StatusContinue {
		t.Fatalf("before the body: %v, %v", interim, err)
	}
	fmt.Fprint(conn, "half")
	meanwhile()
	fmt.Fprint(conn, "half")
	reply, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply.StatusCode, string(b)
}

// TestCutUploads cuts uploads off at every byte: neither the target nor anything else changes.
func TestCutUploads(t *testing.T) {
	w := newWorld(t)
	w.file(t, "a.txt", "first")
	request := fmt.Sprintf("PUT /a.txt HTTP/1.1\r\nHost: %s\r\nContent-Length: 10\r\n\r\n0123456789", w.addr)
	chunked := fmt.Sprintf("PUT /a.txt HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n", w.addr)
	for _, text := range []string{request, chunked} {
		for n := range len(text) {
			conn, err := net.Dial("tcp", w.addr)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(conn, text[:n])
			conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
			if got := w.onDisk(t, "a.txt"); got != "first" {
				t.Fatalf("cut off after %d bytes of %q: the file is %q", n, text, got)
			}
		}
	}
	if left, _ := filepath.Glob(filepath.Join(w.root, ".freshet/stage/*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if entries, _ := os.ReadDir(w.root); len(entries) != 2 {
		t.Errorf("in the folder now: %v", entries)
	}
}
