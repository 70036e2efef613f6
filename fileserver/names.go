package fileserver

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// extensionBytesMax is the longest ending, dot included, that is taken for the extension of a name.
	extensionBytesMax = 16
	// longNameRunes is the length from which a name is given with its end apart, so that a page that has no room for
	// all of it can cut it in the middle.
	longNameRunes = 28
	// tailRunes is how much of the stem stays with the extension when a long name is cut.
	tailRunes = 6
)

// A namePart is a piece of a name as a person may safely be shown it. A mark stands for one character that cannot be
// seen or changes how the rest reads, or for one byte that is not UTF-8: ⟦RLO⟧, ⟦LF⟧, ⟦U+2061⟧, ⟦FF⟧.
type namePart struct {
	Text string
	Mark bool
}

// A shownName is the name of a file or folder in the parts that a page isolates from each other, so that no direction
// of writing moves the extension away from the end.
type shownName struct {
	Stem, Tail, Ext []namePart // Tail is the end of a long stem
	Full            string     // the whole of a long name, with its marks as text
	Strange         bool       // there are marks
}

// showFile splits the name of a file.
func showFile(name string) shownName {
	stem, ext := splitExtension(name)
	return showParts(name, len(stem), ext)
}

// showFolder splits the name of a folder, which has no extension.
func showFolder(name string) shownName { return showParts(name, len(name), "") }

func showParts(name string, stemBytes int, ext string) shownName {
	headBytes := headOf(name[:stemBytes])
	n := shownName{
		Stem: nameParts(name, 0, headBytes),
		Tail: nameParts(name, headBytes, stemBytes),
		Ext:  nameParts(name, stemBytes, stemBytes+len(ext)),
	}
	for _, parts := range [][]namePart{n.Stem, n.Tail, n.Ext} {
		n.Strange = n.Strange || slices.ContainsFunc(parts, func(p namePart) bool { return p.Mark })
	}
	if utf8.RuneCountInString(name) > longNameRunes {
		n.Full = n.String()
	}
	return n
}

// String returns the name with its marks as plain text, for places that hold no elements: a title, an attribute.
func (n shownName) String() string { return joinParts(n.Stem) + joinParts(n.Tail) + joinParts(n.Ext) }

func joinParts(parts []namePart) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.Text)
	}
	return b.String()
}

// splitExtension cuts name before its last dot. A name that begins with its only dot has no extension, and neither
// has one whose last dot is followed by nothing, by a space or by more than extensionBytesMax bytes.
func splitExtension(name string) (stem, ext string) {
	i := strings.LastIndexByte(name, '.')
	if i <= 0 || i == len(name)-1 || len(name)-i > extensionBytesMax || strings.ContainsRune(name[i:], ' ') {
		return name, ""
	}
	return name[:i], name[i:]
}

// headOf returns how many bytes of a stem may be cut short so that its last few characters stay in sight: all of them
// unless it is long. Only an end of letters that neither join nor combine with what is before them is kept apart, and
// only in a name that is written from left to right throughout: elsewhere a cut would change how the name reads.
func headOf(stem string) int {
	if utf8.RuneCountInString(stem) <= longNameRunes {
		return len(stem)
	}
	cut := len(stem) - tailRunes
	for i, r := range stem {
		if writtenLeftwards(r) || i >= cut && (r < ' ' || r >= 0x7f) {
			return len(stem)
		}
	}
	if !utf8.RuneStart(stem[cut]) {
		return len(stem)
	}
	return cut
}

// writtenLeftwards reports whether r is in one of the blocks that Unicode sets aside for scripts written from right
// to left, or directs the writing itself.
func writtenLeftwards(r rune) bool {
	return r >= 0x0590 && r <= 0x08ff || r >= 0x200e && r <= 0x200f || r >= 0x202a && r <= 0x202e ||
		r >= 0x2066 && r <= 0x2069 ||
		r >= 0xfb1d && r <= 0xfdff || r >= 0xfe70 && r <= 0xfefc ||
		r >= 0x10800 && r <= 0x10fff || r >= 0x1e800 && r <= 0x1efff
}

// nameParts splits name[from:to] into text and marks.
func nameParts(name string, from, to int) []namePart {
	var parts []namePart
	text := from // where the text began that is not in parts yet
	for i := from; i < to; {
		r, size := utf8.DecodeRuneInString(name[i:to])
		if !strangeAt(name, i, r, size) {
			i += size
			continue
		}
		if text < i {
			parts = append(parts, namePart{Text: name[text:i]})
		}
		parts = append(parts, namePart{Text: markOf(name[i], r, size), Mark: true})
		i += size
		text = i
	}
	if text < to {
		parts = append(parts, namePart{Text: name[text:to]})
	}
	return parts
}

// strangeAt reports whether the rune r, size bytes at name[i], cannot be shown as it is: a byte that is not UTF-8, or
// a character that nobody can see or that changes how others read.
func strangeAt(name string, i int, r rune, size int) bool {
	switch {
	case r == ' ':
		return i == 0 || i+size == len(name)
	case r > ' ' && r < 0x7f:
		return false
	case r == utf8.RuneError && size == 1:
		return true
	case r == zeroWidthNonJoiner || r == zeroWidthJoiner:
		before, n := utf8.DecodeLastRuneInString(name[:i])
		after, m := utf8.DecodeRuneInString(name[i+size:])
		return n <= 1 || m <= 1 || !joins(before) || !joins(after) // nothing, ASCII and what is not UTF-8 never join
	case unicode.Is(unicode.Zs, r):
		return i == 0 || i+size == len(name)
	}
	return invisible(r)
}

// invisible reports whether r has no shape of its own: controls, format characters but for those that are seen as
// signs, line and paragraph separators, and the letters that are blank by definition.
func invisible(r rune) bool {
	switch r {
	case 0x034f, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x3164, 0xffa0:
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp) ||
		unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r)
}

const (
	zeroWidthNonJoiner = 0x200c
	zeroWidthJoiner    = 0x200d
)

// joins reports whether a joiner beside r may be part of how a word or picture is spelled: Persian and the scripts of
// India need them, and so do emoji made of several.
func joins(r rune) bool {
	return r == emojiPresentation || unicode.In(r, unicode.So, unicode.Sk,
		unicode.Arabic, unicode.Syriac, unicode.Nko, unicode.Mongolian, unicode.Devanagari, unicode.Bengali,
		unicode.Gurmukhi, unicode.Gujarati, unicode.Oriya, unicode.Tamil, unicode.Telugu, unicode.Kannada,
		unicode.Malayalam, unicode.Sinhala, unicode.Khmer, unicode.Myanmar)
}

// emojiPresentation is the variation selector that asks for a character to be drawn as a picture.
const emojiPresentation = 0xfe0f

// markNames are the abbreviations by which the Unicode charts call characters that are not seen.
var markNames = map[rune]string{
	0x00: "NUL", 0x01: "SOH", 0x02: "STX", 0x03: "ETX", 0x04: "EOT", 0x05: "ENQ", 0x06: "ACK", 0x07: "BEL",
	0x08: "BS", 0x09: "TAB", 0x0a: "LF", 0x0b: "VT", 0x0d: "CR", 0x0e: "SO", 0x0f: "SI",
	0x10: "DLE", 0x11: "DC1", 0x12: "DC2", 0x13: "DC3", 0x14: "DC4", 0x15: "NAK", 0x16: "SYN", 0x17: "ETB",
	0x18: "CAN", 0x19: "EM", 0x1a: "SUB", 0x1b: "ESC", 0x1c: "FS", 0x1d: "GS", 0x1e: "RS", 0x1f: "US",
	0x20: "SP", 0x7f: "DEL", 0x85: "NEL", 0xa0: "NBSP", 0xad: "SHY", 0x034f: "CGJ", 0x061c: "ALM", 0x180e: "MVS",
	0x200b: "ZWSP", zeroWidthNonJoiner: "ZWNJ", zeroWidthJoiner: "ZWJ", 0x200e: "LRM", 0x200f: "RLM",
	0x2028: "LS", 0x2029: "PS", 0x202a: "LRE", 0x202b: "RLE", 0x202c: "PDF", 0x202d: "LRO", 0x202e: "RLO",
	0x2060: "WJ", 0x2066: "LRI", 0x2067: "RLI", 0x2068: "FSI", 0x2069: "PDI", 0xfeff: "ZWNBSP",
}

// markOf returns the mark for r, or for the byte b if it is not UTF-8. A form feed and the byte FF share one
// abbreviation in the charts, so the form feed is given by number.
func markOf(b byte, r rune, size int) string {
	if r == utf8.RuneError && size == 1 {
		return fmt.Sprintf("⟦%02X⟧", b)
	}
	if name, ok := markNames[r]; ok {
		return "⟦" + name + "⟧"
	}
	return fmt.Sprintf("⟦U+%04X⟧", r)
}

// textParts splits a sentence, which may have names in it, into text and marks.
func textParts(s string) []namePart { return nameParts(s, 0, len(s)) }

// plainText returns s with its marks as text.
func plainText(s string) string { return joinParts(textParts(s)) }
