package fileserver

import (
	"strings"
	"testing"
)

func TestNegotiateListing(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		want  listingFormat
	}{
		{"no_field", nil, listingHTML},
		{"empty_line", []string{""}, listingHTML},
		{"any_type", []string{"*/*"}, listingHTML},
		{"any_type_little_wanted", []string{"*/*;q=0.1"}, listingHTML},
		{"browser", []string{"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"},
			listingHTML},
		{"json_alone", []string{"application/json"}, listingJSON},
		{"text_alone", []string{"text/plain"}, listingText},
		{"case_does_not_count", []string{"Application/JSON"}, listingJSON},
		{"any_text", []string{"text/*"}, listingHTML},
		{"any_application", []string{"application/*"}, listingJSON},
		{"any_image", []string{"image/*"}, listingHTML},
		{"nothing_acceptable", []string{"image/png, text/csv"}, listingHTML},
		{"everything_refused", []string{"*/*;q=0"}, listingHTML},

		{"heavier_wins", []string{"text/html;q=0.5, application/json;q=0.6"}, listingJSON},
		{"heavier_by_a_thousandth", []string{"text/html;q=0.5, text/plain;q=0.501"}, listingText},
		{"equal_weights_html_first", []string{"text/plain, application/json, text/html"}, listingHTML},
		{"equal_weights_json_before_text", []string{"text/plain, application/json"}, listingJSON},
		{"named_before_any_of_equal_weight", []string{"application/json, text/plain, */*"}, listingJSON},
		{"named_before_family_of_equal_weight", []string{"text/*, text/plain"}, listingText},
		{"family_before_any_of_equal_weight", []string{"*/*, application/*"}, listingJSON},

		{"specific_range_gives_the_weight", []string{"text/*;q=0.9, text/html;q=0.1, application/json;q=0.5"},
			listingText},
		{"html_refused_by_name", []string{"text/html;q=0, */*"}, listingJSON},
		{"html_and_json_refused", []string{"*/*, application/json;q=0, text/html;q=0.0"}, listingText},
		{"first_of_two_the_same", []string{"application/json;q=0.1, application/json, text/plain;q=0.5"}, listingText},
		{"charset_is_more_specific", []string{"text/plain;charset=utf-8, text/plain;q=0.1, text/html;q=0.9"},
			listingText},
		{"any_type_with_charset_is_not",
			[]string{`*/*;charset="UTF-8";q=0.9, text/html;q=0.1, text/plain;q=0.2`}, listingJSON},
		{"another_charset_cannot_be_had", []string{"text/plain;charset=latin1"}, listingHTML},
		{"another_parameter_cannot_be_had", []string{"application/json;odata=verbose, text/plain;q=0.1"}, listingText},

		{"several_lines", []string{"image/png", "application/json"}, listingJSON},
		{"lines_are_one_list", []string{"application/json;q=0.2", "text/plain;q=0.3"}, listingText},
		{"spaces_and_empty_parts", []string{" , ,\tapplication/json ; q=1 ,, "}, listingJSON},
		{"comma_in_a_quoted_string", []string{`x/y;a="b, text/plain, c\", text/plain", application/json;q=0.1`},
			listingJSON},
		{"semicolon_in_a_quoted_string", []string{`text/plain;a="b;q=1", application/json;q=0.1`}, listingJSON},

		{"weight_above_one", []string{"text/plain;q=1.1, application/json;q=0.1"}, listingJSON},
		{"weight_of_four_decimals", []string{"text/plain;q=0.9999, application/json;q=0.1"}, listingJSON},
		{"weight_negative", []string{"text/plain;q=-1, application/json;q=0.1"}, listingJSON},
		{"weight_without_a_zero", []string{"text/plain;q=.9, application/json;q=0.1"}, listingJSON},
		{"weight_empty", []string{"text/plain;q=, application/json;q=0.1"}, listingJSON},
		{"weight_not_a_number", []string{"text/plain;q=0.x, application/json;q=0.1"}, listingJSON},
		{"weight_one_with_a_bare_dot", []string{"text/plain;q=1., application/json;q=0.9"}, listingText},
		{"weight_twice", []string{"text/plain;q=1;q=0.9, application/json;q=0.1"}, listingJSON},
		{"star_without_slash", []string{"*, application/json;q=0.1"}, listingJSON},
		{"star_before_a_subtype", []string{"*/plain, application/json;q=0.1"}, listingJSON},
		{"two_slashes", []string{"text/plain/x, application/json;q=0.1"}, listingJSON},
		{"quote_never_closed", []string{`application/json, text/plain;a="`}, listingJSON},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := negotiateListing(test.lines); got != test.want {
				t.Errorf("negotiateListing(%q) = %q, want %q", test.lines, got, test.want)
			}
		})
	}
}

// FuzzParseAccept holds that any field gives one of the formats, that it does not matter how its elements are spread
// over lines, and that a format which is refused by name is not chosen while another is wanted.
func FuzzParseAccept(f *testing.F) {
	f.Add("text/html,application/json;q=0.9", "*/*;q=0.8")
	f.Add(`text/plain;a="x,y;q=0"`, ",,")
	f.Add("*/*;q=0", "application/*;q=0.001")
	f.Add("text/*;charset=utf-8;q=1.000", "image/png")
	f.Fuzz(func(t *testing.T, first, second string) {
		got := negotiateListing([]string{first, second})
		if got != listingHTML && got != listingJSON && got != listingText {
			t.Fatalf("%q is no format", got)
		}
		if !strings.Contains(first, `"`) {
			if joined := negotiateListing([]string{first + "," + second}); joined != got {
				t.Errorf("%q, %q: two lines give %q and one gives %q", first, second, got, joined)
			}
		}
		for _, o := range listingOffers {
			name := o.family + "/" + o.subtype
			lines := []string{name + ";charset=utf-8;q=0", name + ";q=0", "image/png", first, second, "*/*;q=0.001"}
			refused := negotiateListing(lines)
			if refused == o.format && !strings.Contains(first+second, ";") && o.format != listingHTML {
				t.Errorf("%q, %q: %s was refused and given", first, second, name)
			}
		}
	})
}
