package auth

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a users file.
const (
	UsersMax          = 10_000  // lines with a user
	UsersFileBytesMax = 4 << 20 // bytes of the file
	NameBytesMax      = 64      // bytes of a user's name
	PasswordBytesMax  = 1024    // bytes of a password
)

// What can be wrong with users.
var (
	ErrName   = errors.New("cannot be the name of a user")
	ErrFile   = errors.New("cannot be used as a users file")
	ErrScheme = errors.New("not a hash that is accepted; argon2id and bcrypt are")
	ErrInside = errors.New("it is inside the folder that is served")
)

// Users are what one users file says. They do not change.
type Users struct {
	secrets map[string]secret
	names   []string // sorted
	decoys  []secret // what the passwords of names that nobody has are compared with
	seed    maphash.Seed
	known   *credentials
}

func newUsers(secrets map[string]secret) *Users {
	u := &Users{secrets: secrets, seed: maphash.MakeSeed(), known: newCredentials()}
	for name, s := range secrets {
		u.names = append(u.names, name)
		u.decoys = append(u.decoys, s)
	}
	slices.Sort(u.names)
	if len(u.decoys) == 0 {
		u.decoys = []secret{decoy}
	}
	return u
}

// One returns Users with one user.
func One(name, password string) (*Users, error) {
	line, err := NewLine(name, password)
	if err != nil {
		return nil, err
	}
	return ReadUsers("", strings.NewReader(line))
}

// LoadUsers reads a users file that is not in the folder root, or below it by whatever name: what is served is no place for
// it. Without a root it may be anywhere.
func LoadUsers(file, root string) (*Users, error) {
	if root != "" {
		if err := outside(file, root); err != nil {
			return nil, err
		}
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadUsers(file, f)
}

// outside refuses a file that has root above it, links followed.
func outside(file, root string) error {
	served, err := os.Stat(root)
	if err != nil {
		return err
	}
	for _, at := range []string{file, realPath(file)} {
		at, err := filepath.Abs(at)
		if err != nil {
			return err
		}
		for up := filepath.Dir(at); up != at; at, up = up, filepath.Dir(up) {
			if info, err := os.Stat(up); err == nil && os.SameFile(info, served) {
				return ErrInside
			}
		}
	}
	return nil
}

func realPath(file string) string {
	if real, err := filepath.EvalSymlinks(file); err == nil {
		return real
	}
	return file
}

// ReadUsers reads a users file: lines of "name:hash", empty ones, and ones that begin with "#". name is for messages, which
// tell the line and never a hash.
func ReadUsers(name string, r io.Reader) (*Users, error) {
	text, err := io.ReadAll(io.LimitReader(r, UsersFileBytesMax+1))
	if err != nil {
		return nil, err
	}
	if len(text) > UsersFileBytesMax {
		return nil, fmt.Errorf("%s: %w: it is longer than %d bytes", name, ErrFile, UsersFileBytesMax)
	}
	secrets := map[string]secret{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, UsersFileBytesMax+1)
	for row := 1; lines.Scan(); row++ {
		user, s, err := parseLine(lines.Text())
		if _, twice := secrets[user]; twice && err == nil && user != "" {
			err = fmt.Errorf("%w: the user %q is in it twice", ErrFile, user)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, row, err)
		}
		if user != "" {
			secrets[user] = s
		}
		if len(secrets) > UsersMax {
			return nil, fmt.Errorf("%s: %w: it has more than %d users", name, ErrFile, UsersMax)
		}
	}
	return newUsers(secrets), lines.Err()
}

// parseLine reads one line; user is "" if it says nothing.
func parseLine(line string) (user string, s secret, err error) {
	line = strings.TrimRight(line, " \t\r")
	if line == "" || strings.HasPrefix(line, "#") {
		return "", s, nil
	}
	user, hash, ok := strings.Cut(line, ":")
	if !ok {
		return "", s, fmt.Errorf("%w: the line has no colon", ErrFile)
	}
	if err = CheckName(user); err == nil {
		s, err = parseSecret(hash)
	}
	return user, s, err
}

// CheckName refuses what cannot be the name of a user: names that a users file or a rule could not tell from something else.
func CheckName(name string) error {
	odd := func(c rune) bool { return !unicode.IsPrint(c) || strings.ContainsRune(" :,;#\"\\", c) }
	switch {
	case name == "":
		return fmt.Errorf("an empty text %w", ErrName)
	case len(name) > NameBytesMax:
		return fmt.Errorf("%.20q… %w: it is longer than %d bytes", name, ErrName, NameBytesMax)
	case name == WhoAnonymous, name == WhoSignedIn:
		return fmt.Errorf("%q %w: in rules it means others", name, ErrName)
	case !utf8.ValidString(name), strings.ContainsFunc(name, odd):
		return fmt.Errorf("%.80q %w: blanks, controls, quotes and any of :,;# are not for names", name, ErrName)
	}
	return nil
}

// Names returns the names of all users, sorted.
func (u *Users) Names() []string { return slices.Clone(u.names) }

// Keeps reports whether who is a user of u with the same password as in old. Nobody in particular always is.
func (u *Users) Keeps(old *Users, who Who) bool {
	if who == Anonymous || u == old {
		return true
	}
	if u == nil || old == nil {
		return false
	}
	now, ok := u.secrets[string(who)]
	return ok && now.text == old.secrets[string(who)].text
}

// secretOf returns what the password of name is compared with. For a name that nobody has, that is always the same secret of
// somebody else, so that it takes as long, and ok is false.
func (u *Users) secretOf(name string) (s secret, ok bool) {
	if s, ok = u.secrets[name]; ok {
		return s, true
	}
	return u.decoys[maphash.String(u.seed, name)%uint64(len(u.decoys))], false
}
