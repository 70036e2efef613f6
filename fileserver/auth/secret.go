package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// What a hash in a users file may cost: a line in a file must not be able to stop the server.
const (
	argonMemoryKiBMax  = 256 << 10 // of one hash
	argonPassesMax     = 32
	argonLanesMax      = 16
	argonBytesMin      = 16 // of a hash
	argonBytesMax      = 64
	argonSaltBytesMin  = 8
	argonSaltBytesMax  = 64
	bcryptCostMax      = 15 // a second or two
	secretSchemeLenMax = 20 // of a scheme that is named in a message
)

// What new hashes cost: the least that OWASP's cheat sheet on password storage has for argon2id.
const (
	argonMemoryKiB = 19 << 10
	argonPasses    = 2
	argonLanes     = 1
	argonSaltBytes = 16
	argonBytes     = 32
)

// A secret is what a users file has of a password.
type secret struct {
	text  string
	argon *argonHash // nil: text is of bcrypt
}

// An argonHash is a hash in the PHC string format, "$argon2id$v=19$m=19456,t=2,p=1$salt$hash".
type argonHash struct {
	memoryKiB, passes uint32
	lanes             uint8
	salt, sum         []byte
}

// decoy is what passwords are compared with if there is no user at all.
var decoy = secret{argon: &argonHash{argonMemoryKiB, argonPasses, argonLanes, make([]byte, argonSaltBytes), make([]byte, argonBytes)}}

// parseSecret reads the hash of a line.
func parseSecret(text string) (secret, error) {
	switch {
	case strings.HasPrefix(text, "$argon2id$"):
		hash, err := parseArgon(text)
		return secret{text, hash}, err
	case strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2y$"):
		return secret{text: text}, checkBcrypt(text)
	}
	return secret{}, fmt.Errorf("%w: the password is %s", ErrScheme, schemeOf(text))
}

// schemeOf names the scheme of a hash without giving any of it away.
func schemeOf(text string) string {
	known := []struct{ prefix, name string }{
		{"$apr1$", "Apache's MD5 (htpasswd -m)"}, {"{SHA}", "SHA-1 (htpasswd -s)"}, {"{SSHA}", "salted SHA-1"},
		{"$1$", "MD5-crypt"}, {"$5$", "SHA-256-crypt"}, {"$6$", "SHA-512-crypt"}, {"$y$", "yescrypt"}, {"$7$", "scrypt"},
		{"$argon2i$", "argon2i"}, {"$argon2d$", "argon2d"}, {"$2$", "an outdated bcrypt"},
	}
	for _, k := range known {
		if strings.HasPrefix(text, k.prefix) {
			return k.name
		}
	}
	if rest, ok := strings.CutPrefix(text, "$"); ok {
		if scheme, _, ok := strings.Cut(rest, "$"); ok && len(scheme) <= secretSchemeLenMax {
			return fmt.Sprintf("hashed by %q", scheme)
		}
	}
	return "in the clear, or hashed by crypt(3)"
}

func checkBcrypt(text string) error {
	cost, err := bcrypt.Cost([]byte(text))
	switch {
	case err != nil || !bcryptText.MatchString(text):
		return fmt.Errorf("%w: the bcrypt hash is malformed", ErrFile)
	case cost > bcryptCostMax:
		return fmt.Errorf("%w: the bcrypt hash has a cost of %d, at most %d may be", ErrFile, cost, bcryptCostMax)
	}
	return nil
}

var bcryptText = regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

func parseArgon(text string) (*argonHash, error) {
	bad := func(what string) error { return fmt.Errorf("%w: the argon2id hash %s", ErrFile, what) }
	h := new(argonHash)
	parts := strings.Split(text, "$")
	if len(parts) != 6 {
		return nil, bad("is malformed")
	}
	if parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, bad(fmt.Sprintf("is not of version %d", argon2.Version))
	}
	n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memoryKiB, &h.passes, &h.lanes)
	if n != 3 || err != nil || parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", h.memoryKiB, h.passes, h.lanes) {
		return nil, bad("has no m, t and p")
	}
	if h.passes < 1 || h.lanes < 1 || h.memoryKiB < 8*uint32(h.lanes) {
		return nil, bad("has an m, t or p that is too small")
	}
	if h.memoryKiB > argonMemoryKiBMax || h.passes > argonPassesMax || h.lanes > argonLanesMax {
		return nil, bad(fmt.Sprintf("costs too much: m=%d,t=%d,p=%d is the most", argonMemoryKiBMax, argonPassesMax, argonLanesMax))
	}
	coding := base64.RawStdEncoding.Strict()
	var saltErr, sumErr error
	h.salt, saltErr = coding.DecodeString(parts[4])
	h.sum, sumErr = coding.DecodeString(parts[5])
	if saltErr != nil || sumErr != nil || len(h.salt) < argonSaltBytesMin || len(h.salt) > argonSaltBytesMax ||
		len(h.sum) < argonBytesMin || len(h.sum) > argonBytesMax {
		return nil, bad("has a salt or hash of the wrong length or alphabet")
	}
	return h, nil
}

// matches reports whether password is the one that s was made of. It takes as long as that is meant to take.
func (s *secret) matches(password string) bool {
	if s.argon == nil {
		return bcrypt.CompareHashAndPassword([]byte(s.text), []byte(password)) == nil
	}
	h := s.argon
	sum := argon2.IDKey([]byte(password), h.salt, h.passes, h.memoryKiB, h.lanes, uint32(len(h.sum)))
	return subtle.ConstantTimeCompare(sum, h.sum) == 1
}

// NewLine returns a line of a users file, without an end of line, for a new user or password.
func NewLine(name, password string) (string, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	if err := CheckPassword(password); err != nil {
		return "", err
	}
	salt := make([]byte, argonSaltBytes)
	_, _ = rand.Read(salt)
	sum := argon2.IDKey([]byte(password), salt, argonPasses, argonMemoryKiB, argonLanes, argonBytes)
	coding := base64.RawStdEncoding
	return fmt.Sprintf("%s:$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", name, argon2.Version, argonMemoryKiB, argonPasses, argonLanes,
		coding.EncodeToString(salt), coding.EncodeToString(sum)), nil
}

// ErrPassword is wrapped by what CheckPassword returns.
var ErrPassword = errors.New("cannot be a password")

// CheckPassword refuses what cannot be sent as a password: nothing, too much, and controls (RFC 7617 section 2).
func CheckPassword(password string) error {
	control := func(c rune) bool { return c < ' ' || c == 0x7f }
	switch {
	case password == "":
		return fmt.Errorf("an empty text %w", ErrPassword)
	case len(password) > PasswordBytesMax:
		return fmt.Errorf("more than %d bytes %w", PasswordBytesMax, ErrPassword)
	case strings.ContainsFunc(password, control):
		return fmt.Errorf("a text with controls in it %w", ErrPassword)
	}
	return nil
}
