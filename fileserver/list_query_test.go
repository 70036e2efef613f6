package fileserver

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"freshet/fileserver/tree"
)

func TestParseListingQuery(t *testing.T) {
	longName := strings.Repeat("x", tree.NameBytesMax)
	tests := []struct {
		name, query string
		want        listingQuery
	}{
		{"nothing", "", byName},
		{"unknown_keys", "q=x&layout=grid&view", byName},
		{"by_name", "sort=name&dir=asc", byName},
		{"by_size", "sort=size", listingQuery{Sort: sortBySize}},
		{"by_time_downwards", "sort=mtime&dir=desc", listingQuery{Sort: sortByTime, Descending: true}},
		{"names_downwards", "dir=desc", listingQuery{Sort: sortByName, Descending: true}},
		{"limit", "limit=20", listingQuery{Sort: sortByName, Limit: 20}},
		{"largest_limit", fmt.Sprintf("limit=%d", listingLimitMax),
			listingQuery{Sort: sortByName, Limit: listingLimitMax}},
		{"after_a_file", "after=f.a%20b.txt",
			listingQuery{Sort: sortByName, After: &cursor{Group: groupOthers, Name: "a b.txt"}}},
		{"after_a_folder", "after=d.x", listingQuery{Sort: sortByName, After: &cursor{Group: groupFolders, Name: "x"}}},
		{"after_a_dot_file", "after=f..git",
			listingQuery{Sort: sortByName, After: &cursor{Group: groupOthers, Name: ".git"}}},
		{"after_a_size", "sort=size&after=f12.a", listingQuery{Sort: sortBySize, After: &cursor{groupOthers, 12, "a"}}},
		{"after_a_time_before_1970", "sort=mtime&after=d-5.a",
			listingQuery{Sort: sortByTime, After: &cursor{groupFolders, -5, "a"}}},
		{"after_bytes_that_are_not_utf8", "after=f.%FF%0A",
			listingQuery{Sort: sortByName, After: &cursor{Group: groupOthers, Name: "\xff\n"}}},
		{"after_the_longest_name", "after=f." + longName,
			listingQuery{Sort: sortByName, After: &cursor{Group: groupOthers, Name: longName}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			values, err := url.ParseQuery(test.query)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := parseListingQuery(values); err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("parseListingQuery(%q) = %+v, %v; want %+v", test.query, got, err, test.want)
			}
		})
	}
}

func TestParseListingQueryRefuses(t *testing.T) {
	tests := []struct{ name, query, says string }{
		{"sort_by_nothing", "sort=", "sort"},
		{"sort_by_something_else", "sort=colour", `"colour"`},
		{"sort_in_capitals", "sort=Name", `"Name"`},
		{"sort_twice", "sort=name&sort=size", "2 times"},
		{"dir_unknown", "dir=up", `"up"`},
		{"dir_empty", "dir=", "dir"},
		{"limit_zero", "limit=0", "limit"},
		{"limit_empty", "limit=", "limit"},
		{"limit_negative", "limit=-1", "limit"},
		{"limit_with_sign", "limit=%2B1", "limit"},
		{"limit_too_large", fmt.Sprintf("limit=%d", listingLimitMax+1), "limit"},
		{"limit_beyond_64_bits", "limit=99999999999999999999", "limit"},
		{"limit_not_a_number", "limit=ten", "limit"},
		{"after_nothing", "after=", "after"},
		{"after_no_dot", "after=f", "after"},
		{"after_no_name", "after=f.", "after"},
		{"after_no_group", "after=.x", "after"},
		{"after_another_group", "after=l.x", "after"},
		{"after_a_size_by_name", "after=f12.x", "after"},
		{"after_a_name_by_size", "sort=size&after=f.x", "after"},
		{"after_a_size_that_is_none", "sort=size&after=f1e3.x", "after"},
		{"after_too_long_a_name", "after=f." + strings.Repeat("x", tree.NameBytesMax+1), "after"},
		{"after_twice", "after=f.a&after=f.a", "2 times"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			values, err := url.ParseQuery(test.query)
			if err != nil {
				t.Fatal(err)
			}
			_, err = parseListingQuery(values)
			if !errors.Is(err, errListingQuery) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("parseListingQuery(%q) failed with %v, want one about %s", test.query, err, test.says)
			}
			if len(err.Error()) > 200 {
				t.Errorf("the error repeats too much of the query: %v", err)
			}
		})
	}
}

// FuzzParseListingQuery holds that what is read and written as a link is read as the same again.
func FuzzParseListingQuery(f *testing.F) {
	for _, seed := range []string{
		"", "sort=size&dir=desc&limit=3", "sort=mtime&after=d-9223372036854775808.x", "after=f.%22%3E%3Csvg%3E",
		"after=f.a%FF&limit=1",
		"limit=007",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		q, err := parseListingQuery(values)
		if err != nil {
			if !errors.Is(err, errListingQuery) {
				t.Fatalf("%q: %v is not errListingQuery", query, err)
			}
			return
		}
		link, err := url.Parse(q.link())
		if err != nil || link.Path != "" && link.Path != "./" || link.Host != "" || link.Scheme != "" {
			t.Fatalf("%q: link %q leads elsewhere (%v)", query, q.link(), err)
		}
		again, err := parseListingQuery(link.Query())
		if err != nil || !reflect.DeepEqual(again, q) {
			t.Errorf("%q: link %q is read as %+v, %v; want %+v", query, q.link(), again, err, q)
		}
	})
}
