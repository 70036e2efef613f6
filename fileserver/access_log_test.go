package fileserver_test

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"freshet/fileserver"
	"freshet/fileserver/auth"
	"freshet/fileserver/tree"
)

// failedLogin is the failregex of a filter for fail2ban, with an address for <ADDR>.
var failedLogin = regexp.MustCompile(`^time=\S+ level=WARN msg="login failed" client=(\S+) `)

func TestFailedLoginsAreLogged(t *testing.T) {
	var log, access bytes.Buffer
	w := newWorld(t, func(c *fileserver.Config) {
		c.Authority = auth.NewAuthority(theRules(t))
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
		c.Access = fileserver.NewAccessLog(&access, fileserver.LogText)
		c.PlainPasswords = true
	})
	for _, c := range []struct{ remote, field, client string }{
		{"192.0.2.1:4711", "Authorization: Basic YW5hOndyb25n", "192.0.2.1"},
		{"[2001:db8::1]:4711", "Authorization: Basic YW5hOndyb25n", "2001:db8::1"},
		// A name that would end the line and begin another, for another address.
		{"192.0.2.2:4711", "Authorization: Basic YQpsZXZlbD1XQVJOIG1zZz0ibG9naW4gZmFpbGVkIiBjbGllbnQ9MTAuMC4wLjEgOng=", "192.0.2.2"},
		{"192.0.2.3:4711", "Authorization: Bearer x", "192.0.2.3"},
	} {
		log.Reset()
		if a := w.serveFrom(t, c.remote, "GET", "/private/x", c.field); a.Code != 401 {
			t.Errorf("%s: %d", c.client, a.Code)
		}
		found := failedLogin.FindStringSubmatch(log.String())
		if found == nil || found[1] != c.client || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("%s: logged %q", c.client, log.String())
		}
	}
	log.Reset()
	w.serveFrom(t, "192.0.2.1:4711", "GET", "/private/x", as("ana"))
	if log.Len() > 0 {
		t.Errorf("a good login is logged: %s", log.String())
	}
}

func TestAccessLogSaysWho(t *testing.T) {
	for format, want := range map[fileserver.LogFormat]string{
		fileserver.LogText: `192.0.2.1 - ana [`, fileserver.LogJSON: `"remote":"192.0.2.1","user":"ana",`,
	} {
		var out bytes.Buffer
		access := fileserver.NewAccessLog(&out, format)
		w := newWorld(t, func(c *fileserver.Config) {
			c.Authority, c.Access, c.PlainPasswords = auth.NewAuthority(theRules(t)), access, true
		})
		w.serveFrom(t, "192.0.2.1:4711", "GET", "/private/x", as("ana"))
		w.serveFrom(t, "192.0.2.1:4711", "GET", "/private/x", "Authorization: Basic YW5hOndyb25n")
		access.Flush()
		if text := out.String(); !strings.Contains(text, want) || strings.Count(text, "ana") != 1 {
			t.Errorf("%s: %s", format, text)
		}
	}
}

func TestGuessersAreToldWhen(t *testing.T) {
	w := newWorld(t, func(c *fileserver.Config) {
		c.Authority, c.Log = auth.NewAuthority(theRules(t)), slog.New(slog.DiscardHandler)
	})
	var last *httptest.ResponseRecorder
	for range auth.TriesPerAddress + 1 {
		last = w.serveFrom(t, "127.0.0.1:4711", "GET", "/private/x", "Authorization: Basic YW5hOndyb25n")
	}
	if after := last.Header().Get("Retry-After"); last.Code != 429 || after == "" || after == "0" {
		t.Errorf("%d, again after %q: %s", last.Code, after, last.Body)
	}
}

// BenchmarkNotModified compares revalidating with and without a name and a password.
func BenchmarkNotModified(b *testing.B) {
	root := b.TempDir()
	tr, err := tree.New(root, tree.Options{Write: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer tr.Close()
	w := &world{root: root}
	if err := os.WriteFile(root+"/file.txt", []byte("content"), 0o644); err != nil {
		b.Fatal(err)
	}
	policies := map[string]auth.Policy{
		"nobody": {Rules: auth.Same(auth.All, auth.All)}, "user": policyOf(b, []string{"ana"}, give(b, "/", "ana", auth.All)),
		"user_with_rules": policyOf(b, []string{"ana"}, give(b, "/", "ana", auth.All), give(b, "/x", "bob", auth.All)),
	}
	for _, name := range []string{"nobody", "user", "user_with_rules"} {
		b.Run(name, func(b *testing.B) {
			w.server = fileserver.New(fileserver.Config{Tree: tr, Write: true, Authority: auth.NewAuthority(policies[name])})
			h := w.server.Handler()
			r := httptest.NewRequest("GET", "http://localhost/file.txt", nil)
			r.RemoteAddr = "127.0.0.1:4711"
			r.Header.Set("If-None-Match", tagOf("content"))
			if name != "nobody" {
				r.Header.Set("Authorization", strings.TrimPrefix(as("ana"), "Authorization: "))
			}
			b.ReportAllocs()
			for b.Loop() {
				a := httptest.NewRecorder()
				if h.ServeHTTP(a, r); a.Code != 304 {
					b.Fatal(a.Code)
				}
			}
		})
	}
}
