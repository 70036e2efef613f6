package fileserver

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"freshet/fileserver/tree"
	"freshet/web"
)

// savedNamesMax is how many names of files that were saved a conflict page lists; more are counted.
const savedNamesMax = 5

// A problemPage is what web.PageProblem shows.
type problemPage struct {
	pageFrame
	Status                string
	Heading, Detail, Next []namePart
	Root                  shownName
}

// renderProblemPage writes the page that tells a browser why its request was refused: what happened, why, and in next
// what to do about it. detail and next may be empty. Names in the texts need no care: they are shown with their
// marks.
func renderProblemPage(w io.Writer, status int, title, detail, next string, page pageContext) error {
	return renderPage(w, web.PageProblem, problemPage{
		pageFrame: frameOf(plainText(title), page, false),
		Status:    strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status)),
		Heading:   textParts(title),
		Detail:    textParts(detail),
		Next:      textParts(next),
		Root:      showFolder(page.Root),
	})
}

// An uploadConflict is a file of an upload form that was refused because of what has its name.
type uploadConflict struct {
	Name    string      // on the server, as the form asked for it
	Current *tree.Entry // what has the name now; nil if nothing has it any more
	IfMatch string      // the tag that the form asked to replace; empty if the file was to be new
	Saved   []string    // names of the files of the same form that were stored before this one
}

// A conflictPage is what web.PageConflict shows.
type conflictPage struct {
	pageFrame
	Crumbs    []crumb
	Name      shownName
	What      string // the end of the sentence that begins with Name
	Several   bool   // the form may have had other files
	Saved     []shownName
	SavedMore int
	Current   *currentVersion // nil if there is no file of that name
	KeepBoth  *uploadForm
	Replace   *uploadForm // nil if that is not to be had
	Folder    string
}

// A currentVersion is the file that was not overwritten.
type currentVersion struct{ Size, Modified, ModifiedUTC, Version, Tag, URL string }

// An uploadForm is a way to send the file again.
type uploadForm struct{ Action, Heading, Text, As, Button, Version, Tag string }

// renderConflictPage writes the page that answers a refused file of an upload form to the folder at p. It shows what
// has the name now and offers two forms that work without JavaScript: the upload under another name, once more on
// condition that the name is free, and in place of the version that is shown, on condition that it is still that one.
// The latter is not offered while the tag is unknown, nor for a name that a browser's form cannot send.
func renderConflictPage(w io.Writer, p tree.Path, c uploadConflict, page pageContext) error {
	name := showFile(c.Name)
	v := conflictPage{
		Crumbs:  append(crumbsTo(p, page), crumb{Name: showFolder(folderName(p, page)), URL: p.URL(true)}),
		Name:    name,
		What:    c.what(),
		Several: c.IfMatch == "",
		Folder:  p.URL(true),
	}
	v.pageFrame = frameOf(name.String()+" "+v.What, page, true)
	for _, saved := range c.Saved[:min(len(c.Saved), savedNamesMax)] {
		v.Saved = append(v.Saved, showFile(saved))
	}
	v.SavedMore = len(c.Saved) - len(v.Saved)
	if c.file() != nil {
		v.Current = versionOf(c.file(), v.Folder+tree.EscapeName(c.Name), page.Now.Location())
	}
	v.KeepBoth, v.Replace = c.keepBoth(v.Folder, page.Now), c.replace(v.Folder)
	return renderPage(w, web.PageConflict, v)
}

// file returns the file that has the name now, or nil.
func (c *uploadConflict) file() *tree.Entry {
	if c.Current == nil || !leadsTo(c.Current).IsFile() {
		return nil
	}
	return leadsTo(c.Current)
}

func (c *uploadConflict) what() string {
	switch {
	case c.Current == nil:
		return "is not there any more"
	case c.file() == nil:
		return "is not the name of a file"
	case c.IfMatch != "":
		return "has changed since you looked at it"
	}
	return "exists already"
}

func versionOf(e *tree.Entry, url string, zone *time.Location) *currentVersion {
	v := currentVersion{Size: sizeText(e.Size), Version: shortVersion(e.ETag()), Tag: e.ETag(), URL: url}
	v.Modified, v.ModifiedUTC = timeText(e.ModTime, zone)
	return &v
}

func (c *uploadConflict) keepBoth(folder string, now time.Time) *uploadForm {
	if c.Current == nil {
		return &uploadForm{Action: folder, Heading: "Upload it as a new file", Button: "Upload", As: formName(c.Name),
			Text: "It is stored unless someone has taken the name in the meantime."}
	}
	return &uploadForm{Action: folder, Heading: "Keep both", Button: "Keep both", As: keepBothName(c.Name, now),
		Text: "Your file is stored under another name, beside the one that is there."}
}

func (c *uploadConflict) replace(folder string) *uploadForm {
	e := c.file()
	if e == nil || e.ETag() == "" || formName(c.Name) != c.Name {
		return nil
	}
	return &uploadForm{Action: folder, As: c.Name, Version: shortVersion(e.ETag()), Tag: e.ETag()}
}

// keepBothName returns a name for a second file of that name: "menu (yours 2026-11-22 14.02).md". It fits
// tree.NameBytesMax and can be sent by a form.
func keepBothName(name string, now time.Time) string {
	stem, ext := splitExtension(formName(name))
	ext = now.Format(" (yours 2006-01-02 15.04)") + ext
	for len(stem)+len(ext) > tree.NameBytesMax {
		_, size := utf8.DecodeLastRuneInString(stem)
		stem = stem[:len(stem)-size]
	}
	return stem + ext
}

// formName returns name with an underscore for what does not arrive as it was sent: bytes that are not UTF-8, which a
// page cannot hold, and controls, of which browsers rewrite some.
func formName(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, "_"))
}
