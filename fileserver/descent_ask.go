package fileserver

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"freshet/fileserver/problem"
	"freshet/fileserver/tree"
	"freshet/hashing"
)

const (
	questionBytesMax          = 1 << 20  // bytes of the body of one question
	questionsBytesMax         = 64 << 20 // bytes of all questions that are being read
	questionFoldersMax        = 10_000   // folders in one question
	descentEntriesDefault     = 5000     // entries after which the other folders of an answer are left for later
	descentEntriesMax         = 100_000  // the most that a question may ask for
	levelsMax             int = math.MaxInt32
)

// A question is the body of POST v1/tree:
//
//	{"have":{"a/":"…","a/b/":null},"have64":{"Yf8v":"…"},"depth":1,"limit":5000}
//
// have gives, for each folder that is asked about, the fingerprint that the client knows, in 32 hex digits, or null. A folder
// is written as its path below the root, not escaped, with a slash behind each name; the root is "". In have64 paths stand in
// base64 (RFC 4648 section 4), for names that are not UTF-8. depth is how many levels of folders are listed from one on that
// differs: 1, the default, or more, or "infinity"; folders below it that the client has are compared too. limit is the number
// of entries after which no further folder is begun.
type question struct {
	have    map[tree.Path]hashing.Digest // zero: nothing is known of it
	folders []tree.Path                  // the keys of have, sorted
	depth   int
	limit   int
}

// readQuestion reads the body of r. Of all bodies that are being read at a time, only so much is held in memory.
func (s *Server) readQuestion(w *reply, r *http.Request) (*question, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, problem.MediaType.Errorf("The question is asked in application/json.")
	}
	size := r.ContentLength
	if size < 0 {
		size = questionBytesMax
	}
	if size > questionBytesMax {
		return nil, problem.AskedTooMuch.Errorf("It is longer than %d bytes.", questionBytesMax)
	}
	if !s.questions.TryAcquire(size) {
		return nil, fmt.Errorf("%w: other questions are being read", tree.ErrBusy)
	}
	defer s.questions.Release(size)
	body, err := io.ReadAll(io.LimitReader(bodyOf(w), questionBytesMax+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > questionBytesMax:
		return nil, problem.AskedTooMuch.Errorf("It is longer than %d bytes.", questionBytesMax)
	}
	return parseQuestion(body)
}

// parseQuestion reads a question. It refuses what is not exactly one: unknown members, members given twice, a folder named
// twice, and paths that the tree refuses.
func parseQuestion(body []byte) (*question, error) {
	if !utf8.Valid(body) {
		return nil, problem.Asked.Errorf("It is not UTF-8.")
	}
	p := questionParser{json: json.NewDecoder(bytes.NewReader(body))}
	p.json.UseNumber()
	p.question = question{have: map[tree.Path]hashing.Digest{}, depth: 1, limit: descentEntriesDefault}
	if err := p.object(p.member); err != nil {
		return nil, err
	}
	if _, err := p.json.Token(); !errors.Is(err, io.EOF) {
		return nil, problem.Asked.Errorf("Something follows the object.")
	}
	if !p.seen["have"] && !p.seen["have64"] {
		return nil, problem.Asked.Errorf("It has no have.")
	}
	for folder := range p.question.have {
		p.question.folders = append(p.question.folders, folder)
	}
	slices.SortFunc(p.question.folders, func(a, b tree.Path) int { return strings.Compare(a.String(), b.String()) })
	return &p.question, nil
}

// A questionParser reads a question token by token, since a decoder that fills a map keeps the last of two equal names and
// tells nobody.
type questionParser struct {
	json     *json.Decoder
	question question
	seen     map[string]bool // members of the object
}

// object reads an object and calls member for each name in it, to read the value.
func (p *questionParser) object(member func(name string) error) error {
	if token, err := p.json.Token(); err != nil || token != json.Delim('{') {
		return problem.Asked.Errorf("It is not the JSON object that it should be.")
	}
	for p.json.More() {
		token, err := p.json.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return notJSON()
		}
		if err := member(name); err != nil {
			return err
		}
	}
	if _, err := p.json.Token(); err != nil {
		return notJSON()
	}
	return nil
}

func notJSON() error { return problem.Asked.Errorf("It is not well-formed JSON.") }

// member reads one member of the question.
func (p *questionParser) member(name string) (err error) {
	if p.seen[name] {
		return problem.Asked.Errorf("It has %.40q twice.", name)
	}
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	p.seen[name] = true
	switch name {
	case "have":
		return p.object(func(path string) error { return p.folder(path) })
	case "have64":
		return p.object(func(coded string) error {
			path, err := base64.StdEncoding.Strict().DecodeString(coded)
			if err != nil {
				return problem.Asked.Errorf("%.80q is not base64.", coded)
			}
			return p.folder(string(path))
		})
	case "depth":
		p.question.depth, err = p.number(name, levelsMax)
	case "limit":
		p.question.limit, err = p.number(name, descentEntriesMax)
	default:
		err = problem.Asked.Errorf("%.40q is not known here.", name)
	}
	return err
}

// folder reads the fingerprint that the client has of a folder.
func (p *questionParser) folder(path string) error {
	folder, err := folderOf(path)
	if err != nil {
		return err
	}
	if _, twice := p.question.have[folder]; twice {
		return problem.Asked.Errorf("The folder %.80q is in it twice.", path)
	}
	if len(p.question.have) == questionFoldersMax {
		return problem.AskedTooMuch.Errorf("It has more than %d folders.", questionFoldersMax)
	}
	token, err := p.json.Token()
	if err != nil {
		return notJSON()
	}
	var have hashing.Digest
	if token != nil {
		text, _ := token.(string)
		if have, err = hashing.ParseDigest(text); err != nil {
			return problem.Asked.Errorf("The fingerprint of %.80q is neither 32 lower-case hex digits nor null.", path)
		}
	}
	p.question.have[folder] = have
	return nil
}

// folderOf reads the path of a folder as descents write it. Every folder has one spelling only.
func folderOf(path string) (p tree.Path, err error) {
	rest, ok := strings.CutSuffix(path, "/")
	if path == "" {
		return tree.Path{}, nil
	}
	for name := range strings.SplitSeq(rest, "/") {
		if err == nil {
			p, err = p.Join(name)
		}
	}
	if err != nil || !ok {
		return tree.Path{}, problem.Asked.Errorf("%.80q is not the path of a folder, such as \"docs/a/\".", path)
	}
	return p, nil
}

// number reads a number from 1 on; what exceeds most is taken for most. "infinity" does for a depth.
func (p *questionParser) number(name string, most int) (int, error) {
	token, err := p.json.Token()
	if err != nil {
		return 0, notJSON()
	}
	if token == depthInfinity && name == "depth" {
		return most, nil
	}
	digits, _ := token.(json.Number)
	n, err := strconv.ParseUint(digits.String(), 10, 63)
	if err != nil || n == 0 {
		return 0, problem.Asked.Errorf("%s is not a number from 1 on.", name)
	}
	return int(min(n, uint64(most))), nil
}

// withRoot returns the folders and the root.
func (q *question) withRoot() []tree.Path {
	if _, ok := q.have[tree.Path{}]; ok {
		return q.folders
	}
	return append([]tree.Path{{}}, q.folders...)
}

// levels returns how many levels of folders, from the root on, an answer may need; 0: all.
func (q *question) levels() int {
	deepest := 0
	for _, p := range q.folders {
		if !p.IsRoot() {
			deepest = max(deepest, strings.Count(p.String(), "/")+1)
		}
	}
	if q.depth > levelsMax-deepest {
		return 0
	}
	return deepest + q.depth
}
