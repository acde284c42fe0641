// Package corpus makes labelled files for whoever looks for secrets: some hold
// one that was never anybody's, some only look as if they did.
//
// It was written before the detector that it judges, from the manuals of the
// programs whose files it imitates, and shares nothing with it: internal/archtest
// holds that it imports nothing of ours and that nothing shipped imports it. The
// same seed makes the same corpus. `go run ./test/corpus/write -seed 7 -dir DIR`
// writes one to disk, so that other scanners can be judged by it too.
//
// What it cannot say: its author wrote the detector as well. Its figures are a
// floor for changes, not a promise about other people's repositories.
package corpus

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A Sample is one file.
type Sample struct {
	// Class names the kind of file, the same for every seed: "postgres-url".
	Class string `json:"class"`
	Path  string `json:"path"`
	Text  string `json:"-"`
	// Secret is what must be found, as it stands in Text; "" when the file is
	// harmless.
	Secret string `json:"secret,omitempty"`
	// Database says that the secret is a database's password.
	Database bool `json:"database,omitempty"`
}

// Make makes each of every class of sample. The order of the classes is fixed.
func Make(seed uint64, each int) []Sample {
	m := &maker{rand.New(rand.NewPCG(seed, 0x6e70))}
	var out []Sample
	for _, list := range [][]class{databases, tokens, harmless} {
		for _, c := range list {
			for n := range each {
				s := c.make(m)
				s.Class, s.Path = c.name, fmt.Sprintf("%s/%d/%s", c.name, n, s.Path)
				s.Text = m.around(s.Path, s.Text)
				out = append(out, s)
			}
		}
	}
	return out
}

type class struct {
	name string
	make func(m *maker) Sample
}

// file is a sample whose text is made from a format and the secret.
func file(path, secret, text string) Sample { return Sample{Path: path, Text: text, Secret: secret} }

func database(path, secret, text string) Sample {
	return Sample{Path: path, Text: text, Secret: secret, Database: true}
}

type maker struct{ *rand.Rand }

func (m *maker) pick(list ...string) string { return list[m.IntN(len(list))] }

func (m *maker) from(alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[m.IntN(len(alphabet))]
	}
	return string(b)
}

const (
	digits = "0123456789"
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	alnum  = lower + upper + digits
	hex    = digits + "abcdef"
	base64 = alnum + "+/"
)

// password is one of the shapes that passwords of databases have: made by a
// generator, by a person, or by a person who was asked for a special character.
func (m *maker) password() string {
	switch m.IntN(4) {
	case 0:
		return m.from(alnum, 16+m.IntN(17))
	case 1:
		return m.from(hex, 32)
	case 2:
		return m.from(alnum+"_-.!*", 12+m.IntN(9)) + m.from(alnum, 1)
	}
	return m.human()
}

// human is what a person thinks of.
func (m *maker) human() string {
	word := func() string {
		return m.pick("Lantern", "harbour", "Maple", "otter", "Quarry", "velvet", "Thistle", "copper", "Juniper", "saffron", "Meadow", "pigeon")
	}
	switch m.IntN(3) {
	case 0:
		return word() + m.from(digits, 4) + m.pick("!", "", "_", "*")
	case 1:
		return word() + "-" + word() + m.from(digits, 2)
	}
	return m.pick("Summer", "Winter", "Autumn", "Ledger", "Backend") + m.pick("2019", "2021", "2023", "2024") + m.pick("!", "!!", "_x", "*1")
}

func (m *maker) user() string {
	return m.pick("app", "ledger", "billing", "svc_orders", "reporting", "accounts_rw", "migrator", "api")
}

func (m *maker) host() string {
	return m.pick("db", "pg-main", "mysql01", "ledger-db", "10.3.0."+m.from("123456789", 1), "orders") +
		m.pick("", ".internal", ".prod.acme.example", ".eu-west-1.rds.acme.example")
}

func (m *maker) name() string {
	return m.pick("ledger", "orders", "billing", "app_production", "customers", "reports")
}

// around puts ordinary lines of the file's language before and behind.
func (m *maker) around(path, text string) string {
	var b strings.Builder
	line := func() {
		word := m.pick("retries", "timeout", "workers", "region", "label", "channel", "queue", "level")
		value := m.pick("3", "30", "12", "4096")
		switch {
		case strings.HasSuffix(path, ".json"), strings.Contains(path, "pem"), strings.Contains(path, "compose"):
			return
		case strings.HasSuffix(path, ".yaml"), strings.HasSuffix(path, ".yml"):
			fmt.Fprintf(&b, "# %s is %s\n", word, value)
		case strings.HasSuffix(path, ".go"), strings.HasSuffix(path, ".js"), strings.HasSuffix(path, ".ts"), strings.HasSuffix(path, ".java"):
			fmt.Fprintf(&b, "// %s is %s, see the wiki\n", word, value)
		case strings.HasSuffix(path, ".sql"):
			fmt.Fprintf(&b, "-- %s is %s\n", word, value)
		default:
			fmt.Fprintf(&b, "# %s is %s\n", word, value)
		}
	}
	for range m.IntN(4) {
		line()
	}
	b.WriteString(text)
	for range m.IntN(4) {
		line()
	}
	return b.String()
}
