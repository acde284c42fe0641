package config

import (
	_ "embed"
	"strings"
	"text/template"
)

// Starter is what a new configuration file says. The zero value is what
// `nightporter init` writes when nobody asks for anything else.
type Starter struct {
	Listen string // default 127.0.0.1:8200
	Store  string // default sqlite:data/nightporter.db
	// KeyFile is the unseal key's file. Default unseal.key, beside the
	// configuration and outside the store's folder.
	KeyFile string
}

//go:embed starter.yaml
var starter string

// InitFile is the text of a new nightporter.yaml: short, explained, and valid as
// it stands. It declares nothing; the examples in it are comments.
func InitFile(s Starter) []byte {
	for _, d := range []struct {
		to   *string
		text string
	}{
		{&s.Listen, "127.0.0.1:8200"},
		{&s.Store, "sqlite:data/nightporter.db"},
		{&s.KeyFile, "unseal.key"},
	} {
		if *d.to == "" {
			*d.to = d.text
		}
		*d.to = quoteYAML(*d.to)
	}
	var text strings.Builder
	if err := template.Must(template.New("starter").Parse(starter)).Execute(&text, s); err != nil {
		panic("config: starter.yaml: " + err.Error()) // a test executes it
	}
	return []byte(text.String())
}

// quoteYAML writes a text so that YAML reads it back unchanged.
func quoteYAML(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-:") == "" &&
		!strings.HasSuffix(s, ":") && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}
