package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// others gives each setting a text that is not its default.
var others = map[string]string{
	"listen": "127.0.0.1:1", "write": "true", "public": "true", "symlinks": "never", "host": "files.example", "state": "s",
	"log": "json", "metrics": "127.0.0.1:2", "require-preconditions": "true", "cache": "*.html=no-store",
	"upload-size": "11", "uploads": "12", "stage-size": "13", "body-memory": "14", "cache-memory": "15", "versions": "16h",
	"versions-size": "17", "versions-files": "18", "hash-wait": "19s", "connections": "20", "header-bytes": "21",
	"header-time": "22s", "body-idle-time": "23s", "body-progress": "24", "idle-time": "25s", "shutdown-time": "26s",
	"buffer-time": "27s", "hash": "blake3", "rescan": "28m", "users": "u", "plain-passwords": "true",
	"rule": "list,read signed-in /docs",
}

// loadFrom loads a config from the three sources.
func loadFrom(t *testing.T, args, environ []string, file string) (*config, error) {
	t.Helper()
	flags := pflag.NewFlagSet("freshet", pflag.ContinueOnError)
	addFlags(flags)
	if file != "" {
		name := filepath.Join(t.TempDir(), "freshet.toml")
		if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append([]string{"--config", name}, args...)
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return load(flags, environ)
}

// texts returns what every setting of c prints.
func texts(c *config) map[string]string {
	all := map[string]string{}
	for _, s := range settings(c) {
		all[s.key] = s.value.String()
	}
	return all
}

func TestEverySettingCanBeSetByEverySource(t *testing.T) {
	for _, s := range settings(defaults()) {
		t.Run(s.key, func(t *testing.T) {
			other, ok := others[s.key]
			if !ok {
				t.Fatal("the table of other values lacks it")
			}
			want := texts(defaults())
			if s.value.String() == other {
				t.Fatal("the other value is the default")
			}
			sources := map[string]func() (*config, error){
				"environment": func() (*config, error) {
					return loadFrom(t, nil, []string{s.environment() + "=" + other}, "")
				},
				"file": func() (*config, error) {
					return loadFrom(t, nil, nil, s.key+" = "+tomlOf(s, other))
				},
			}
			if s.flag {
				sources["flag"] = func() (*config, error) {
					return loadFrom(t, []string{"--" + s.key + "=" + other}, nil, "")
				}
			}
			for name, source := range sources {
				c, err := source()
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				scratch := defaults()
				if err := scratch.assign(assignment{s.key, []string{other}, ""}); err != nil {
					t.Fatal(err)
				}
				want[s.key] = texts(scratch)[s.key]
				if got := texts(c); !reflect.DeepEqual(got, want) {
					t.Errorf("%s: got %v, want %v", name, got, want)
				}
			}
		})
	}
}

// tomlOf writes a value in the TOML type that people would choose.
func tomlOf(s setting, text string) string {
	switch s.value.Type() {
	case "bool", "count":
		return text
	case "list":
		return fmt.Sprintf("[%q]", text)
	}
	return fmt.Sprintf("%q", text)
}

func TestPrecedence(t *testing.T) {
	const key = "symlinks"
	flag, env, file := []string{"--symlinks", "never"}, []string{"FRESHET_SYMLINKS=anywhere"}, `symlinks = "inside"`
	for name, c := range map[string]struct {
		args, environ []string
		file          string
		want          string
	}{
		"default":                   {nil, nil, "", "inside"},
		"file_over_default":         {nil, nil, `symlinks = "never"`, "never"},
		"environment_over_file":     {nil, env, file, "anywhere"},
		"flag_over_environment":     {flag, env, "", "never"},
		"flag_over_file":            {flag, nil, file, "never"},
		"flag_over_all":             {flag, env, file, "never"},
		"empty_variable_is_no_word": {nil, []string{"FRESHET_SYMLINKS="}, `symlinks = "never"`, "never"},
		"later_flag_wins":           {[]string{"--symlinks=never", "--symlinks=anywhere"}, nil, "", "anywhere"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := loadFrom(t, c.args, c.environ, c.file)
			if err != nil || texts(got)[key] != c.want {
				t.Fatalf("got %s, %v, want %s", texts(got)[key], err, c.want)
			}
		})
	}
}

func TestListsAreReplacedByTheStrongerSource(t *testing.T) {
	c, err := loadFrom(t, []string{"--host", "a", "--host", "b,c"}, []string{"FRESHET_HOST=d"}, `host = ["e", "f"]`)
	if err != nil || c.Hosts.String() != "a,b,c" {
		t.Fatalf("got %v, %v", c.Hosts, err)
	}
	if c, err = loadFrom(t, nil, []string{"FRESHET_HOST=d, g"}, `host = ["e", "f"]`); err != nil || c.Hosts.String() != "d,g" {
		t.Fatalf("got %v, %v", c.Hosts, err)
	}
}

func TestBooleansCanBeSwitchedOffAgain(t *testing.T) {
	c, err := loadFrom(t, []string{"--write=false"}, []string{"FRESHET_WRITE=1"}, `write = true`)
	if err != nil || c.Write {
		t.Fatalf("got %v, %v", c.Write, err)
	}
}

func TestEnvironment(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		ok   bool
	}{
		"mistyped":                  {"FRESHET_LISTN=:80", false},
		"mistyped_long":             {"FRESHET_UPLOADSIZE=1GB", false},
		"made_up_by_a_container":    {"FRESHET_SERVICE_HOST=10.0.0.1", true},
		"made_up_port":              {"FRESHET_PORT=tcp://10.0.0.1:80", true},
		"somebody_elses":            {"FRESHET_BIN=/x", true},
		"not_ours":                  {"LISTN=:80", true},
		"no_equals_sign":            {"FRESHET_LISTEN", true},
		"lower_case_is_not_a_name":  {"freshet_symlinks=often", true},
		"setting_with_a_bad_value":  {"FRESHET_SYMLINKS=often", false},
		"flag_that_is_no_file_key":  {"FRESHET_CONFIG=/nowhere/freshet.toml", false},
		"dash_instead_of_underline": {"FRESHET_UPLOAD-SIZE=1GB", false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := loadFrom(t, nil, []string{c.line}, ""); (err == nil) != c.ok {
				t.Fatalf("error %v", err)
			}
		})
	}
}

// TestEveryLimitCanBeSet finds a field of the tree's or the server's options that no setting reaches.
func TestEveryLimitCanBeSet(t *testing.T) {
	set, plain := defaults(), defaults()
	for key, text := range others {
		if err := set.assign(assignment{key, []string{text}, "test"}); err != nil {
			t.Fatal(err)
		}
	}
	at := target{dir: t.TempDir()}
	ours, err := set.treeOptions(at, nil)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := plain.treeOptions(at, nil)
	if err != nil {
		t.Fatal(err)
	}
	compareFields(t, reflect.ValueOf(ours), reflect.ValueOf(theirs), "Only", "Log")
	a, b := set.serverConfig(at, nil, nil, nil), plain.serverConfig(at, nil, nil, nil)
	compareFields(t, reflect.ValueOf(a), reflect.ValueOf(b), "Tree", "Name", "Version", "Log", "Access", "Limits",
		"Authority")
	compareFields(t, reflect.ValueOf(a.Limits), reflect.ValueOf(b.Limits))
}

// compareFields reports the exported fields of a and b that are equal, but for those named.
func compareFields(t *testing.T, a, b reflect.Value, but ...string) {
	t.Helper()
	for i := range a.NumField() {
		name := a.Type().Field(i).Name
		if strings.Contains(" "+strings.Join(but, " ")+" ", " "+name+" ") || !a.Type().Field(i).IsExported() {
			continue
		}
		if reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			t.Errorf("no setting changes %v.%s", a.Type(), name)
		}
	}
}

func TestNoVersionsIsNotTheDefault(t *testing.T) {
	c := defaults()
	if err := c.assign(assignment{"versions", []string{"0"}, "test"}); err != nil {
		t.Fatal(err)
	}
	o, err := c.treeOptions(target{dir: t.TempDir()}, nil)
	if err != nil || o.VersionsAgeMax >= 0 {
		t.Fatalf("got %v, %v: the tree takes 0 for its default", o.VersionsAgeMax, err)
	}
}

// FuzzConfig checks that no file makes the program panic, and that one that is accepted sets only values that read as they
// print.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		"listen = \"127.0.0.1:0\"\nwrite = true\n", "host = [\"a\", \"b\"]\ncache = [\"*.html=no-cache\"]\n",
		"upload-size = \"10GB\"\nuploads = 3\nversions = \"30d\"\nversions-size = \"10%\"\n", "versions = 0\n",
		"[limits]\nuploads = 3\n", "\"listen\" = 1.5\n", "a.b.c = 1\n", "listen = \n", "x = 1\nx = 2\n", "[[host]]\na=1\n",
		"host = [1, [2]]\n", "listen = 2026-11-22\n", "state = \"\"\"\na\nb\"\"\"\n", "\x00", "log = \"json\" # comment\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		assignments, err := parseConfig("fuzz.toml", doc)
		if err != nil {
			return
		}
		c := defaults()
		for _, a := range assignments {
			if c.assign(a) != nil {
				return
			}
		}
		again := defaults()
		for _, s := range settings(c) {
			if text := s.value.String(); text != "" {
				if err := again.assign(assignment{s.key, []string{text}, "again"}); err != nil {
					t.Fatalf("%s prints as %q: %v", s.key, text, err)
				}
			}
		}
		if got, want := texts(again), texts(c); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}
