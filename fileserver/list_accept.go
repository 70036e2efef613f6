package fileserver

import (
	"mime"
	"strconv"
	"strings"
)

// An acceptRange is one media range of an Accept field that can match a listing.
type acceptRange struct {
	mediaType   string // "text/html", "text/*" or "*/*"
	charset     bool   // it names the charset that listings have
	thousandths int    // the weight: 0 to 1000
}

// listingOffers are the representations of a folder in the order in which they are preferred if the client has no
// preference.
var listingOffers = []struct {
	format          listingFormat
	family, subtype string
}{
	{listingHTML, "text", "html"},
	{listingJSON, "application", "json"},
	{listingText, "text", "plain"},
}

// negotiateListing picks the representation of a folder from the lines of the Accept field, by RFC 9110 section
// 12.5.1: of several ranges that match a type the most specific one gives its weight, and the type of most weight
// wins. Between equal weights the type that was asked for more specifically wins, so that "application/json, */*"
// gets JSON, and then the order HTML, JSON, text. Ranges that are malformed, or have parameters other than
// charset=utf-8, are ignored. Without a field, or if nothing that is asked for can be had, the answer is HTML.
func negotiateListing(acceptLines []string) listingFormat {
	var ranges []acceptRange
	for _, line := range acceptLines {
		for _, part := range splitUnquoted(line, ',') {
			if r, ok := parseAcceptRange(part); ok {
				ranges = append(ranges, r)
			}
		}
	}
	best, bestWeight, bestRank := listingHTML, 0, 0
	for _, o := range listingOffers {
		weight, rank := weightOf(ranges, o.family, o.subtype)
		if weight > bestWeight || weight == bestWeight && weight > 0 && rank > bestRank {
			best, bestWeight, bestRank = o.format, weight, rank
		}
	}
	return best
}

// weightOf returns the weight that ranges give to a type, and how specific the range is that gives it. Of ranges that
// are the same the first counts.
func weightOf(ranges []acceptRange, family, subtype string) (weight, rank int) {
	for _, r := range ranges {
		n := 0
		switch r.mediaType {
		case family + "/" + subtype:
			n = 6
		case family + "/*":
			n = 4
		case "*/*":
			n = 2
		default:
			continue
		}
		if r.charset {
			n++
		}
		if n > rank {
			weight, rank = r.thousandths, n
		}
	}
	return weight, rank
}

// parseAcceptRange reads one element of an Accept field.
func parseAcceptRange(s string) (acceptRange, bool) {
	mediaType, params, err := mime.ParseMediaType(s)
	if err != nil || !strings.Contains(mediaType, "/") {
		return acceptRange{}, false
	}
	r := acceptRange{mediaType: mediaType, thousandths: 1000}
	for name, value := range params {
		switch {
		case name == "q":
			weight, ok := parseWeight(value)
			if !ok {
				return acceptRange{}, false
			}
			r.thousandths = weight
		case name == "charset" && strings.EqualFold(value, "utf-8"):
			r.charset = true
		default:
			return acceptRange{}, false
		}
	}
	return r, true
}

// parseWeight reads a qvalue (RFC 9110 section 12.4.2), 0 to 1 with at most three decimals, in thousandths.
func parseWeight(s string) (int, bool) {
	whole, decimals, _ := strings.Cut(s, ".")
	if whole != "0" && whole != "1" || len(decimals) > 3 {
		return 0, false
	}
	n, err := strconv.ParseUint(whole+(decimals + "000")[:3], 10, 16)
	return int(n), err == nil && n <= 1000
}

// splitUnquoted splits s at each sep that is not inside a quoted string.
func splitUnquoted(s string, sep byte) []string {
	var parts []string
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == sep && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}
