package fileserver

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"freshet/fileserver/auth"
)

// A LogFormat says how an AccessLog writes its lines.
type LogFormat string

const (
	// LogText is the Combined Log Format with the time taken, in milliseconds, at the end.
	LogText LogFormat = "text"
	// LogJSON is one JSON object a line.
	LogJSON LogFormat = "json"
)

const (
	accessLogFlushTime  = time.Second // after which a line is written out at the latest, while the server runs
	accessLogFlushBytes = 32 << 10    // that are gathered before they are written out
)

// An AccessLog writes one line per request. Lines are gathered and written together; [Server.Serve] sees to it that
// none waits for longer than a second, and that all are written when it returns. Safe for concurrent use; a nil
// *AccessLog writes nothing.
type AccessLog struct {
	format LogFormat

	mu     sync.Mutex
	w      io.Writer
	buf    []byte // guarded by mu, as all below
	second int64  // the time that stamp says
	stamp  []byte // formatted once a second, not once a line
}

// NewAccessLog returns an AccessLog that writes to w.
func NewAccessLog(w io.Writer, format LogFormat) *AccessLog { return &AccessLog{w: w, format: format} }

// Flush writes out what has been gathered. An error of the writer loses those lines; there is nowhere to say so.
func (l *AccessLog) Flush() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flush()
}

func (l *AccessLog) flush() {
	if len(l.buf) > 0 {
		_, _ = l.w.Write(l.buf)
		l.buf = l.buf[:0]
	}
}

// run flushes every second until ctx ends, and once more then.
func (l *AccessLog) run(ctx context.Context) {
	tick := time.NewTicker(accessLogFlushTime)
	defer tick.Stop()
	defer l.Flush()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.Flush()
		}
	}
}

// add notes a request that was answered at now.
func (l *AccessLog) add(r *http.Request, w *reply, now time.Time) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Unix() != l.second || l.stamp == nil {
		l.second = now.Unix()
		l.stamp = l.appendStamp(l.stamp[:0], now)
	}
	if l.format == LogJSON {
		l.appendJSON(r, w, now)
	} else {
		l.appendText(r, w, now)
	}
	if len(l.buf) >= accessLogFlushBytes {
		l.flush()
	}
}

func (l *AccessLog) appendStamp(b []byte, now time.Time) []byte {
	if l.format == LogJSON {
		return now.UTC().AppendFormat(b, "2006-01-02T15:04:05Z")
	}
	return now.AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
}

func (l *AccessLog) appendText(r *http.Request, w *reply, now time.Time) {
	b := append(l.buf, peer(r)...)
	b = append(b, " - "...)
	b = appendEscaped(b, orDash(string(w.asking.who)))
	b = append(b, " ["...)
	b = append(b, l.stamp...)
	b = append(b, `] "`...)
	b = appendEscaped(b, r.Method)
	b = append(b, ' ')
	b = appendEscaped(b, r.RequestURI)
	b = append(b, ' ')
	b = append(b, r.Proto...)
	b = append(b, `" `...)
	b = strconv.AppendInt(b, int64(w.status), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, w.bytes, 10)
	b = append(b, ` "`...)
	b = appendEscaped(b, orDash(first(r.Header["Referer"])))
	b = append(b, `" "`...)
	b = appendEscaped(b, orDash(first(r.Header["User-Agent"])))
	b = append(b, `" `...)
	b = appendMillis(b, now.Sub(w.start))
	if w.id != "" {
		b = append(b, ' ')
		b = appendEscaped(b, w.id)
	}
	l.buf = append(b, '\n')
}

func (l *AccessLog) appendJSON(r *http.Request, w *reply, now time.Time) {
	b := append(l.buf, `{"time":"`...)
	b = append(b, l.stamp...)
	b = append(b, `","remote":"`...)
	b = append(b, peer(r)...)
	if w.asking.who != auth.Anonymous {
		b = append(b, `","user":"`...)
		b = appendEscaped(b, string(w.asking.who))
	}
	b = append(b, `","method":"`...)
	b = appendEscaped(b, r.Method)
	b = append(b, `","uri":"`...)
	b = appendEscaped(b, r.RequestURI)
	b = append(b, `","proto":"`...)
	b = append(b, r.Proto...)
	b = append(b, `","status":`...)
	b = strconv.AppendInt(b, int64(w.status), 10)
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, w.bytes, 10)
	b = append(b, `,"ms":`...)
	b = appendMillis(b, now.Sub(w.start))
	b = append(b, `,"agent":"`...)
	b = appendEscaped(b, first(r.Header["User-Agent"]))
	if w.id != "" {
		b = append(b, `","id":"`...)
		b = appendEscaped(b, w.id)
	}
	l.buf = append(b, "\"}\n"...)
}

// peer returns the address of r's client without its port.
func peer(r *http.Request) string {
	for i := len(r.RemoteAddr) - 1; i >= 0; i-- {
		if r.RemoteAddr[i] == ':' {
			return r.RemoteAddr[:i]
		}
	}
	return r.RemoteAddr
}

func first(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[0]
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// appendMillis appends d in milliseconds with three decimals, as JSON and people read them.
func appendMillis(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, float64(d.Microseconds())/1000, 'f', 3, 64)
}

// appendEscaped appends s as the inside of a JSON string. Control characters, quotes and bytes that are not UTF-8
// come out escaped, so that no client can begin a line or a field of the log.
func appendEscaped(b []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	clean := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if r, n := utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError && !invisible(r) {
				i += n
				continue
			}
		}
		b = append(b, s[clean:i]...)
		b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		i++
		clean = i
	}
	return append(b, s[clean:]...)
}
