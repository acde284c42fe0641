package database

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"

	"nightporter.dev/nightporter"
)

// Vault's default templates, by plugin.
const (
	postgresTemplate    = `{{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 8) (.RoleName | truncate 8) (random 20) (unix_time) | truncate 63 }}`
	mysqlTemplate       = `{{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 10) (.RoleName | truncate 10) (random 20) (unix_time) | truncate 32 }}`
	mysqlLegacyTemplate = `{{ printf "v-%s-%s-%s" (.RoleName | truncate 4) (random 20) | truncate 16 }}`
)

const (
	maxTemplate = 4 << 10
	maxRandom   = 256
	markLength  = 8
	// A random part shorter than this would not have enough chance left in it.
	minMarked = 16
	nameChars = lowerLetters + digits
)

// ValidName tells whether a login that we make may have this name: letters,
// digits, underscores and single hyphens, and not too long for the plugin. Such a
// name means the same inside any quotes of any database.
func ValidName(plugin, name string) bool {
	return len(name) <= NameLimit(plugin) && cleanName.MatchString(name) && !strings.Contains(name, "--")
}

var cleanName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// NameLimit is how many bytes a login's name may have. PostgreSQL cuts longer
// ones without an error, so that two of them could become one login.
func NameLimit(plugin string) int {
	switch plugin {
	case PluginMySQL, PluginMySQLAurora, PluginMySQLRDS:
		return 32
	case PluginMySQLLegacy:
		return 16
	}
	return 63
}

// NamerConfig is what a [Namer] needs.
type NamerConfig struct {
	// Plugin decides the default template and the limit.
	Plugin string
	// Template is the username_template. Empty means Vault's default for the
	// plugin.
	Template string
	// Key makes the mark in the names. Nil means no mark.
	Key []byte
	// Now is the time in the names. Nil means time.Now.
	Now func() time.Time
	// Random is where chance comes from. Nil means crypto/rand.
	Random io.Reader
}

// Namer makes the names of new logins from a username_template: a Go template
// with Vault's functions and the fields .DisplayName and .RoleName.
//
// With a key, names carry a mark. When the template asks for at least 16 random
// characters, the last 8 of them are a MAC of the others, so that a login can be
// recognised as ours after the journal was lost.
type Namer struct {
	plugin   string
	limit    int
	template *template.Template
	key      []byte
	now      func() time.Time
	random   io.Reader
}

// NewNamer reads the template and makes one name with it, so that a template that
// cannot work is refused when it is written.
func NewNamer(c NamerConfig) (*Namer, error) {
	n := &Namer{plugin: c.Plugin, limit: NameLimit(c.Plugin), key: c.Key, now: c.Now, random: c.Random}
	if n.now == nil {
		n.now = time.Now
	}
	if n.random == nil {
		n.random = rand.Reader
	}
	text := c.Template
	if text == "" {
		text = defaultTemplate(c.Plugin)
	}
	if len(text) > maxTemplate {
		return nil, nightporter.E(nightporter.Invalid, "username_template is longer than %d bytes", maxTemplate)
	}
	var err error
	if n.template, err = template.New("username_template").Option("missingkey=error").Funcs(n.functions()).Parse(text); err != nil {
		return nil, nightporter.Wrap(err, nightporter.Invalid, "username_template: %s", templateError(err))
	}
	if _, err := n.Name("token", "role"); err != nil {
		return nil, err
	}
	return n, nil
}

func defaultTemplate(plugin string) string {
	switch plugin {
	case PluginMySQL, PluginMySQLAurora, PluginMySQLRDS:
		return mysqlTemplate
	case PluginMySQLLegacy:
		return mysqlLegacyTemplate
	}
	return postgresTemplate
}

// Name makes one name. The display name and the role's name may be anything:
// characters that a login's name cannot have become hyphens. A name that would be
// too long is cut the way truncate_sha256 cuts, and stays unique.
func (n *Namer) Name(displayName, roleName string) (string, error) {
	var out strings.Builder
	err := n.template.Execute(&limitedWriter{w: &out, left: maxTemplate}, struct{ DisplayName, RoleName string }{
		DisplayName: clean(displayName),
		RoleName:    clean(roleName),
	})
	if err != nil {
		return "", nightporter.Wrap(err, nightporter.Invalid, "username_template: %s", templateError(err))
	}
	name := strings.TrimSpace(out.String())
	for strings.Contains(name, "--") {
		name = strings.ReplaceAll(name, "--", "-")
	}
	if len(name) > n.limit {
		if name, err = truncateSHA256(n.limit, name); err != nil {
			return "", err
		}
	}
	if !ValidName(n.plugin, name) {
		return "", nightporter.E(nightporter.Invalid, "username_template makes %q, and a login's name has letters, digits, _ and - only", name)
	}
	return name, nil
}

// Marked tells whether name carries the mark of our key. Names without enough
// random characters carry none, whoever made them.
func (n *Namer) Marked(name string) bool {
	if len(n.key) == 0 || len(name) > maxRandom {
		return false
	}
	name = strings.ToLower(name) // the template may have asked for upper case
	for start := range name {
		for end := start + minMarked - markLength; end+markLength <= len(name); end++ {
			if hmac.Equal([]byte(n.mark(name[start:end])), []byte(name[end:end+markLength])) {
				return true
			}
		}
	}
	return false
}

// mark is the MAC of the random characters before it, in the same alphabet.
func (n *Namer) mark(rest string) string {
	m := hmac.New(sha256.New, n.key)
	m.Write([]byte("nightporter login name 1:"))
	m.Write([]byte(rest))
	sum := m.Sum(nil)
	mark := make([]byte, markLength)
	for i := range mark {
		// Two bytes a letter keep the letters near enough to equally likely.
		mark[i] = nameChars[(int(sum[2*i])<<8|int(sum[2*i+1]))%len(nameChars)]
	}
	return string(mark)
}

// clean makes text usable inside a name.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && cleanName.MatchString(string(r)) {
			return r
		}
		return '-'
	}, text)
}

// templateError leaves the template package's own prefix out of a message.
func templateError(err error) string {
	return strings.TrimPrefix(err.Error(), "template: ")
}

// limitedWriter stops a template that does not stop by itself.
type limitedWriter struct {
	w    io.Writer
	left int
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, fmt.Errorf("it makes more than %d bytes", maxTemplate)
	}
	return l.w.Write(p)
}
