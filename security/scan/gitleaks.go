package scan

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// gitleaksTOML is config/gitleaks.toml of gitleaks v8.30.1, as published.
//
//go:embed rules/gitleaks.toml
var gitleaksTOML string

// Version names the rules.
const Version = "gitleaks 8.30.1 and our own"

// gitleaksRules is how many rules that file has. A file that was cut short, or a
// parser that lost some, must not pass for a scanner that finds less.
const gitleaksRules = 222

// allowlist is gitleaks': what is no secret after all.
type allowlist struct {
	and       bool // all criteria must hold, not one
	paths     []*regexp.Regexp
	regexes   []*regexp.Regexp
	target    string // what regexes look at: "" the secret, "match" or "line"
	stopwords []string
}

func (a *allowlist) path(path string) bool { return matchesAny(a.paths, path) }

// covers says whether a match is allowed.
func (a *allowlist) covers(path, secret, whole, line string) bool {
	target := secret
	switch a.target {
	case "match":
		target = whole
	case "line":
		target = line
	}
	low := strings.ToLower(secret)
	criteria := []struct{ has, holds bool }{
		{len(a.paths) > 0, a.path(path)},
		{len(a.regexes) > 0, matchesAny(a.regexes, target)},
		{len(a.stopwords) > 0, slices.ContainsFunc(a.stopwords, func(w string) bool { return strings.Contains(low, w) })},
	}
	for _, c := range criteria {
		if c.has && c.holds != a.and {
			return !a.and
		}
	}
	return a.and
}

func matchesAny(list []*regexp.Regexp, s string) bool {
	return slices.ContainsFunc(list, func(r *regexp.Regexp) bool { return r.MatchString(s) })
}

type tomlList struct {
	Condition   string
	Paths       []string
	Regexes     []string
	RegexTarget string
	StopWords   []string
}

func readGitleaks() (rules []*rule, global allowlist, err error) {
	var file struct {
		Allowlist tomlList
		Rules     []struct {
			ID          string
			Regex, Path string
			Keywords    []string
			Entropy     float64
			SecretGroup int
			Allowlists  []tomlList
		}
	}
	if _, err := toml.Decode(gitleaksTOML, &file); err != nil {
		return nil, global, fmt.Errorf("read gitleaks' rules: %w", err)
	}
	if len(file.Rules) != gitleaksRules {
		return nil, global, fmt.Errorf("gitleaks' file has %d rules, not %d", len(file.Rules), gitleaksRules)
	}
	compile := func(text string) *regexp.Regexp {
		r, e := regexp.Compile(text)
		if e != nil && err == nil {
			err = fmt.Errorf("read gitleaks' rules: %w", e)
		}
		return r
	}
	list := func(t tomlList) allowlist {
		a := allowlist{and: t.Condition == "AND", target: t.RegexTarget}
		for _, text := range t.Paths {
			a.paths = append(a.paths, compile(text))
		}
		for _, text := range t.Regexes {
			a.regexes = append(a.regexes, compile(text))
		}
		for _, word := range t.StopWords {
			a.stopwords = append(a.stopwords, strings.ToLower(word))
		}
		return a
	}
	global = list(file.Allowlist)
	for _, t := range file.Rules {
		r := &rule{id: t.ID, rank: ofToken, group: t.SecretGroup, entropy: t.Entropy}
		for _, word := range t.Keywords {
			r.keywords = append(r.keywords, strings.ToLower(word))
		}
		if t.Path != "" {
			r.paths = compile(t.Path)
		}
		if t.Regex == "" {
			// One rule goes by the file's name alone: a key store. What it
			// finds is no text, and git shows no text of it.
			r.pattern = regexp.MustCompile(`\A\z.`)
		} else {
			r.pattern = compile(t.Regex)
		}
		for _, a := range t.Allowlists {
			r.allow = append(r.allow, list(a))
		}
		if strings.Contains(t.ID, "generic") {
			r.rank = ofGuess
			r.allow = append(r.allow, notGuessed())
		}
		rules = append(rules, r)
	}
	return rules, global, err
}

// notGuessed are random texts behind telling names that are none, which gitleaks'
// generic rule takes for secrets: ciphertext of Sealed Secrets, versions of images
// that have "secret" in their name, and references to where a secret is kept.
func notGuessed() allowlist {
	return allowlist{regexes: []*regexp.Regexp{
		regexp.MustCompile(`^Ag[A-D][A-Za-z0-9+/]{100,}`),
		regexp.MustCompile(`^v?\d+\.\d+(?:\.\d+)?(?:[-.+][\w.-]*)?$`),
		regexp.MustCompile(`^(?:secret|auth|database|sys|kv)/[\w/-]+$`),
		regexp.MustCompile(`^[a-z_]+(?:\.[a-z_]+){1,5}$`), // var.db_password
	}}
}
