package fileserver_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"freshet/fileserver"
	"freshet/fileserver/auth"
	"freshet/fileserver/tree"
)

// secretOf is the password of every user in these tests: their name, twice.
func secretOf(name string) string { return name + name }

func as(name string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+secretOf(name)))
}

func policyOf(t testing.TB, names []string, rules ...auth.Rule) auth.Policy {
	t.Helper()
	var lines strings.Builder
	for _, name := range names {
		hash, err := bcrypt.GenerateFromPassword([]byte(secretOf(name)), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "%s:%s\n", name, hash)
	}
	users, err := auth.ReadUsers("users", strings.NewReader(lines.String()))
	if err != nil {
		t.Fatal(err)
	}
	known, err := auth.NewRules(rules, auth.All)
	if err != nil {
		t.Fatal(err)
	}
	return auth.Policy{Users: users, Rules: known}
}

func give(t testing.TB, at, who string, can auth.Rights) auth.Rule {
	t.Helper()
	p, _, err := tree.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	return auth.Rule{Path: p, Who: []string{who}, Can: can}
}

// theRules are those of most tests here:
//
//	/           everybody reads
//	/private    ana does everything, nobody else anything
//	/up         everybody makes new files and sees nothing; ana reads too
//	/list       everybody sees names, but does not read
//	/blind      bob replaces what he may not read
//	/work       bob does everything, but /work/kept is only for reading
func theRules(t testing.TB) auth.Policy {
	return policyOf(t, []string{"ana", "bob"},
		give(t, "/", auth.WhoAnonymous, auth.Reading),
		give(t, "/private", "ana", auth.All),
		give(t, "/up", auth.WhoAnonymous, auth.Create), give(t, "/up", "ana", auth.Reading),
		give(t, "/list", auth.WhoAnonymous, auth.List),
		give(t, "/blind", "bob", auth.Create|auth.Replace),
		give(t, "/work", "bob", auth.All), give(t, "/work/kept", "bob", auth.Reading),
	)
}

func newRuledWorld(t *testing.T, p auth.Policy) (*world, *auth.Authority) {
	t.Helper()
	authority := auth.NewAuthority(p)
	w := newWorld(t, func(c *fileserver.Config) { c.Authority = authority })
	for _, name := range []string{
		"open.txt", "private/secret.txt", "private/deep/secret.txt", "up/there.txt", "list/read-me-not.txt", "list/sub/a.txt",
		"blind/there.txt", "work/mine.txt", "work/folder/a.txt", "work/kept/a.txt",
	} {
		w.file(t, name, "content of "+name)
	}
	return w, authority
}

func TestWhoMayDoWhat(t *testing.T) {
	const tag = `If-Match: "00000000000000000000000000000000"`
	for name, c := range map[string]struct {
		method, path string
		fields       []string
		nobody       int // the status for somebody who does not sign in
		ana, bob     int
	}{
		"read":                      {"GET", "/open.txt", nil, 200, 200, 200},
		"read_private":              {"GET", "/private/secret.txt", nil, 401, 200, 403},
		"head_private":              {"HEAD", "/private/secret.txt", nil, 401, 200, 403},
		"private_otherwise":         {"GET", "//%70rivate//secret.txt", nil, 401, 200, 403},
		"private_in_capitals":       {"GET", "/Private/secret.txt", nil, 401, 404, 403},
		"private_with_a_dot":        {"GET", "/private./secret.txt", nil, 401, 404, 403},
		"sibling":                   {"GET", "/private_not", nil, 404, 404, 404},
		"list":                      {"GET", "/", nil, 200, 200, 200},
		"list_private":              {"GET", "/private/", nil, 401, 200, 403},
		"redirect_to_private":       {"GET", "/private", nil, 401, 308, 403},
		"list_what_is_not_read":     {"GET", "/list/", nil, 200, 200, 200},
		"redirect_to_list":          {"GET", "/list", nil, 308, 308, 308},
		"read_what_is_listed":       {"GET", "/list/read-me-not.txt", nil, 401, 403, 403},
		"read_what_is_not_there":    {"GET", "/list/nothing", nil, 401, 403, 403},
		"list_the_drop":             {"GET", "/up/", nil, 401, 200, 403},
		"make":                      {"PUT", "/up/new-%s", nil, 201, 201, 201},
		"make_where_something_is":   {"PUT", "/up/there.txt", nil, 412, 412, 412},
		"make_on_a_tag":             {"PUT", "/up/there.txt", []string{tag}, 401, 412, 403},
		"make_on_a_date":            {"PUT", "/up/there.txt", []string{"If-Unmodified-Since: Mon, 02 Jan 2006 15:04:05 GMT"}, 401, 412, 403},
		"make_anywhere":             {"PUT", "/new-%s", nil, 401, 403, 403},
		"replace_unseen":            {"PUT", "/blind/there.txt", nil, 401, 403, 204},
		"replace_unseen_on_a_tag":   {"PUT", "/blind/there.txt", []string{tag}, 401, 403, 403},
		"replace_unseen_if_there":   {"PUT", "/blind/there.txt", []string{"If-Match: *"}, 401, 403, 204},
		"make_a_folder":             {"MKCOL", "/up/folder-%s", nil, 201, 201, 201},
		"remove":                    {"DELETE", "/work/mine.txt", nil, 401, 403, 204},
		"remove_what_is_made":       {"DELETE", "/up/there.txt", nil, 401, 403, 403},
		"remove_above_what_stays":   {"DELETE", "/work/", nil, 401, 403, 403},
		"remove_what_stays":         {"DELETE", "/work/kept/a.txt", nil, 401, 403, 403},
		"move_above_what_stays":     {"MOVE", "/work", []string{"Destination: /blind/x"}, 401, 403, 403},
		"move_to_private":           {"MOVE", "/work/mine.txt", []string{"Destination: /private/x"}, 401, 403, 403},
		"move_to_private_otherwise": {"MOVE", "/work/mine.txt", []string{"Destination: /%50rivate//x"}, 401, 403, 403},
		"move_out_of_reading":       {"MOVE", "/open.txt", []string{"Destination: /work/x"}, 401, 403, 403},
		"copy_from_private":         {"COPY", "/private/secret.txt", []string{"Destination: /work/x"}, 401, 403, 403},
		"copy_all":                  {"COPY", "/", []string{"Destination: /work/x"}, 401, 403, 403},
		"copy":                      {"COPY", "/open.txt", []string{"Destination: /work/x"}, 401, 403, 201},
		"copy_over_what_stays":      {"COPY", "/open.txt", []string{"Destination: /work/kept/a.txt"}, 401, 403, 403},
		"copy_over_what_is_made":    {"COPY", "/open.txt", []string{"Destination: /up/there.txt"}, 412, 412, 412},
		"tree":                      {"GET", "/.freshet/v1/tree", nil, 401, 403, 403},
		"tree_of_a_part":            {"GET", "/.freshet/v1/tree/work", nil, 401, 403, 200},
		"tree_of_private":           {"GET", "/.freshet/v1/tree/private", nil, 401, 200, 403},
		"tree_of_nothing":           {"GET", "/.freshet/v1/tree/private/nothing", nil, 401, 404, 403},
		"changes":                   {"GET", "/.freshet/v1/changes", nil, 401, 403, 403},
		"changes_of_private":        {"GET", "/.freshet/v1/changes?path=/private", nil, 401, 200, 403},
		"stream_of_private":         {"HEAD", "/.freshet/v1/changes?path=/private", []string{"Accept: text/event-stream"}, 401, 200, 403},
		"versions_of_private":       {"GET", "/.freshet/v1/versions/private/secret.txt", nil, 401, 200, 403},
		"versions_of_open":          {"GET", "/.freshet/v1/versions/open.txt", nil, 200, 200, 200},
		"restore_private":           {"POST", "/.freshet/v1/versions/private/secret.txt?id=1", nil, 401, 404, 403},
		"restore_to_private":        {"POST", "/.freshet/v1/versions/open.txt?etag=00000000000000000000000000000000", []string{"Destination: /private/x"}, 401, 404, 403},
		"end_a_version":             {"DELETE", "/.freshet/v1/versions/open.txt?id=1", nil, 401, 403, 403},
		"trash":                     {"GET", "/.freshet/v1/trash", nil, 401, 403, 403},
		"trash_of_private":          {"GET", "/.freshet/v1/trash/private", nil, 401, 200, 403},
		"empty_the_trash":           {"DELETE", "/.freshet/v1/trash/open.txt", nil, 401, 403, 403},
		"verify":                    {"POST", "/.freshet/v1/verify", nil, 401, 403, 403},
		"verify_private":            {"POST", "/.freshet/v1/verify?path=/private", nil, 401, 200, 403},
		"assets":                    {"GET", "/.freshet/ui/x/y", nil, 404, 404, 404},
		"what_the_server_is":        {"GET", "/.well-known/freshet", nil, 200, 200, 200},
		"options":                   {"OPTIONS", "/private/secret.txt", nil, 204, 204, 204},
		"unknown_method":            {"PROPFIND", "/private/secret.txt", nil, 405, 405, 405},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := newRuledWorld(t, theRules(t))
			for who, want := range map[string]int{"": c.nobody, "ana": c.ana, "bob": c.bob} {
				fields := c.fields
				if who != "" {
					fields = append(fields[:len(fields):len(fields)], as(who))
				}
				target := c.path
				if strings.Contains(target, "%s") {
					target = fmt.Sprintf(target, "by"+who)
				}
				a := w.ask(t, c.method, target, "", fields...)
				if a.status != want {
					t.Errorf("%q gets %d, want %d: %s", who, a.status, want, a.body)
				}
				challenged := a.header.Get("WWW-Authenticate") == `Basic realm="freshet", charset="UTF-8"`
				if challenged != (want == 401) {
					t.Errorf("%q is asked for a password: %v", who, challenged)
				}
			}
		})
	}
}

// Which questions have the same answer, byte for byte, whether something is there or not, and whatever it is.
func TestWhatMayNotBeReadIsNotGivenAway(t *testing.T) {
	w, _ := newRuledWorld(t, theRules(t))
	tag := strings.Trim(tagOf("content of private/secret.txt"), `"`)
	varies := regexp.MustCompile(`secret\.txt|missing\.txt|deep`)
	for _, who := range []string{"", "bob"} {
		for name, c := range map[string]struct {
			method, path string
			fields       []string
		}{
			"get":              {"GET", "/private/%s", nil},
			"head":             {"HEAD", "/private/%s", nil},
			"revalidate":       {"GET", "/private/%s", []string{`If-None-Match: "` + tag + `"`}},
			"oracle":           {"GET", "/private/%s", []string{`If-Match: "` + tag + `"`}},
			"range":            {"GET", "/private/%s", []string{"Range: bytes=0-0"}},
			"options":          {"OPTIONS", "/private/%s", nil},
			"unknown_method":   {"PROPFIND", "/private/%s", nil},
			"put":              {"PUT", "/private/%s", []string{`If-Match: "` + tag + `"`}},
			"put_if_absent":    {"PUT", "/private/%s", []string{"If-None-Match: *"}},
			"delete":           {"DELETE", "/private/%s", []string{`If-Match: "` + tag + `"`}},
			"mkcol":            {"MKCOL", "/private/%s", nil},
			"post":             {"POST", "/private/%s", []string{"Content-Type: multipart/form-data; boundary=x"}},
			"copy":             {"COPY", "/private/%s", []string{"Destination: /work/x"}},
			"move":             {"MOVE", "/private/%s", []string{"Destination: /work/x"}},
			"tree":             {"GET", "/.freshet/v1/tree/private/%s", nil},
			"versions":         {"GET", "/.freshet/v1/versions/private/%s", nil},
			"version":          {"GET", "/.freshet/v1/versions/private/%s?etag=" + tag, nil},
			"trash":            {"GET", "/.freshet/v1/trash/private/%s", nil},
			"changes":          {"GET", "/.freshet/v1/changes?path=/private/%s", nil},
			"verify":           {"POST", "/.freshet/v1/verify?path=/private/%s", nil},
			"page":             {"GET", "/private/%s", []string{"Accept: text/html"}},
			"listed_not_read":  {"GET", "/list/../private/%s", nil},
			"conditional_list": {"GET", "/private/%s/", []string{"If-None-Match: *"}},
		} {
			t.Run(name+"_of_"+who, func(t *testing.T) {
				var first string
				for _, file := range []string{"secret.txt", "missing.txt", "deep"} {
					fields := append(c.fields[:len(c.fields):len(c.fields)], "X-Request-Id: same")
					if who != "" {
						fields = append(fields, as(who))
					}
					a := w.ask(t, c.method, fmt.Sprintf(c.path, file), "", fields...)
					a.header.Del("Date")
					got := varies.ReplaceAllString(fmt.Sprint(a.status, a.header, a.body, a.interim), "FILE")
					if first == "" {
						first = got
					}
					if got != first {
						t.Errorf("%s is not as the first:\n%s\n%s", file, got, first)
					}
					if strings.Contains(got, tag) || a.header.Get("ETag") != "" || a.header.Get("Freshet-Subtree") != "" {
						t.Errorf("a tag is given away: %s", got)
					}
				}
			})
		}
	}
}

func TestListingsShowWhatMayBeRead(t *testing.T) {
	w, _ := newRuledWorld(t, theRules(t))
	for link, to := range map[string]string{"work/to-secret": "../private/secret.txt", "to-private": "private", "to-open": "open.txt"} {
		if err := os.Symlink(to, filepath.Join(w.root, link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		who, path string
		shown     []string
		hidden    []string
		tagged    bool
	}{
		"root_of_nobody": {"", "/", []string{"open.txt", "to-open", "list"}, []string{"private", "up", "blind", "work", "to-private"}, false},
		"root_of_ana":    {"ana", "/", []string{"open.txt", "private", "to-private", "up"}, []string{"blind", "work"}, false},
		"private_of_ana": {"ana", "/private/", []string{"secret.txt", "deep"}, nil, true},
		"work_of_bob":    {"bob", "/work/", []string{"mine.txt", "kept", "folder"}, nil, true},
		"list_of_nobody": {"", "/list/", []string{"sub"}, []string{"read-me-not"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, accept := range []string{"text/html", "application/json", "text/plain"} {
				fields := []string{"Accept: " + accept}
				if c.who != "" {
					fields = append(fields, as(c.who))
				}
				a := w.ask(t, "GET", c.path, "", fields...)
				for _, entry := range c.shown {
					if !strings.Contains(a.body, entry) {
						t.Errorf("%s: %s is not shown", accept, entry)
					}
				}
				for _, entry := range c.hidden {
					if regexp.MustCompile(`["/>\n]` + entry + `["/.<\n]`).MatchString("\n" + a.body) {
						t.Errorf("%s: %s is shown: %s", accept, entry, a.body)
					}
				}
				if tagged := a.header.Get("ETag") != "" && a.header.Get("Freshet-Subtree") != ""; tagged != c.tagged {
					t.Errorf("%s: tags %v: %v", accept, tagged, a.header)
				}
				if strings.Contains(a.body, strings.Trim(tagOf("content of private/secret.txt"), `"`)) && c.who != "ana" {
					t.Errorf("%s: the tag of a secret is shown", accept)
				}
			}
		})
	}
}

// A link gives nobody more than what it leads to may be used for.
func TestLinksGiveNoRights(t *testing.T) {
	w, _ := newRuledWorld(t, theRules(t))
	for link, to := range map[string]string{
		"to-secret": "private/secret.txt", "to-private": "private", "to-nothing": "private/new.txt", "to-open": "open.txt",
		"work/out": "../private", "work/to-secret": "../private/secret.txt", "twice": "to-private/deep",
	} {
		if err := os.Symlink(to, filepath.Join(w.root, link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		method, path string
		fields       []string
		want         int
	}{
		"read":             {"GET", "/to-secret", nil, 403},
		"read_below":       {"GET", "/to-private/secret.txt", nil, 403},
		"read_what_is_not": {"GET", "/to-private/nothing", nil, 403},
		"list":             {"GET", "/to-private/", nil, 403},
		"through_two":      {"GET", "/twice/secret.txt", nil, 403},
		"write_through":    {"PUT", "/work/out/new.txt", nil, 403},
		"remove_through":   {"DELETE", "/work/out/secret.txt", nil, 403},
		"copy_to":          {"COPY", "/open.txt", []string{"Destination: /work/out/x"}, 403},
		"copy_from":        {"COPY", "/work/out/secret.txt", []string{"Destination: /work/x"}, 403},
		"an_innocent_link": {"GET", "/to-open", nil, 200},
	} {
		t.Run(name, func(t *testing.T) {
			if a := w.ask(t, c.method, c.path, "", append(c.fields, as("bob"))...); a.status != c.want {
				t.Errorf("%d, want %d: %s", a.status, c.want, a.body)
			}
		})
	}
	w.file(t, "private/secret.txt", strings.Repeat("x", 4711))
	if a := w.ask(t, "GET", "/work/", "", as("bob"), "Accept: text/html"); !strings.Contains(a.body, "to-secret") ||
		strings.Contains(a.body, "4.71 kB") || a.header.Get("ETag") == "" {
		t.Errorf("a listing with a tag tells what a link leads to: %d %s", a.status, a.body)
	}
	if w.onDisk(t, "private/new.txt") != nothing {
		t.Error("something was made")
	}
	if a := w.ask(t, "GET", "/to-secret", "", as("ana")); a.status != 200 {
		t.Errorf("ana gets %d", a.status)
	}
}

// Who makes or replaces what they may not read learns that something is there, and nothing more.
func TestBlindWritersLearnNoTag(t *testing.T) {
	w, _ := newRuledWorld(t, theRules(t))
	w.file(t, "work/mine.txt", "mine")
	for name, c := range map[string]struct {
		method, path string
		fields       []string
		want         int
	}{
		"made_already":     {"PUT", "/up/there.txt", nil, 412},
		"replaced_if_none": {"PUT", "/blind/there.txt", []string{"If-None-Match: *", as("bob")}, 412},
		"copied_over":      {"COPY", "/open.txt", []string{"Destination: /blind/there.txt", "Overwrite: F", as("bob")}, 412},
		"restored_over":    {"POST", "/.freshet/v1/versions/open.txt?etag=" + strings.Trim(tagOf("old"), `"`), []string{"Destination: /blind/there.txt", "If-None-Match: *", as("bob")}, 412},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.ask(t, c.method, c.path, "", c.fields...)
			if a.status != c.want || a.header.Get("ETag") != "" || strings.Contains(a.body, `"current"`) ||
				regexp.MustCompile(`[0-9a-f]{32}`).MatchString(a.body) {
				t.Errorf("%d %v %s", a.status, a.header, a.body)
			}
		})
	}
}

func TestQuestionsAboutPartsOfTheTree(t *testing.T) {
	w, _ := newRuledWorld(t, theRules(t))
	for name, c := range map[string]struct {
		who, have string
		want      int
	}{
		"a_part":        {"bob", `"work/":null`, 200},
		"another":       {"bob", `"private/":null`, 403},
		"both":          {"bob", `"work/":null,"private/deep/":null`, 403},
		"the_root":      {"bob", `"":null`, 403},
		"not_there":     {"bob", `"private/nothing/":null`, 403},
		"nobody":        {"", `"work/":null`, 401},
		"nothing_asked": {"bob", ``, 200},
	} {
		t.Run(name, func(t *testing.T) {
			fields := []string{"Content-Type: application/json"}
			if c.who != "" {
				fields = append(fields, as(c.who))
			}
			a := w.ask(t, "POST", "/.freshet/v1/tree", `{"have":{`+c.have+`}}`, fields...)
			if a.status != c.want {
				t.Fatalf("%d, want %d: %s", a.status, c.want, a.body)
			}
			if first, _, _ := strings.Cut(a.body, "\n"); c.want == 200 && !strings.Contains(first, `"subtree":null`) {
				t.Errorf("the fingerprint of the root is told: %s", first)
			}
		})
	}
}

// Somebody puts a link in the place of a file, and the file in the place of the link, as fast as can be, while others ask for
// it.
func TestSwappedLinkGivesNothingAway(t *testing.T) {
	w, _ := newRuledWorld(t, theRules(t))
	w.file(t, "harmless", "harmless")
	if err := os.Symlink("private/secret.txt", filepath.Join(w.root, "link")); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var group sync.WaitGroup
	at := func(name string) string { return filepath.Join(w.root, name) }
	group.Go(func() {
		for i := 0; !stop.Load(); i++ {
			spare := at(fmt.Sprint("spare", i%2))
			_ = os.Remove(spare)
			if i%2 == 0 {
				_ = os.Link(at("harmless"), spare)
			} else {
				_ = os.Symlink("private/secret.txt", spare)
			}
			_ = os.Rename(spare, at("swapped"))
		}
	})
	seen := map[int]int{}
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		a := w.ask(t, "GET", "/swapped", "")
		if seen[a.status]++; strings.Contains(a.body, "content of private") {
			t.Fatal("the secret was sent")
		}
	}
	stop.Store(true)
	group.Wait()
	if seen[200] == 0 || seen[401] == 0 {
		t.Errorf("nothing was raced: %v", seen)
	}
}

func TestPasswordsOnTheWay(t *testing.T) {
	w, _ := newRuledWorld(t, theRules(t))
	plain := newWorld(t, func(c *fileserver.Config) {
		c.Authority, c.PlainPasswords = auth.NewAuthority(theRules(t)), true
	})
	for name, c := range map[string]struct {
		w      *world
		remote string
		fields []string
		want   int
	}{
		"loopback":                {w, "127.0.0.1:4711", []string{as("ana")}, 404},
		"loopback_six":            {w, "[::1]:4711", []string{as("ana")}, 404},
		"network":                 {w, "192.0.2.1:4711", []string{as("ana")}, 403},
		"network_unasked":         {w, "192.0.2.1:4711", nil, 403},
		"network_that_is_trusted": {plain, "192.0.2.1:4711", []string{as("ana")}, 404},
		"trusted_unasked":         {plain, "192.0.2.1:4711", nil, 401},
		"two_names":               {w, "127.0.0.1:4711", []string{as("ana"), as("ana")}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.w.serveFrom(t, c.remote, "GET", "/private/nothing", c.fields...)
			if a.Code != c.want {
				t.Errorf("%d, want %d: %s", a.Code, c.want, a.Body)
			}
		})
	}
}

// Who has signed in may call the server by any name; who has not, or not rightly, may not.
func TestHostIsCheckedForStrangers(t *testing.T) {
	w, _ := newRuledWorld(t, theRules(t))
	for name, c := range map[string]struct {
		fields []string
		want   int
	}{
		"stranger":       {nil, 403},
		"user":           {[]string{as("ana")}, 200},
		"wrong_password": {[]string{as("ana") + "AAAA"}, 401},
		"page_elsewhere": {[]string{as("ana"), "Sec-Fetch-Site: cross-site"}, 200}, // a GET
	} {
		t.Run(name, func(t *testing.T) {
			if a := w.ask(t, "GET", "/open.txt", "", append(c.fields, "Host: evil.example")...); a.status != c.want {
				t.Errorf("%d, want %d", a.status, c.want)
			}
		})
	}
	if a := w.ask(t, "PUT", "/private/x", "", as("ana"), "Sec-Fetch-Site: cross-site"); a.status != 403 {
		t.Errorf("a page from elsewhere writes with a user's password: %d", a.status)
	}
}

func TestNoUsersIgnoreCredentials(t *testing.T) {
	w := newWorld(t)
	w.file(t, "a", "a")
	if a := w.ask(t, "GET", "/a", "", as("anybody")); a.status != 200 {
		t.Errorf("%d", a.status)
	}
}

func TestVersionsSayWho(t *testing.T) {
	w, _ := newRuledWorld(t, theRules(t))
	if a := w.ask(t, "PUT", "/private/secret.txt", "new", as("ana")); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	a := w.ask(t, "GET", "/.freshet/v1/versions/private/secret.txt", "", as("ana"))
	if !strings.Contains(a.body, `"by":"http 127.0.0.1 ana"`) {
		t.Error(a.body)
	}
}

// A form makes what may be made, each file by its own rules.
func TestFormKeepsToTheRules(t *testing.T) {
	w, _ := newRuledWorld(t, theRules(t))
	form := func(parts ...string) string {
		return "--x\r\nContent-Disposition: form-data; " + strings.Join(parts, "\r\n--x\r\nContent-Disposition: form-data; ") + "\r\n--x--\r\n"
	}
	file := func(name string) string { return `name="file"; filename="` + name + "\"\r\n\r\nnew" }
	for name, c := range map[string]struct {
		who, path, body string
		want            int
	}{
		"new":           {"", "/up/", form(file("new.txt")), 201},
		"taken":         {"", "/up/", form(file("there.txt")), 409},
		"oracle":        {"", "/up/", form("name=\"if-match\"\r\n\r\n"+tagOf("content of up/there.txt"), file("there.txt")), 401},
		"closed":        {"", "/private/", form(file("new.txt")), 401},
		"closed_below":  {"bob", "/work/", form(file("kept")), 403},
		"folder_closed": {"bob", "/work/", form("name=\"mkdir\"\r\n\r\nkept"), 403},
	} {
		t.Run(name, func(t *testing.T) {
			fields := []string{"Content-Type: multipart/form-data; boundary=x"}
			if c.who != "" {
				fields = append(fields, as(c.who))
			}
			a := w.ask(t, "POST", c.path, c.body, fields...)
			if a.status != c.want {
				t.Errorf("%d, want %d: %s", a.status, c.want, a.body)
			}
			if strings.Contains(a.body, strings.Trim(tagOf("content of up/there.txt"), `"`)) || strings.Contains(a.body, `"current":"`) {
				t.Errorf("a tag is given away: %s", a.body)
			}
		})
	}
}

// Users and rules are replaced while requests are under way: each is answered by one of the policies, none is dropped, and a
// stream ends when its user is gone.
func TestReplacedUnderLoad(t *testing.T) {
	w, authority := newRuledWorld(t, theRules(t))
	stream := w.dial(t)
	defer stream.Close()
	fmt.Fprint(stream, w.request("GET", "/.freshet/v1/changes?path=/private", "", as("ana"), "Accept: text/event-stream"))
	first := make([]byte, 12)
	if _, err := stream.Read(first); err != nil || string(first) != "HTTP/1.1 200" {
		t.Fatalf("%q, %v", first, err)
	}
	var stop atomic.Bool
	var group sync.WaitGroup
	var asked atomic.Int64
	for range 4 {
		group.Go(func() {
			for !stop.Load() {
				a := w.ask(t, "GET", "/private/secret.txt", "", as("ana"))
				if asked.Add(1); a.status != 200 {
					t.Errorf("%d", a.status)
				}
			}
		})
	}
	for range 20 {
		time.Sleep(5 * time.Millisecond)
		authority.Replace(theRules(t))
	}
	stop.Store(true)
	group.Wait()
	if asked.Load() < 20 {
		t.Errorf("only %d requests were made", asked.Load())
	}
	authority.Replace(policyOf(t, []string{"bob"}, give(t, "/", auth.WhoAnonymous, auth.Reading)))
	if a := w.ask(t, "GET", "/private/secret.txt", "", as("ana")); a.status != 401 {
		t.Errorf("the user that was removed gets %d", a.status)
	}
	w.file(t, "private/later.txt", "later")
	rest := make([]byte, 1<<16)
	for {
		n, err := stream.Read(rest)
		if strings.Contains(string(rest[:n]), "later") {
			t.Error("the user that was removed is told of changes")
		}
		if err != nil {
			break
		}
	}
}
