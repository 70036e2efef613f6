package fileserver

import (
	"fmt"
	"io"
)

// A multipartRanges is the body of a 206 with several ranges: multipart/byteranges (RFC 9110 section 14.6).
type multipartRanges struct {
	ranges      []byteRange
	size        int64  // of the whole file, in bytes
	contentType string // of the file
	boundary    string
}

// mediaType is the Content-Type of the body.
func (m *multipartRanges) mediaType() string { return "multipart/byteranges; boundary=" + m.boundary }

// partHeader is what stands before the bytes of one range.
func (m *multipartRanges) partHeader(i int) string {
	r := m.ranges[i]
	lineBreak := "\r\n"
	if i == 0 {
		lineBreak = ""
	}
	return fmt.Sprintf("%s--%s\r\nContent-Type: %s\r\nContent-Range: bytes %d-%d/%d\r\n\r\n",
		lineBreak, m.boundary, m.contentType, r.start, r.end()-1, m.size)
}

func (m *multipartRanges) trailer() string { return "\r\n--" + m.boundary + "--\r\n" }

// length is the exact number of bytes that writeTo writes.
func (m *multipartRanges) length() int64 {
	n := int64(len(m.trailer()))
	for i, r := range m.ranges {
		n += int64(len(m.partHeader(i))) + r.length
	}
	return n
}

// writeTo writes the body; send writes the bytes of one range to the same w.
func (m *multipartRanges) writeTo(w io.Writer, send func(off, n int64) error) error {
	for i, r := range m.ranges {
		if _, err := io.WriteString(w, m.partHeader(i)); err != nil {
			return err
		}
		if err := send(r.start, r.length); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, m.trailer())
	return err
}
