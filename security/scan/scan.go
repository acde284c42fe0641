// Package scan finds secrets in the history of a git repository.
//
// [Detector] is pure: text in, [Hit]s out. Its rules are gitleaks' published ones
// and our own for passwords of databases, all in RE2, so that no text can make
// one slow; a rule runs only on text that has one of its keywords.
//
// What is read was written by others, so the detector never runs in the server.
// [Scanner] starts our own binary again as a child without store, keys or
// network of its own, with little memory and little time, and feeds it what git
// prints ([Child] is its other side). A run that did not see everything is
// failed, never clean: git's exit code counts, and secrets that were planted
// before, in and behind the text must all be found.
package scan

import (
	"math"
	"regexp"
	"slices"
	"strings"
)

// Hit is a secret that was found. It holds the secret itself: whoever gets one
// makes a fingerprint of it and forgets it.
type Hit struct {
	Rule    string // "database-url"
	Commit  string // "" outside history
	Path    string
	Line    int // from 1
	Secret  Secret
	Login   *Login // where it could be tried; nil when the text does not say
	Allowed bool   // the line asks scanners to look away (gitleaks:allow)
}

// Database says whether the secret is a database's password.
func (h Hit) Database() bool { return h.Login != nil }

// Secret is a found secret. It prints as nothing that could be used.
type Secret string

// String hides the secret from logs, errors and pages.
func (Secret) String() string { return "[secret]" }

// GoString hides it from %#v.
func (Secret) GoString() string { return "[secret]" }

// MarshalJSON hides it from every document.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"[secret]"`), nil }

// Login is what stood around a database's password. Every field may be empty.
type Login struct {
	Kind     string `json:"kind,omitempty"` // "postgres", "mysql"
	User     string `json:"user,omitempty"`
	Host     string `json:"host,omitempty"`
	Port     string `json:"port,omitempty"`
	Database string `json:"database,omitempty"`
}

// Detector finds secrets in text. It is safe for concurrent use.
type Detector struct {
	rules   []*rule
	words   *words
	byWord  [][]int // rule numbers by keyword number
	always  []int   // rules without keywords
	ignored allowlist
}

// New makes a detector with all rules.
func New() (*Detector, error) {
	theirs, global, err := readGitleaks()
	if err != nil {
		return nil, err
	}
	d := &Detector{rules: slices.Concat(ownRules(), theirs), ignored: global}
	number := map[string]int{}
	var list []string
	for i, r := range d.rules {
		for _, word := range r.keywords {
			if _, ok := number[word]; !ok {
				number[word] = len(list)
				list = append(list, word)
				d.byWord = append(d.byWord, nil)
			}
			d.byWord[number[word]] = append(d.byWord[number[word]], i)
		}
		if len(r.keywords) == 0 {
			d.always = append(d.always, i)
		}
	}
	d.words = newWords(list)
	return d, nil
}

// Rules is how many rules there are.
func (d *Detector) Rules() int { return len(d.rules) }

// Scan returns the secrets in text, each once a line, in the order of the text.
// The lines are counted from 1.
func (d *Detector) Scan(path, text string) []Hit {
	if d.ignored.path(path) {
		return nil
	}
	runs := make([]bool, len(d.rules))
	for _, i := range d.always {
		runs[i] = true
	}
	d.words.find(text, func(word int) {
		for _, i := range d.byWord[word] {
			runs[i] = true
		}
	})
	var found []match
	for i, r := range d.rules {
		if runs[i] {
			found = r.find(found, path, text, &d.ignored)
		}
	}
	return settle(found, path, text)
}

// match is a hit before those that say the same are put together.
type match struct {
	rule     *rule
	from, to int // of the secret
	secret   string
	login    *Login
}

// settle keeps of matches that overlap the one that knows most.
func settle(found []match, path, text string) []Hit {
	slices.SortStableFunc(found, func(a, b match) int { return a.rule.rank - b.rule.rank })
	var kept []match
	for _, m := range found {
		if !slices.ContainsFunc(kept, func(k match) bool { return m.from < k.to && k.from < m.to }) {
			kept = append(kept, m)
		}
	}
	slices.SortFunc(kept, func(a, b match) int { return a.from - b.from })
	hits := make([]Hit, 0, len(kept))
	line, at := 1, 0
	for _, m := range kept {
		line += strings.Count(text[at:m.from], "\n")
		at = m.from
		hits = append(hits, Hit{
			Rule: m.rule.id, Path: path, Line: line, Secret: Secret(m.secret), Login: m.login,
			Allowed: strings.Contains(lineAt(text, m.from), "gitleaks:allow"),
		})
	}
	return hits
}

func lineAt(text string, at int) string {
	from := strings.LastIndexByte(text[:at], '\n') + 1
	if n := strings.IndexByte(text[at:], '\n'); n >= 0 {
		return text[from : at+n]
	}
	return text[from:]
}

// rule is one kind of secret.
type rule struct {
	id       string
	rank     int // the lowest wins where two say the same
	keywords []string
	pattern  *regexp.Regexp
	group    int            // of the secret; 0 means the first that is not empty
	paths    *regexp.Regexp // nil means all
	entropy  float64        // the secret must have more bits a character
	allow    []allowlist
	// judge says whether a match of ours is one, and what stands around it. nil
	// for others' rules, which say it with entropy and allow.
	judge func(m groups) (*Login, bool)
}

// The ranks of rules.
const (
	ofDatabase = iota // says where the login is
	ofToken           // a format that an issuer published
	ofKey             // a password by the name of its key
	ofGuess           // looks random behind a telling name
)

func (r *rule) find(found []match, path, text string, ignored *allowlist) []match {
	if r.paths != nil && !r.paths.MatchString(path) || slices.ContainsFunc(r.allow, func(a allowlist) bool { return !a.and && a.path(path) }) {
		return found
	}
	for _, at := range r.pattern.FindAllStringSubmatchIndex(text, -1) {
		g := r.secret(at)
		if at[2*g] < 0 {
			continue
		}
		m := match{rule: r, from: at[2*g], to: at[2*g+1]}
		m.secret = strings.Trim(text[m.from:m.to], "\n")
		if m.secret == "" || r.entropy > 0 && entropy(m.secret) <= r.entropy {
			continue
		}
		if r.judge != nil {
			login, ok := r.judge(groups{r.pattern, text, at, path})
			if !ok {
				continue
			}
			m.login = login
		} else {
			whole, line := text[at[0]:at[1]], lineAt(text, at[0])
			allowed := func(a allowlist) bool { return a.covers(path, m.secret, whole, line) }
			if allowed(*ignored) || slices.ContainsFunc(r.allow, allowed) {
				continue
			}
		}
		found = append(found, m)
	}
	return found
}

// secret returns the group of a match that is the secret: the one that has that
// name, or the rule's, or the first that is not empty, or the whole.
func (r *rule) secret(at []int) int {
	if r.group > 0 {
		return r.group
	}
	for n, name := range r.pattern.SubexpNames() {
		if n > 0 && at[2*n] >= 0 && at[2*n] < at[2*n+1] && (r.judge == nil || name == "secret") {
			return n
		}
	}
	return 0
}

// groups are the named parts of a match.
type groups struct {
	pattern *regexp.Regexp
	text    string
	at      []int
	path    string
}

// get returns a part, "" when it did not take part.
func (g groups) get(name string) string {
	for n, have := range g.pattern.SubexpNames() {
		if have == name && g.at[2*n] >= 0 {
			return g.text[g.at[2*n]:g.at[2*n+1]]
		}
	}
	return ""
}

// line is the whole line that the match begins in.
func (g groups) line() string { return lineAt(g.text, g.at[0]) }

// entropy is Shannon's, in bits a character.
func entropy(s string) (bits float64) {
	counts := map[rune]int{}
	for _, r := range s {
		counts[r]++
	}
	for _, n := range counts {
		p := float64(n) / float64(len(s))
		bits -= p * math.Log2(p)
	}
	return bits
}
