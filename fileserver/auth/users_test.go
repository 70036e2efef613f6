package auth_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"freshet/fileserver/auth"
)

const anArgon = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$" + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// aBcrypt returns a cheap hash, under the name that htpasswd gives it.
func aBcrypt(t testing.TB, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return "$2y$" + strings.TrimPrefix(string(hash), "$2a$")
}

func TestReadUsers(t *testing.T) {
	good := aBcrypt(t, "x")
	for name, c := range map[string]struct {
		text  string
		names []string
		err   error
		says  string
	}{
		"empty":             {"", nil, nil, ""},
		"comments":          {"# who\n\n  \nana:" + good + "\r\n", []string{"ana"}, nil, ""},
		"two":               {"bob:" + anArgon + "\nana:" + good, []string{"ana", "bob"}, nil, ""},
		"letters":           {"żółw:" + good, []string{"żółw"}, nil, ""},
		"twice":             {"ana:" + good + "\nana:" + anArgon, nil, auth.ErrFile, "users:2: "},
		"apache_md5":        {"ana:$apr1$salt$hash", nil, auth.ErrScheme, "users:1: not a hash that is accepted; argon2id and bcrypt are: the password is Apache's MD5"},
		"sha1":              {"\nana:{SHA}aaaaaaaaaaaaaaaaaaaaaaaaaaa=", nil, auth.ErrScheme, "users:2: "},
		"sha512_crypt":      {"ana:$6$salt$hash", nil, auth.ErrScheme, "SHA-512-crypt"},
		"yescrypt":          {"ana:$y$j9T$salt$hash", nil, auth.ErrScheme, "yescrypt"},
		"argon2i":           {"ana:" + strings.Replace(anArgon, "2id", "2i", 1), nil, auth.ErrScheme, "argon2i"},
		"unknown":           {"ana:$new$hash", nil, auth.ErrScheme, `"new"`},
		"clear_text":        {"ana:secret", nil, auth.ErrScheme, "in the clear"},
		"nothing":           {"ana:", nil, auth.ErrScheme, ""},
		"no_colon":          {"ana", nil, auth.ErrFile, "no colon"},
		"no_name":           {":" + good, nil, auth.ErrName, ""},
		"reserved_name":     {"anonymous:" + good, nil, auth.ErrName, ""},
		"blank_in_name":     {"a b:" + good, nil, auth.ErrName, ""},
		"long_name":         {strings.Repeat("a", auth.NameBytesMax+1) + ":" + good, nil, auth.ErrName, ""},
		"longest_name":      {strings.Repeat("a", auth.NameBytesMax) + ":" + good, []string{strings.Repeat("a", auth.NameBytesMax)}, nil, ""},
		"bcrypt_too_dear":   {"ana:" + strings.Replace(good, "$04$", "$16$", 1), nil, auth.ErrFile, "cost of 16"},
		"bcrypt_cut":        {"ana:" + good[:50], nil, auth.ErrFile, ""},
		"bcrypt_alphabet":   {"ana:" + good[:59] + "!", nil, auth.ErrFile, ""},
		"argon_memory":      {"ana:" + strings.Replace(anArgon, "m=64", "m=1000000000", 1), nil, auth.ErrFile, "costs too much"},
		"argon_passes":      {"ana:" + strings.Replace(anArgon, "t=1", "t=33", 1), nil, auth.ErrFile, "costs too much"},
		"argon_no_passes":   {"ana:" + strings.Replace(anArgon, "t=1", "t=0", 1), nil, auth.ErrFile, "too small"},
		"argon_lanes":       {"ana:" + strings.Replace(anArgon, "p=1", "p=17", 1), nil, auth.ErrFile, ""},
		"argon_wraps":       {"ana:" + strings.Replace(anArgon, "p=1", "p=257", 1), nil, auth.ErrFile, ""},
		"argon_version":     {"ana:" + strings.Replace(anArgon, "v=19", "v=16", 1), nil, auth.ErrFile, "version 19"},
		"argon_short_salt":  {"ana:" + strings.Replace(anArgon, "c2FsdHNhbHQ", "c2Fs", 1), nil, auth.ErrFile, ""},
		"argon_more_behind": {"ana:" + strings.Replace(anArgon, "p=1", "p=1,x=1", 1), nil, auth.ErrFile, ""},
	} {
		t.Run(name, func(t *testing.T) {
			users, err := auth.ReadUsers("users", strings.NewReader(c.text))
			if !errors.Is(err, c.err) || c.err == nil && err != nil {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if err != nil {
				if !strings.Contains(err.Error(), c.says) {
					t.Errorf("%q does not say %q", err, c.says)
				}
				if strings.Contains(err.Error(), good[29:]) || strings.Contains(err.Error(), "secret") {
					t.Errorf("%q tells what the file keeps", err)
				}
				return
			}
			if !slices.Equal(users.Names(), c.names) {
				t.Errorf("got %q", users.Names())
			}
		})
	}
}

func TestUsersFileIsBounded(t *testing.T) {
	if _, err := auth.ReadUsers("users", strings.NewReader(strings.Repeat("#\n", auth.UsersFileBytesMax))); !errors.Is(err, auth.ErrFile) {
		t.Errorf("a file that is too long: %v", err)
	}
	var many strings.Builder
	for i := range auth.UsersMax + 1 {
		many.WriteString("u" + strings.Repeat("x", i%3) + string(rune('a'+i%26)) + strings.ReplaceAll(string(rune(0x4e00+i)), "\x00", "") + ":" + anArgon + "\n")
	}
	if _, err := auth.ReadUsers("users", strings.NewReader(many.String())); !errors.Is(err, auth.ErrFile) {
		t.Errorf("too many users: %v", err)
	}
}

func TestUsersFileIsNotServed(t *testing.T) {
	root, elsewhere := t.TempDir(), t.TempDir()
	for _, name := range []string{filepath.Join(root, "a", "users"), filepath.Join(elsewhere, "users")} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("ana:"+anArgon+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) string {
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for name, c := range map[string]struct {
		file   string
		inside bool
	}{
		"elsewhere":        {filepath.Join(elsewhere, "users"), false},
		"inside":           {filepath.Join(root, "a", "users"), true},
		"dots":             {filepath.Join(elsewhere, "..", filepath.Base(root), "a", "users"), true},
		"link_to_inside":   {link(filepath.Join(root, "a", "users"), filepath.Join(elsewhere, "into")), true},
		"link_inside":      {link(filepath.Join(elsewhere, "users"), filepath.Join(root, "out")), true},
		"link_to_the_root": {filepath.Join(link(root, filepath.Join(elsewhere, "root")), "a", "users"), true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := auth.LoadUsers(c.file, root)
			if errors.Is(err, auth.ErrInside) != c.inside || !c.inside && err != nil {
				t.Errorf("got %v", err)
			}
			if _, err := auth.LoadUsers(c.file, ""); err != nil {
				t.Errorf("without a root: %v", err)
			}
		})
	}
}

func TestNewLine(t *testing.T) {
	line, err := auth.NewLine("ana", "pässword")
	if err != nil || !strings.HasPrefix(line, "ana:$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("%q, %v", line, err)
	}
	if again, _ := auth.NewLine("ana", "pässword"); again == line {
		t.Error("two lines have one salt")
	}
	for _, password := range []string{"", "a\nb", strings.Repeat("x", auth.PasswordBytesMax+1)} {
		if _, err := auth.NewLine("ana", password); !errors.Is(err, auth.ErrPassword) {
			t.Errorf("%.10q: %v", password, err)
		}
	}
}

// FuzzReadUsers checks that a file is refused or read, and then that each line of it is somebody's.
func FuzzReadUsers(f *testing.F) {
	f.Add("ana:" + anArgon + "\n#x\nbob:$2y$04$abcdefghijklmnopqrstuuJ5Zb1x4kTn3b9n1Yy5dR2vS6rQ0cD2m\n")
	f.Add("ana:$argon2id$v=19$m=19456,t=2,p=1$$\n")
	f.Add("ana:$2y$99$\x00\n:\n::\n$")
	f.Fuzz(func(t *testing.T, text string) {
		users, err := auth.ReadUsers("f", strings.NewReader(text))
		if err != nil {
			return
		}
		for _, name := range users.Names() {
			if auth.CheckName(name) != nil || !strings.Contains("\n"+text, "\n"+name+":") {
				t.Fatalf("nobody wrote %q", name)
			}
		}
	})
}
