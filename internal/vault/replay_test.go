package vault_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
)

// pair is a recorded request and its answer; see testdata/README.md.
type pair struct {
	Name          string
	Setup         []string
	Method, Path  string
	As            *string
	Headers       map[string]string
	Body          json.RawMessage
	BodyRaw       *string `json:"body_raw"`
	Status        int
	AnswerHeaders map[string]string `json:"answer_headers"`
	Answer        any
}

func recordedPairs(t *testing.T) (pairs []pair) {
	t.Helper()
	f, err := os.Open("testdata/wire.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	s := bufio.NewScanner(z)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var p pair
		d := json.NewDecoder(bytes.NewReader(s.Bytes()))
		d.UseNumber()
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, p)
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return pairs
}

// differs are the pairs that we answer differently on purpose, and why. A test
// fails when one of them does not differ any more.
var differs = map[string]string{
	"path-dotdot":          "a path with dots is refused and not repaired: a policy must not be walked around",
	"path-double-slash":    "a path with an empty segment is refused and not repaired",
	"audit-list":           "our audit log is always on, and listed",
	"tok-create-id":        "no warning: our tokens are all stored as SHA-256",
	"tok-create-id-slash":  "no warning: our tokens are all stored as SHA-256",
	"trole-lookup":         "the limit that the role sets is shown",
	"policy-dup-attr":      "an attribute that stands twice is refused: two readers could take different ones",
	"policies-list":        "the role bundles are policies too",
	"policies-list-true":   "the role bundles are policies too",
	"policies-list-2":      "the role bundles are policies too",
	"policy-legacy-list":   "the role bundles are policies too",
	"policy-default-read":  "the text of the default policy is our own",
	"policy-respwrap-read": "the text of the policy is our own",
	"ns-header-empty":      "the text of the default policy is our own",
	"resultant-acl":        "the default policy grants a few more paths",
	"ar-cidr-login":        "the recorded text ends in a formatting mistake",
	"remount":              "the warning names no product",
	"lease-tidy":           "the warning names no product",
	"ui-mounts-root":       "there is no identity engine",
	"mounts-list":          "there is no identity engine",
	"mounts-list-2":        "there is no identity engine",
	"kv2-wrong-path-get":   "the hint names vault, not bao",
	"kv2-wrong-path-put":   "the hint names vault, not bao",
	"kv2-wrong-path-list":  "the hint names vault, not bao",
}

// needsDatabase says that a pair is about the database engine, which is tested
// with that engine.
func needsDatabase(p pair) bool {
	return strings.HasPrefix(p.Name, "db-") || strings.HasPrefix(p.Name, "lease-") && (slices.ContainsFunc(p.Setup, func(s string) bool { return strings.HasPrefix(s, "db-") }) ||
		strings.HasPrefix(p.Name, "lease-list"))
}

func TestEveryRecordedAnswerIsGivenAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		replayAll(t, openWith(t, options{unsealed: true, db: db}))
	})
}

func replayAll(t *testing.T, h *house) {
	h.want(204, "root", "POST", "sys/mounts/secret", m{"type": "kv", "description": "key/value secret storage", "options": m{"version": "2"}})
	answers := map[string]answer{}
	var skipped, different []string
	for _, p := range recordedPairs(t) {
		if needsDatabase(p) {
			skipped = append(skipped, p.Name)
			continue
		}
		got := h.replay(p, answers)
		answers[p.Name] = got
		problem := compare(p, got)
		switch reason := differs[p.Name]; {
		case problem != "" && reason == "":
			t.Errorf("%s: %s %s %s\n%s", p.Name, p.Method, p.Path, p.Body, problem)
		case problem == "" && reason != "":
			t.Errorf("%s does not differ any more; it was excused by %q", p.Name, reason)
		case problem != "":
			different = append(different, p.Name)
		}
	}
	t.Logf("compared %d pairs with the recording", len(answers))
	t.Logf("%d pairs need the database engine and are replayed with it: %s", len(skipped), strings.Join(skipped, " "))
	for _, name := range different {
		t.Logf("answered differently on purpose: %s: %s", name, differs[name])
	}
}

var reference = regexp.MustCompile(`<from (\S+) (/[^>]*)>`)

// fill puts earlier answers into a request.
func fill(text string, answers map[string]answer) string {
	return reference.ReplaceAllStringFunc(text, func(ref string) string {
		found := reference.FindStringSubmatch(ref)
		return answers[found[1]].text(strings.Split(found[2][1:], "/")...)
	})
}

func (h *house) replay(p pair, answers map[string]answer) answer {
	var body any
	switch {
	case p.BodyRaw != nil:
		body = *p.BodyRaw
	case len(p.Body) > 0 && string(p.Body) != "null":
		body = fill(string(p.Body), answers)
	}
	token := ""
	if p.As != nil {
		token = fill(*p.As, answers)
	}
	var headers []string
	for k, v := range p.Headers {
		headers = append(headers, k, v)
	}
	return h.ask(token, p.Method, strings.TrimPrefix(fill(p.Path, answers), "/v1/"), body, headers...)
}

// compare says how an answer differs from the recorded one, or "".
func compare(p pair, got answer) string {
	if got.Status != p.Status {
		return fmt.Sprintf("status %d %s, recorded %d %v", got.Status, got.Raw, p.Status, p.Answer)
	}
	for name, want := range p.AnswerHeaders {
		if have := got.Header.Get(name); have != want {
			return fmt.Sprintf("header %s is %q, recorded %q", name, have, want)
		}
	}
	if p.Answer == nil || p.Method == http.MethodHead {
		if len(got.Raw) > 0 {
			return fmt.Sprintf("the body is %s, recorded none", got.Raw)
		}
		return ""
	}
	return cmp.Diff(strip(p.Answer), strip(align(p.Answer, any(got.Body), "")))
}

// added are members that we have and the recorded server did not.
var added = []string{"performance_standby", "build_date", "leader_address", "leader_cluster_address", "is_self"}

// strip takes out what names the product or the build.
func strip(v any) any {
	o, ok := v.(map[string]any)
	if !ok {
		return v
	}
	o = maps.Clone(o)
	for _, name := range append(slices.Clone(added), "running_plugin_version", "version", "storage_type") {
		if _, isText := o[name].(string); isText || slices.Contains(added, name) {
			delete(o, name)
		}
	}
	for k, e := range o {
		o[k] = strip(e)
	}
	return o
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
		if len(w) > 0 && w[0] == "<accessor>" { // a listing of everything before it
			return want
		}
		out := slices.Clone(g)
		for i := range out {
			if i < len(w) {
				out[i] = align(w[i], out[i], key)
			}
		}
		return out
	case string:
		if fits(w, got, key) {
			return want
		}
	case json.Number:
		// What is left of a TTL depends on how long the test took.
		a, aerr := w.Int64()
		b, berr := strconv.ParseInt(fmt.Sprint(got), 10, 64)
		if (key == "ttl" || key == "lease_duration") && aerr == nil && berr == nil && b <= a+1 && b >= a-30 && b > 0 {
			return want
		}
	}
	return got
}

var forms = map[string]*regexp.Regexp{
	"<uuid>":         regexp.MustCompile(`^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-v]{26}(:.*)?)$`),
	"<token>":        regexp.MustCompile(`^np[tsbw]_[A-Za-z0-9_-]{51}$`),
	"<accessor>":     regexp.MustCompile(`^[A-Z2-7]{24}$`),
	"<rfc3339>":      regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`),
	"<unix>":         regexp.MustCompile(`^\d{10}$`),
	"<int>":          regexp.MustCompile(`^\d+$`),
	"<cluster_name>": regexp.MustCompile(`^[a-z0-9-]+$`),
}

func fits(want string, got any, _ string) bool {
	if kind, ok := strings.CutPrefix(want, "<mount_accessor:"); ok {
		re := regexp.MustCompile("^" + strings.TrimSuffix(kind, ">") + "_[0-9a-f]{8}$")
		return re.MatchString(fmt.Sprint(got))
	}
	re, ok := forms[want]
	return ok && re.MatchString(fmt.Sprint(got))
}
