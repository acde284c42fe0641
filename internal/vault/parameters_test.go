package vault_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// The recorded writes under parameter rules, through the whole server: the body
// is decoded once, what is there decides between create and update, and the
// policies see both.
func TestParameterRulesDecideLikeTheRecordedServer(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.want(204, "root", "POST", "sys/mounts/kv1", m{"type": "kv", "options": m{"version": "1"}})
	f, err := os.Open("testdata/parameters.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	tokens := map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); n++ {
		var c struct {
			Policies     []string
			Method, Path string
			Body         json.RawMessage
			Headers      map[string]string
			Exists       bool
			Status       int
			Errors       []string
		}
		if err := json.NewDecoder(bytes.NewReader(s.Bytes())).Decode(&c); err != nil {
			t.Fatal(err)
		}
		h.want(204, "root", "DELETE", c.Path, nil)
		if c.Exists {
			h.want(204, "root", "PUT", c.Path, m{"seed": "1"})
		}
		key := strings.Join(c.Policies, "\x00")
		if tokens[key] == "" {
			var names []string
			for i, text := range c.Policies {
				name := fmt.Sprintf("p%d-%d", n, i)
				h.policy(name, text)
				names = append(names, name)
			}
			tokens[key] = h.token(m{"policies": names, "no_default_policy": true})
		}
		var body any
		if string(c.Body) != "null" {
			body = string(c.Body)
		}
		var headers []string
		for k, v := range c.Headers {
			headers = append(headers, k, v)
		}
		got := h.ask(tokens[key], c.Method, c.Path, body, headers...)
		if got.Status != c.Status || c.Errors != nil && got.errors() != strings.Join(c.Errors, "; ") {
			t.Errorf("line %d: %s %s %s = %d %s, recorded %d %q\n%s", n+1, c.Method, c.Path, c.Body, got.Status, got.Raw, c.Status, c.Errors, strings.Join(c.Policies, "---\n"))
		}
	}
	if n != 480 {
		t.Errorf("replayed %d cases, want 480", n)
	}
}
