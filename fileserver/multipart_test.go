package fileserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// content returns n bytes of a file, with what looks like boundaries in it.
func content(n int) []byte {
	return bytes.Repeat([]byte("0123456789\r\n--x\r\n--x--\r\nabcdefg"), n/30+1)[:n]
}

func written(t *testing.T, m *multipartRanges, file []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	err := m.writeTo(&b, func(off, n int64) error {
		_, err := b.Write(file[off : off+n])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestMultipartBytes(t *testing.T) {
	m := multipartRanges{ranges: []byteRange{{0, 2}, {8, 1}}, size: 10, contentType: "text/plain", boundary: "THIS"}
	want := "--THIS\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01" +
		"\r\n--THIS\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-8/10\r\n\r\n8" +
		"\r\n--THIS--\r\n"
	if got := string(written(t, &m, []byte("0123456789"))); got != want {
		t.Errorf("the body is\n%q, want\n%q", got, want)
	}
	if got, want := m.mediaType(), "multipart/byteranges; boundary=THIS"; got != want {
		t.Errorf("the type is %s, want %s", got, want)
	}
}

// TestMultipartIsReadBack reads what was written with the standard library.
func TestMultipartIsReadBack(t *testing.T) {
	file := content(5000)
	rapid.Check(t, func(rt *rapid.T) {
		specs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			first := rapid.IntRange(0, len(file)-1).Draw(t, "first")
			return fmt.Sprintf("%d-%d", first, first+rapid.IntRange(0, 500).Draw(t, "more"))
		}), 2, 8).Draw(rt, "ranges")
		ranges, verdict := parseRanges([]string{"bytes=" + strings.Join(specs, ",")}, int64(len(file)))
		if verdict != rangesPartial {
			rt.Fatalf("%v: %v", specs, verdict)
		}
		m := multipartRanges{ranges, int64(len(file)), "text/html; charset=utf-8", "FV3PKMWJMGW7CZ3KOKYFNB7BIE"}
		body := written(t, &m, file)
		if int64(len(body)) != m.length() {
			rt.Fatalf("%d bytes were written, length says %d", len(body), m.length())
		}
		_, params, err := mime.ParseMediaType(m.mediaType())
		if err != nil {
			rt.Fatal(err)
		}
		parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
		for _, r := range ranges {
			part, err := parts.NextRawPart()
			if err != nil {
				rt.Fatal(err)
			}
			got, err := io.ReadAll(part)
			if err != nil || !bytes.Equal(got, file[r.start:r.end()]) {
				rt.Fatalf("part %v holds %d bytes, or other ones, %v", r, len(got), err)
			}
			wantRange := fmt.Sprintf("bytes %d-%d/%d", r.start, r.end()-1, len(file))
			if got := part.Header.Get("Content-Range"); got != wantRange || len(part.Header) != 2 {
				rt.Fatalf("part %v has the header %v", r, part.Header)
			}
			if got := part.Header.Get("Content-Type"); got != m.contentType {
				rt.Fatalf("part %v is of type %s", r, got)
			}
		}
		if _, err := parts.NextRawPart(); err != io.EOF {
			rt.Fatalf("after the last part: %v", err)
		}
	})
}

func TestMultipartLengthOfLargeFiles(t *testing.T) {
	const most = 1<<63 - 1
	m := multipartRanges{ranges: []byteRange{{0, 1}, {most - 1 - 1<<40, 1 << 40}}, size: most, contentType: "a/b", boundary: "x"}
	var framing bytes.Buffer
	var sent int64
	if err := m.writeTo(&framing, func(_, n int64) error { sent += n; return nil }); err != nil {
		t.Fatal(err)
	}
	if got := int64(framing.Len()) + sent; got != m.length() || sent != 1+1<<40 {
		t.Errorf("%d bytes were written, length says %d", got, m.length())
	}
}

// A part that cannot be sent ends the body: nothing goes out after it.
func TestMultipartStopsWhenAPartFails(t *testing.T) {
	torn := errors.New("torn")
	m := multipartRanges{ranges: []byteRange{{0, 2}, {100, 2}, {200, 2}}, size: 300, contentType: "a/b", boundary: "x"}
	for failing := range m.ranges {
		var b bytes.Buffer
		calls := 0
		err := m.writeTo(&b, func(off, n int64) error {
			if off != m.ranges[calls].start || n != m.ranges[calls].length {
				t.Errorf("part %d is asked for as %d bytes from %d", calls, n, off)
			}
			if calls++; calls > failing {
				return torn
			}
			return nil
		})
		if !errors.Is(err, torn) || calls != failing+1 || strings.Count(b.String(), "--x\r\n") != failing+1 {
			t.Errorf("part %d fails: %v after %d parts, %q", failing, err, calls, b.String())
		}
	}
}

// A client that is gone ends the body, wherever it was.
func TestMultipartStopsWhenTheClientIsGone(t *testing.T) {
	m := multipartRanges{ranges: []byteRange{{0, 0}, {100, 0}}, size: 300, contentType: "a/b", boundary: "x"}
	whole := m.length()
	for limit := range whole {
		w := &shortWriter{left: limit}
		if err := m.writeTo(w, func(_, _ int64) error { return nil }); !errors.Is(err, io.ErrShortWrite) {
			t.Fatalf("after %d of %d bytes: %v", limit, whole, err)
		}
		if w.after > 0 {
			t.Fatalf("after %d of %d bytes there were %d more writes", limit, whole, w.after)
		}
	}
	if err := m.writeTo(iotest.TruncateWriter(io.Discard, whole), func(_, _ int64) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

// A shortWriter takes so many bytes and then fails.
type shortWriter struct {
	left   int64
	failed bool
	after  int // writes after it failed
}

func (w *shortWriter) Write(p []byte) (int, error) {
	if w.failed {
		w.after++
	}
	if int64(len(p)) > w.left {
		w.failed = true
		return int(w.left), io.ErrShortWrite
	}
	w.left -= int64(len(p))
	return len(p), nil
}
