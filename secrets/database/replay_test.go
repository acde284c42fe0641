package database_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter/internal/dbtest"
)

// pair is a recorded request and its answer: internal/vault/testdata/README.md.
type pair struct {
	Name         string
	Setup        []string
	Method, Path string
	As           *string
	Headers      map[string]string
	Body         json.RawMessage
	Status       int
	Answer       any
}

// differs are the pairs that we answer differently on purpose, and why. A test
// fails when one of them does not differ any more.
var differs = map[string]string{
	"db-config-wrongpw":       "the driver's own words name the address of the database",
	"db-role-nostmt":          "a role is looked at when it is written: the warning says what is missing",
	"db-role-ttlorder":        "a role is looked at when it is written: the warning says what is wrong",
	"db-role-unknown-db":      "a role is looked at when it is written: the warning says what is wrong",
	"db-role-notallowed":      "a role is looked at when it is written: the warning says what is wrong",
	"db-role-badsql":          "a role is tried when it is written: the warning says what is wrong",
	"db-role":                 "a role is looked at when it is written: the warning is about the direct grant",
	"db-role-string":          "a role is looked at when it is written: the warning is about the direct grant",
	"lease-renew-legacy":      "Vault serves sys/renew, and so do we",
	"lease-tidy":              "the warning names no product",
	"lease-list-after-prefix": "a wrapping token of this path lives until it is used or its minute is over",
	"db-creds-badsql":         "the SQLSTATE is not shown",
	"lease-revoke-force":      "nothing is forgotten: the answer says that it goes on",
}

// aboutDatabases are the recorded pairs of the database engine and of its leases,
// with what they depend on, in order.
func aboutDatabases(t *testing.T, replace *strings.Replacer) []pair {
	t.Helper()
	f, err := os.Open("../../internal/vault/testdata/wire.jsonl.gz")
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	var all []pair
	s := bufio.NewScanner(z)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var p pair
		d := json.NewDecoder(strings.NewReader(replace.Replace(s.Text())))
		d.UseNumber()
		must(t, d.Decode(&p))
		all = append(all, p)
	}
	must(t, s.Err())
	wanted := map[string]bool{}
	for _, p := range slices.Backward(all) {
		if strings.HasPrefix(p.Name, "db-") || strings.HasPrefix(p.Name, "lease-") || wanted[p.Name] {
			wanted[p.Name] = true
			for _, name := range p.Setup {
				wanted[name] = true
			}
		}
	}
	return slices.DeleteFunc(all, func(p pair) bool { return !wanted[p.Name] })
}

func TestRecordedAnswersAreGivenAgain(t *testing.T) {
	t.Parallel()
	pg := dbtest.Postgres(t)
	name := pg.Database(t)
	admin, static := "va_"+name, "stat_"+name
	pg.Exec(t, "", `CREATE ROLE `+admin+` LOGIN SUPERUSER PASSWORD 'vaultpw'`, `CREATE ROLE `+static+` LOGIN PASSWORD 'x'`)
	t.Cleanup(func() { pg.Exec(t, "", `DROP ROLE `+admin, `DROP ROLE `+static) })
	h := open(t, options{})
	h.want(204, "root", "DELETE", "sys/mounts/database", nil)
	answers := map[string]answer{}
	compared := 0
	for _, p := range aboutDatabases(t, strings.NewReplacer("<pg_addr>/users", pg.Addr+"/"+name, "DATABASE users", "DATABASE "+name,
		"database=users", "database="+name, "<pg_addr>", pg.Addr, "vaultadmin", admin, "stat1", static)) {
		token := ""
		if p.As != nil {
			token = fill(*p.As, answers)
		}
		var body any
		if len(p.Body) > 0 && string(p.Body) != "null" {
			body = fill(string(p.Body), answers)
		}
		var headers []string
		for k, v := range p.Headers {
			headers = append(headers, k, v)
		}
		got, err := h.try(token, p.Method, strings.TrimPrefix(fill(p.Path, answers), "/v1/"), body, headers...)
		must(t, err)
		answers[p.Name] = got
		problem := ""
		if got.Status != p.Status {
			problem = fmt.Sprintf("status %d %s, recorded %d %v", got.Status, got.Raw, p.Status, p.Answer)
		} else if p.Answer != nil {
			problem = cmp.Diff(p.Answer, align(p.Answer, any(got.Body), ""))
		}
		if !strings.HasPrefix(p.Name, "db-") && !strings.HasPrefix(p.Name, "lease-") {
			continue
		}
		compared++
		switch reason := differs[p.Name]; {
		case problem != "" && reason == "":
			t.Errorf("%s: %s %s %s\n%s", p.Name, p.Method, p.Path, p.Body, problem)
		case problem == "" && reason != "":
			t.Errorf("%s does not differ any more; it was excused by %q", p.Name, reason)
		case problem != "":
			t.Logf("answered differently on purpose: %s: %s", p.Name, reason)
		}
	}
	t.Logf("compared %d pairs with the recording", compared)
}

var reference = regexp.MustCompile(`<from (\S+) (/[^>]*)>`)

// fill puts earlier answers into a request.
func fill(text string, answers map[string]answer) string {
	return reference.ReplaceAllStringFunc(text, func(ref string) string {
		found := reference.FindStringSubmatch(ref)
		return answers[found[1]].text(strings.Split(found[2][1:], "/")...)
	})
}

var forms = map[string]*regexp.Regexp{
	"<uuid>":     regexp.MustCompile(`^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-v]{26}(:.*)?)$`),
	"<token>":    regexp.MustCompile(`^np[tsbw]_[A-Za-z0-9_-]{51}$`),
	"<accessor>": regexp.MustCompile(`^[A-Z2-7]{24}$`),
	"<rfc3339>":  regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`),
	"<username>": regexp.MustCompile(`^v-(root|token)-[a-z]+-[a-z0-9]{20}-\d{10}$`),
	"<password>": regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{19}$`),
	"<lease_id>": regexp.MustCompile(`^[A-Z2-7a-zA-Z0-9]{24}$`),
}

// align replaces in got what the recording has a placeholder for, if it has the
// right form.
func align(want, got any, key string) any {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return got
		}
		out := map[string]any{}
		for k, e := range g {
			out[k] = align(w[k], e, k)
		}
		return out
	case []any:
		g, ok := got.([]any)
		if !ok {
			return got
		}
		out := slices.Clone(g)
		for i := range out {
			if i < len(w) {
				out[i] = align(w[i], out[i], key)
			}
		}
		return out
	case string:
		form, text := w, fmt.Sprint(got)
		if i := strings.LastIndexByte(w, '/'); i > 0 && strings.HasPrefix(w[i+1:], "<") && strings.HasPrefix(text, w[:i+1]) {
			form, text = w[i+1:], text[i+1:]
		}
		if re := forms[form]; re != nil && re.MatchString(text) {
			return want
		}
	case json.Number:
		// What is left of a TTL depends on how long the test took.
		a, aerr := w.Int64()
		b, berr := strconv.ParseInt(fmt.Sprint(got), 10, 64)
		if (key == "ttl" || key == "lease_duration") && aerr == nil && berr == nil && b <= a+1 && b >= a-60 && b > 0 {
			return want
		}
	}
	return got
}
