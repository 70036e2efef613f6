package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"freshet/fileserver/auth"
	"freshet/fileserver/tree"
)

// rules are who may do what where. As texts they are "RIGHTS WHO PATH", separated by semicolons, the path being escaped as in a
// URL: "list,read signed-in /; create anonymous /inbox".
type rules []auth.Rule

const (
	ruleKey     = "rule"
	ruleExample = `[[rule]] with path = "/docs", who = "signed-in" and can = ["list", "read"]`
)

func (r *rules) Type() string { return "list" }
func (r *rules) Clear()       { *r = nil }

func (r *rules) String() string {
	var texts []string
	for _, rule := range *r {
		texts = append(texts, ruleText(rule))
	}
	return strings.Join(texts, "; ")
}

func ruleText(rule auth.Rule) string {
	return rule.Can.String() + " " + strings.Join(rule.Who, ",") + " " + rule.Path.URL(false)
}

func (r *rules) Set(text string) error {
	for one := range strings.SplitSeq(text, ";") {
		rule, err := parseRule(strings.TrimSpace(one))
		if err != nil {
			return err
		}
		*r = append(*r, rule)
	}
	_, err := auth.NewRules(*r, auth.All)
	return err
}

func parseRule(text string) (rule auth.Rule, err error) {
	can, rest, _ := strings.Cut(text, " ")
	who, path, ok := strings.Cut(rest, " ")
	if !ok {
		return rule, errors.New(`a rule is rights, users and a path: "list,read signed-in /docs"`)
	}
	if rule.Path, _, err = tree.Parse(path); err != nil {
		return rule, fmt.Errorf("%.80q is not a path from the root on", path)
	}
	rule.Who = strings.Split(who, ",")
	return rule, giveRights(&rule, strings.Split(can, ","))
}

func giveRights(rule *auth.Rule, names []string) error {
	for _, name := range names {
		right, err := auth.ParseRight(name)
		if err != nil {
			return err
		}
		rule.Can |= right
	}
	return nil
}

// ruleKeys are the keys of a [[rule]]; all must be given.
var ruleKeys = []string{"path", "who", "can"}

// ruleTexts returns the texts of the [[rule]] tables of a file.
func ruleTexts(tables []any) (texts []string, err error) {
	for _, table := range tables {
		values, ok := table.(map[string]any)
		if text, isText := table.(string); isText {
			texts = append(texts, text)
			continue
		}
		if !ok {
			return nil, errors.New("a rule is a table")
		}
		rule, err := ruleOf(values)
		if err != nil {
			return nil, err
		}
		texts = append(texts, ruleText(rule))
	}
	return texts, nil
}

func ruleOf(values map[string]any) (rule auth.Rule, err error) {
	for key := range values {
		if !slices.Contains(ruleKeys, key) {
			guess := didYouMean(key, "", ruleKeys, "there are path, who and can")
			return rule, errors.New("unknown key " + shown(key) + ": " + guess)
		}
	}
	path, ok := values["path"].(string)
	if !ok {
		return rule, errors.New("it has no path, which is a text")
	}
	if rule.Path, err = rulePath(path); err != nil {
		return rule, err
	}
	var can []string
	if rule.Who, ok = tomlTexts(values["who"]); !ok || len(rule.Who) == 0 {
		return rule, errors.New("it has no who, which is a text or a list of texts")
	}
	for _, name := range rule.Who {
		if name != auth.WhoAnonymous && name != auth.WhoSignedIn {
			if err := auth.CheckName(name); err != nil {
				return rule, err
			}
		}
	}
	if can, ok = tomlTexts(values["can"]); !ok || len(can) == 0 {
		return rule, errors.New("it has no can, which is a list of rights")
	}
	return rule, giveRights(&rule, can)
}

// rulePath reads a path from the root on that is not escaped, and cleaned as that of a request is.
func rulePath(text string) (p tree.Path, err error) {
	rest, ok := strings.CutPrefix(text, "/")
	for name := range strings.SplitSeq(rest, "/") {
		if name == "" || err != nil {
			continue
		}
		p, err = p.Join(name)
	}
	if !ok || err != nil {
		return tree.Path{}, fmt.Errorf("%.80q is not a path from the root on", text)
	}
	return p, nil
}
