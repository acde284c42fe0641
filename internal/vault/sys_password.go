package vault

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl"

	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

func (v *Vault) passwordPolicyPaths() []Path {
	return []Path{
		{Pattern: "policies/password", List: func(ctx context.Context, r *Request) (*Response, error) { return v.entryList(ctx, r, passwordSpace) }},
		{Pattern: "policies/password/{name}/generate", Read: v.passwordGenerate},
		{Pattern: "policies/password/{name}", Read: v.passwordPolicyRead, Write: v.passwordPolicyWrite, Delete: v.passwordPolicyDelete},
	}
}

const passwordSpace = "password-policy"

// passwordPolicy says what a generated password is made of.
type passwordPolicy struct {
	Length int
	Rules  []charset
}

type charset struct {
	Chars []rune
	Min   int
}

// parsePasswordPolicy reads Vault's HCL: a length and rules of kind "charset".
func parsePasswordPolicy(text string) (passwordPolicy, error) {
	var p passwordPolicy
	if len(text) > 64<<10 || strings.Count(text, "{") > 100 {
		return p, fmt.Errorf("the policy is too large")
	}
	var raw struct {
		Length int `hcl:"length"`
		Rule   []struct {
			Kind    string `hcl:",key"`
			Charset string `hcl:"charset"`
			Min     int    `hcl:"min-chars"`
		} `hcl:"rule"`
	}
	if err := hcl.Decode(&raw, text); err != nil {
		return p, fmt.Errorf("unable to decode the policy")
	}
	p.Length = raw.Length
	if p.Length < 4 || p.Length > 100 {
		return p, fmt.Errorf("length must be between 4 and 100")
	}
	needed := 0
	for _, r := range raw.Rule {
		if r.Kind != "charset" {
			return p, fmt.Errorf("unrecognized rule %q", r.Kind)
		}
		c := charset{Min: r.Min}
		seen := map[rune]bool{}
		for _, ch := range r.Charset {
			if ch == utf8.RuneError || !unicode.IsPrint(ch) {
				return p, fmt.Errorf("non-printable character in charset")
			}
			if !seen[ch] {
				seen[ch] = true
				c.Chars = append(c.Chars, ch)
			}
		}
		if len(c.Chars) == 0 || c.Min < 0 {
			return p, fmt.Errorf("a charset needs characters, and min-chars must not be negative")
		}
		needed += c.Min
		p.Rules = append(p.Rules, c)
	}
	switch {
	case len(p.Rules) == 0:
		return p, fmt.Errorf("no charsets specified")
	case needed > p.Length:
		return p, fmt.Errorf("unable to meet rules: the charsets need %d characters, and the length is %d", needed, p.Length)
	}
	return p, nil
}

// generate makes a password: for each rule as many of its characters as it
// demands, the rest from all of them, in random order.
func (p passwordPolicy) generate() string {
	var all, out []rune
	seen := map[rune]bool{}
	for _, c := range p.Rules {
		for range c.Min {
			out = append(out, c.Chars[randomInt(len(c.Chars))])
		}
		for _, ch := range c.Chars {
			if !seen[ch] {
				seen[ch] = true
				all = append(all, ch)
			}
		}
	}
	for len(out) < p.Length {
		out = append(out, all[randomInt(len(all))])
	}
	for i := len(out) - 1; i > 0; i-- {
		j := randomInt(i + 1)
		out[i], out[j] = out[j], out[i]
	}
	return string(out)
}

// randomInt is uniform below n.
func randomInt(n int) int {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil { // crypto/rand does not fail
		panic(err)
	}
	return int(i.Int64())
}

// GeneratePassword makes a password by a named password policy, for backends.
// Errors: Vault's, for a policy that is not there.
func (v *Vault) GeneratePassword(ctx context.Context, name string) (string, error) {
	var text string
	var found bool
	err := v.cfg.DB.View(ctx, func(tx *store.Tx) (err error) {
		text, found, err = entry[string](ctx, v, tx, passwordSpace, name)
		return err
	})
	if err != nil {
		return "", err
	}
	if !found {
		return "", RefuseIn(http.StatusNotFound, "policy does not exist")
	}
	p, err := parsePasswordPolicy(text)
	if err != nil {
		return "", err
	}
	return p.generate(), nil
}

func (v *Vault) passwordGenerate(ctx context.Context, r *Request) (*Response, error) {
	password, err := v.GeneratePassword(ctx, r.Vars["name"])
	if err != nil {
		return nil, err
	}
	return &Response{Data: map[string]any{"password": password}}, nil
}

func (v *Vault) passwordPolicyRead(ctx context.Context, r *Request) (*Response, error) {
	var text string
	var found bool
	err := r.View(ctx, func(tx *store.Tx) (err error) {
		text, found, err = entry[string](ctx, v, tx, passwordSpace, r.Vars["name"])
		return err
	})
	if err != nil || !found {
		return nil, err
	}
	return &Response{Data: map[string]any{"policy": text}}, nil
}

func (v *Vault) passwordPolicyWrite(ctx context.Context, r *Request) (*Response, error) {
	f := r.Fields()
	text := f.String("policy")
	f.Ignore("entropy_source")
	if f.Err() != nil {
		return nil, f.Err()
	}
	if text == "" {
		return nil, Bad("missing policy")
	}
	if decoded, err := base64.StdEncoding.DecodeString(text); err == nil {
		text = string(decoded)
	}
	if _, err := parsePasswordPolicy(text); err != nil {
		return nil, Bad("invalid password policy: %s", err)
	}
	return nil, r.Do(ctx, func(tx *gate.Tx) error { return putEntry(ctx, v, tx, passwordSpace, r.Vars["name"], text) })
}

func (v *Vault) passwordPolicyDelete(ctx context.Context, r *Request) (*Response, error) {
	return nil, r.Do(ctx, func(tx *gate.Tx) error { return deleteEntry(ctx, tx, passwordSpace, r.Vars["name"]) })
}
