package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"
)

// configFileBytesMax bounds the --config file.
const configFileBytesMax = 1 << 20

// An assignment is one setting as one source gives it.
type assignment struct {
	key    string
	texts  []string
	source string
}

// load returns the config that the command line, the environment and the file make together; an earlier one wins.
func load(flags *pflag.FlagSet, environ []string) (*config, error) {
	fromEnv, err := readEnvironment(environ)
	if err != nil {
		return nil, err
	}
	fromFlags := readFlags(flags)
	var fromFile []assignment
	if file := configFile(fromFlags, fromEnv); file != "" {
		if fromFile, err = readFile(file); err != nil {
			return nil, err
		}
	}
	c := defaults()
	for _, a := range slices.Concat(fromFile, fromEnv, fromFlags) {
		if err := c.assign(a); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// assign sets one setting, replacing what a weaker source said.
func (c *config) assign(a assignment) error {
	for _, s := range settings(c) {
		if s.key != a.key {
			continue
		}
		if v, ok := s.value.(clearer); ok {
			v.Clear()
		}
		for _, text := range a.texts {
			if err := s.value.Set(text); err != nil {
				return misuse(fmt.Sprintf("%s: %s cannot be used", a.source, shown(text)), err.Error(), "freshet help config")
			}
		}
		c.source[a.key] = a.source
		return nil
	}
	return nil // "config", which is no setting of the server's
}

// keys returns the names of all settings.
func keys() []string {
	var names []string
	for _, s := range settings(defaults()) {
		names = append(names, s.key)
	}
	return names
}

// configFlag is the one flag that is not a setting: the file that settings are in.
const configFlag = "config"

// configFile returns the file that the command line, or else the environment, names.
func configFile(fromFlags, fromEnv []assignment) string {
	for _, a := range slices.Concat(fromFlags, fromEnv) {
		if a.key == configFlag {
			return a.texts[len(a.texts)-1]
		}
	}
	return ""
}

// A recorder is a pflag.Value that keeps what the command line says until the weaker sources have been read.
type recorder struct {
	kind  string
	texts []string
}

func (r *recorder) Set(text string) error { r.texts = append(r.texts, text); return nil }
func (r *recorder) Type() string          { return r.kind }

// String returns the default, which pflag shows in the help only if it is not empty: our help texts say it themselves.
func (r *recorder) String() string { return "" }

// addFlags gives flags the settings that can be typed.
func addFlags(flags *pflag.FlagSet) {
	for _, s := range settings(defaults()) {
		if !s.flag {
			continue
		}
		help := s.help
		if text := s.value.String(); text != "" && text != "false" {
			help += " (default " + text + ")"
		}
		flag := flags.VarPF(&recorder{kind: s.value.Type()}, s.key, "", help)
		if s.value.Type() == "bool" {
			flag.NoOptDefVal = "true"
		}
	}
	flags.VarPF(&recorder{kind: "file"}, configFlag, "", "TOML `FILE` of settings: freshet help config")
}

func readFlags(flags *pflag.FlagSet) []assignment {
	var as []assignment
	flags.Visit(func(f *pflag.Flag) {
		if r, ok := f.Value.(*recorder); ok {
			as = append(as, assignment{f.Name, r.texts, "--" + f.Name})
		}
	})
	return as
}

// readEnvironment finds the settings in environ. A variable that looks like a mistyped setting is refused; others that happen
// to begin with FRESHET_ (container systems make some up) are not ours. An empty one is as good as none.
func readEnvironment(environ []string) ([]assignment, error) {
	names := map[string]string{environmentPrefix + strings.ToUpper(configFlag): configFlag}
	others := []string{passwordVariable, userVariable} // of the commands that ask servers
	for _, s := range settings(defaults()) {
		names[s.environment()] = s.key
	}
	var as []assignment
	for _, line := range environ {
		name, text, _ := strings.Cut(line, "=")
		short, ours := strings.CutPrefix(name, environmentPrefix)
		if !ours || text == "" || slices.Contains(others, name) {
			continue
		}
		if key, ok := names[name]; ok {
			as = append(as, assignment{key, []string{text}, name})
			continue
		}
		guess := nearest(strings.ReplaceAll(short, "_", "-"), keys())
		if guess != "" {
			s := setting{key: guess}
			return nil, misuse("unknown setting "+name+" in the environment", "", "did you mean "+s.environment()+"?")
		}
	}
	return as, nil
}

func readFile(name string) ([]assignment, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, missing("cannot read the configuration "+shown(name), err, "check the path given with --config")
	}
	defer f.Close()
	doc, err := io.ReadAll(io.LimitReader(f, configFileBytesMax+1))
	if err != nil {
		return nil, missing("cannot read the configuration "+shown(name), err, "check the path given with --config")
	}
	if len(doc) > configFileBytesMax {
		return nil, misuse(shown(name)+" is too large", fmt.Sprintf("a configuration has at most %d bytes", configFileBytesMax),
			"check the path given with --config")
	}
	return parseConfig(shown(name), doc)
}

// parseConfig reads a TOML document whose top-level keys are settings. name is the file's, for messages.
func parseConfig(name string, doc []byte) ([]assignment, error) {
	var values map[string]any
	if err := toml.Unmarshal(doc, &values); err != nil {
		var at *toml.DecodeError
		if !errors.As(err, &at) {
			return nil, misuse(name+" is not TOML", err.Error(), "freshet help config")
		}
		row, _ := at.Position()
		return nil, misuse(fmt.Sprintf("%s:%d is not TOML", name, row), strings.TrimPrefix(err.Error(), "toml: "),
			"freshet help config")
	}
	var as []assignment
	for _, k := range topLevelKeys(doc) {
		if k.name == ruleKey && slices.ContainsFunc(as, func(a assignment) bool { return a.key == ruleKey }) {
			continue // all of them were taken with the first
		}
		source := fmt.Sprintf("%s:%d", name, k.row)
		if !slices.Contains(keys(), k.name) {
			return nil, misuse(fmt.Sprintf("%s: unknown setting %s", source, shown(k.name)), "",
				didYouMean(k.name, "", keys(), "freshet help config"))
		}
		texts, ok := tomlTexts(values[k.name])
		if tables, several := values[k.name].([]any); k.name == ruleKey && several {
			var err error
			if texts, err = ruleTexts(tables); err != nil {
				return nil, misuse(source+": this rule cannot be used", err.Error(), ruleExample)
			}
			ok = true
		}
		if !ok {
			return nil, misuse(fmt.Sprintf("%s: %s has a value of the wrong type", source, k.name),
				"a setting is a text, a number, true or false, or a list of texts", "freshet help config")
		}
		as = append(as, assignment{k.name, texts, source + ": " + k.name})
	}
	return as, nil
}

type keyAt struct {
	name string
	row  int
}

// topLevelKeys returns the keys of a TOML document in order, with their lines: what a strict decoder finds that has no field
// to put anything in.
func topLevelKeys(doc []byte) []keyAt {
	decoder := toml.NewDecoder(bytes.NewReader(doc)).DisallowUnknownFields()
	var strict *toml.StrictMissingError
	if !errors.As(decoder.Decode(&struct{}{}), &strict) {
		return nil
	}
	var found []keyAt
	for i := range strict.Errors {
		row, _ := strict.Errors[i].Position()
		found = append(found, keyAt{strict.Errors[i].Key()[0], row})
	}
	return found
}

// tomlTexts returns the texts of a TOML value, as they would be typed.
func tomlTexts(v any) ([]string, bool) {
	switch v := v.(type) {
	case string:
		return []string{v}, true
	case bool:
		return []string{strconv.FormatBool(v)}, true
	case int64:
		return []string{strconv.FormatInt(v, 10)}, true
	case []any:
		var texts []string
		for _, item := range v {
			text, ok := item.(string)
			if !ok {
				return nil, false
			}
			texts = append(texts, text)
		}
		return texts, true
	}
	return nil, false
}
