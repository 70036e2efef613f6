package fileserver

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"freshet/fileserver/tree"
)

// namesInOrder returns the names of entries in the order of q.
func namesInOrder(entries []tree.Entry, q listingQuery) []string {
	var names []string
	for _, e := range sortEntries(entries, q) {
		names = append(names, e.Name)
	}
	return names
}

// files returns one file for each name, in an order of no meaning.
func files(names ...string) []tree.Entry {
	var entries []tree.Entry
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(len(names)) {
		entries = append(entries, tree.Entry{Name: names[i], Kind: tree.KindFile})
	}
	return entries
}

func TestNaturalOrder(t *testing.T) {
	tests := []struct {
		name string
		want []string
	}{
		{"numbers_by_value", []string{"a1", "a2", "a9", "a10", "a10b", "a11", "a100"}},
		{"numbers_beyond_64_bits",
			[]string{"1", "18446744073709551615", "18446744073709551616", "99999999999999999999999"}},
		{"zeros_before_a_number", []string{"01", "1", "1a", "01b", "02", "2", "002b"}},
		{"zero_itself", []string{"a", "a0", "a00", "a0b", "a1"}},
		{"numbers_in_several_places", []string{"1.2.3", "1.2.10", "1.10.2", "2.1.1"}},
		{"case_does_not_count", []string{"Apple", "apple", "Banana", "banana", "Cherry"}},
		{"accents_do_not_count", []string{"Arger", "Ärger", "zebra", "Zürich", "zwei"}},
		{"composed_beside_decomposed", []string{"cafe\u0301", "café", "cafeteria"}},
		{"greek_and_cyrillic", []string{"z", "Άλφα", "βήτα", "ёлка", "Ёлка 2", "жук"}},
		{"prefix_first", []string{"a", "a ", "a b", "a.txt", "ab"}},
		{"dot_files_first", []string{".git", ".profile", "_x", "a"}},
		{"not_utf8", []string{"a", "a\xff1", "a\xff2", "a\xff10"}},
		{"digits_before_letters", []string{"-", "5", "10", "a"}},
		{"heads_alike", []string{"same beginning 1", "same beginning 2 and on 2", "same beginning 2 and on 10",
			"same beginning 3"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := namesInOrder(files(test.want...), byName); !slices.Equal(got, test.want) {
				t.Errorf("in order: %q, want %q", got, test.want)
			}
			slices.Reverse(test.want)
			got := namesInOrder(files(test.want...), listingQuery{Sort: sortByName, Descending: true})
			if !slices.Equal(got, test.want) {
				t.Errorf("downwards: %q, want %q", got, test.want)
			}
		})
	}
}

func TestListingOrder(t *testing.T) {
	at := func(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
	folder := tree.Entry{Kind: tree.KindFolder, ModTime: at(2021)}
	big := tree.Entry{Kind: tree.KindFile, Size: 1 << 40, ModTime: at(1960)}
	entries := []tree.Entry{
		{Name: "b10", Kind: tree.KindFile, Size: 5, ModTime: at(2024)},
		{Name: "b9", Kind: tree.KindFile, Size: 5, ModTime: at(2024)},
		{Name: "run", Kind: tree.KindExecutable, Size: 0, ModTime: at(30000)},
		{Name: "zoo", Kind: tree.KindFolder, ModTime: at(2020)},
		{Name: "ant", Kind: tree.KindFolder, ModTime: at(2022)},
		{Name: "to folder", Kind: tree.KindLink, Followed: &folder, ModTime: at(2025)},
		{Name: "to file", Kind: tree.KindLink, Followed: &big, ModTime: at(2025)},
		{Name: "to nothing", Kind: tree.KindLink, Size: 7, ModTime: at(-300)},
	}
	tests := []struct {
		name  string
		query listingQuery
		want  string
	}{
		{"name", byName, "ant, to folder, zoo, b9, b10, run, to file, to nothing"},
		{"name_desc", listingQuery{Sort: sortByName, Descending: true},
			"zoo, to folder, ant, to nothing, to file, run, b10, b9"},
		{"size", listingQuery{Sort: sortBySize}, "ant, to folder, zoo, run, to nothing, b9, b10, to file"},
		{"size_desc", listingQuery{Sort: sortBySize, Descending: true},
			"ant, to folder, zoo, to file, b9, b10, run, to nothing"},
		{"mtime", listingQuery{Sort: sortByTime}, "zoo, to folder, ant, to nothing, to file, b9, b10, run"},
		{"mtime_desc", listingQuery{Sort: sortByTime, Descending: true},
			"ant, to folder, zoo, run, b9, b10, to file, to nothing"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := slices.Clone(entries)
			if got := strings.Join(namesInOrder(entries, test.query), ", "); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			for i := range entries {
				if entries[i].Name != before[i].Name {
					t.Fatal("the caller's entries were moved")
				}
			}
		})
	}
}

func TestTimeValueHoldsAtItsEnds(t *testing.T) {
	tests := []struct {
		at   time.Time
		want int64
	}{
		{time.Unix(0, 5), 5},
		{time.Unix(-1, 5), -1e9 + 5},
		{time.Unix(math.MaxInt64/1_000_000_000+1, 0), math.MaxInt64},
		{time.Unix(-math.MaxInt64/1_000_000_000-1, 0), math.MinInt64},
		{time.Unix(1<<40, 0), math.MaxInt64},
		{time.Time{}, math.MinInt64},
	}
	for _, test := range tests {
		if got := timeValue(test.at); got != test.want {
			t.Errorf("timeValue(%v) = %d, want %d", test.at, got, test.want)
		}
	}
}

// drawName draws short names that have much in common, so that ties and near ties are frequent.
func drawName() *rapid.Generator[string] {
	return rapid.StringOfN(rapid.SampledFrom([]rune("aAäb01.\u0301 \u202e")), 1, 6, -1)
}

func drawQuery(t *rapid.T) listingQuery {
	return listingQuery{
		Sort:       rapid.SampledFrom([]sortKey{sortByName, sortBySize, sortByTime}).Draw(t, "sort"),
		Descending: rapid.Bool().Draw(t, "descending"),
	}
}

func drawEntry(t *rapid.T, name string) tree.Entry {
	e := tree.Entry{
		Name: name, Kind: rapid.SampledFrom([]tree.Kind{tree.KindFile, tree.KindFolder}).Draw(t, "kind"),
		ModTime: time.Unix(rapid.Int64Range(-1, 1).Draw(t, "mtime"), 0),
	}
	if e.Kind == tree.KindFile {
		e.Size = rapid.Int64Range(0, 2).Draw(t, "size")
	}
	return e
}

// The heads only speed up what compare says: sorting by compare alone must give the same.
func TestSortEntriesIsTheOrderOfCompare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := drawQuery(t)
		var entries []tree.Entry
		for _, name := range rapid.SliceOfNDistinct(drawName(), 0, 30, rapid.ID).Draw(t, "names") {
			entries = append(entries, drawEntry(t, name))
		}
		want := make([]place, len(entries))
		for i := range entries {
			want[i] = cursorBehind(&entries[i], q.Sort).place()
		}
		slices.SortFunc(want, func(a, b place) int { return a.compare(b, q) })
		for i, e := range sortEntries(entries, q) {
			if e.Name != want[i].name {
				t.Fatalf("%q is number %d of %+v, want %q", e.Name, i, q, want[i].name)
			}
			if i > 0 && want[i-1].compare(want[i], q) >= 0 {
				t.Fatalf("%q and %q have no order in %+v", want[i-1].name, want[i].name, q)
			}
		}
	})
}

// Whoever walks through the pages meets each entry that stays exactly once, in order, while others come and go and
// the page size changes.
func TestPagesOfAChangingFolder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := drawQuery(t)
		stays, present := map[string]tree.Entry{}, map[string]tree.Entry{}
		for _, name := range rapid.SliceOfNDistinct(drawName(), 0, 20, rapid.ID).Draw(t, "stays") {
			stays[name] = drawEntry(t, name)
		}
		var met []string
		for range 500 {
			for _, name := range rapid.SliceOfN(drawName(), 0, 4).Draw(t, "changes") {
				if _, gone := present[name]; gone {
					delete(present, name)
				} else {
					present[name] = drawEntry(t, name)
				}
			}
			var entries []tree.Entry
			for name, e := range present {
				if _, ok := stays[name]; !ok {
					entries = append(entries, e)
				}
			}
			for _, e := range stays {
				entries = append(entries, e)
			}
			window := cutWindow(entries, q, rapid.IntRange(1, 5).Draw(t, "limit"))
			for _, e := range window.shown() {
				if _, ok := stays[e.Name]; ok {
					met = append(met, e.Name)
				}
			}
			if window.to == len(window.entries) {
				break
			}
			q = q.after(cursorBehind(window.entries[window.to-1], q.Sort))
		}
		var all []tree.Entry
		for _, e := range stays {
			all = append(all, e)
		}
		if want := namesInOrder(all, q); !slices.Equal(met, want) {
			t.Fatalf("met %q, want %q", met, want)
		}
	})
}

func TestCutWindow(t *testing.T) {
	entries := files("a", "b", "c", "d", "e")
	tests := []struct {
		name  string
		after string
		limit int
		want  string
	}{
		{"all", "", 0, "abcde"},
		{"first_two", "", 2, "ab"},
		{"limit_above_all", "", 9, "abcde"},
		{"behind_one", "b", 0, "cde"},
		{"behind_one_that_is_gone", "bb", 2, "cd"},
		{"behind_the_last", "e", 2, ""},
		{"behind_what_comes_before_all", "0", 1, "a"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			q := byName
			if test.after != "" {
				q.After = &cursor{Group: groupOthers, Name: test.after}
			}
			window := cutWindow(entries, q, test.limit)
			got := ""
			for _, e := range window.shown() {
				got += e.Name
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Sorting costs a fixed number of allocations, however many entries there are.
func TestSortEntriesAllocations(t *testing.T) {
	entries := manyEntries(2000)
	for _, by := range []sortKey{sortByName, sortBySize, sortByTime} {
		allocs := testing.AllocsPerRun(5, func() { sortEntries(entries, listingQuery{Sort: by}) })
		if allocs > 8 {
			t.Errorf("by %s: %v allocations", by, allocs)
		}
	}
}

func Example_naturalKey() {
	fmt.Printf("%q\n", appendNaturalKey(nil, "Café 007.TXT"))
	// Output: "cafe 0\x017.txt"
}
