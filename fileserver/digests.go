package fileserver

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"hash/adler32"
	"io"
	"net/http"
	"strings"

	"github.com/dunglas/httpsfv"

	"freshet/fileserver/problem"
)

// An algorithm is a way to check a body that a client may choose. Those that are broken for other ends still show
// damage.
type algorithm struct {
	name string
	new  func() hash.Hash
}

var (
	algorithmSHA256  = &algorithm{"sha-256", sha256.New}
	algorithmSHA512  = &algorithm{"sha-512", sha512.New}
	algorithmSHA1    = &algorithm{"sha-1", sha1.New}
	algorithmMD5     = &algorithm{"md5", md5.New}
	algorithmAdler32 = &algorithm{"adler-32", func() hash.Hash { return adler32.New() }}
)

// digestFields are the dictionaries of RFC 9530. Of a PUT that is neither partial nor coded, content and
// representation are the same bytes.
var digestFields = []string{"Content-Digest", "Repr-Digest"}

// dictionaryAlgorithms are those that RFC 9530 registers as fit for use. Others are ignored, as it asks.
var dictionaryAlgorithms = map[string]*algorithm{"sha-256": algorithmSHA256, "sha-512": algorithmSHA512}

// checksumAlgorithms are the types of OC-Checksum. Others are ignored.
var checksumAlgorithms = map[string]*algorithm{
	"SHA1": algorithmSHA1, "MD5": algorithmMD5, "SHA256": algorithmSHA256, "ADLER32": algorithmAdler32,
}

// An offeredDigest is one that the body must have.
type offeredDigest struct {
	field     string
	algorithm *algorithm
	sum       []byte
}

type digestList []offeredDigest

// add appends a digest of the right length.
func (l *digestList) add(field string, a *algorithm, sum []byte) error {
	if want := a.new().Size(); len(sum) != want {
		return problem.Header.Errorf("%s has a %s digest of %d bytes instead of %d.", field, a.name, len(sum), want)
	}
	*l = append(*l, offeredDigest{field, a, sum})
	return nil
}

// readDigests returns the digests that h offers. Malformed fields are refused: a client that sends one wants its body
// checked.
func readDigests(h http.Header) (list digestList, err error) {
	if len(h) == 0 {
		return nil, nil
	}
	for _, field := range digestFields {
		if err := list.readDictionary(field, h[field]); err != nil {
			return nil, err
		}
	}
	for _, line := range h["Content-Md5"] {
		sum, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return nil, problem.Header.Errorf("Content-MD5 is not base64.")
		}
		if err := list.add("Content-MD5", algorithmMD5, sum); err != nil {
			return nil, err
		}
	}
	for _, line := range h["Oc-Checksum"] {
		if err := list.readChecksums(line); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (l *digestList) readDictionary(field string, lines []string) error {
	if len(lines) == 0 || len(lines) == 1 && lines[0] == "" {
		return nil
	}
	dictionary, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil {
		return problem.Header.Errorf("%s is not a dictionary of digests (RFC 9530).", field)
	}
	for _, key := range dictionary.Names() {
		a := dictionaryAlgorithms[key]
		if a == nil {
			continue
		}
		member, _ := dictionary.Get(key)
		item, _ := member.(httpsfv.Item)
		sum, ok := item.Value.([]byte)
		if !ok {
			return problem.Header.Errorf("%s has no byte sequence for %s (RFC 9530).", field, key)
		}
		if err := l.add(field, a, sum); err != nil {
			return err
		}
	}
	return nil
}

// readChecksums reads "SHA1:hex", several of them apart by spaces.
func (l *digestList) readChecksums(line string) error {
	for word := range strings.FieldsSeq(line) {
		kind, digits, ok := strings.Cut(word, ":")
		if !ok {
			return problem.Header.Errorf("OC-Checksum is not TYPE:hex.")
		}
		a := checksumAlgorithms[strings.ToUpper(kind)]
		if a == nil {
			continue
		}
		sum, err := hex.DecodeString(digits)
		if err != nil {
			return problem.Header.Errorf("OC-Checksum has no hex digits for %s.", a.name)
		}
		if err := l.add("OC-Checksum", a, sum); err != nil {
			return err
		}
	}
	return nil
}

// sums are the digests of a body that is being received, one for each algorithm that may be asked for.
type sums map[*algorithm]hash.Hash

// newSums makes what list needs, and what a digest in the announced trailer may need.
func newSums(list digestList, trailer http.Header) sums {
	if len(list) == 0 && len(trailer) == 0 {
		return nil
	}
	s := sums{}
	for _, d := range list {
		s.need(d.algorithm)
	}
	for _, field := range digestFields {
		if _, ok := trailer[field]; ok {
			s.need(algorithmSHA256)
			s.need(algorithmSHA512)
		}
	}
	if _, ok := trailer["Content-Md5"]; ok {
		s.need(algorithmMD5)
	}
	if _, ok := trailer["Oc-Checksum"]; ok {
		for _, a := range checksumAlgorithms {
			s.need(a)
		}
	}
	return s
}

func (s sums) need(a *algorithm) {
	if s[a] == nil {
		s[a] = a.new()
	}
}

// tee returns a writer to w and to all sums.
func (s sums) tee(w io.Writer) io.Writer {
	all := []io.Writer{w}
	for _, h := range s {
		all = append(all, h)
	}
	return io.MultiWriter(all...)
}

// verify compares the sums with what was offered.
func (s sums) verify(list digestList) error {
	for _, d := range list {
		h := s[d.algorithm]
		if h == nil {
			return problem.Header.Errorf("%s came in a trailer that the Trailer field does not announce.", d.field)
		}
		if got := h.Sum(nil); !bytes.Equal(got, d.sum) {
			return problem.Digest.Errorf("%s offers %s %x, the bytes that came have %x.",
				d.field, d.algorithm.name, d.sum, got)
		}
	}
	return nil
}
