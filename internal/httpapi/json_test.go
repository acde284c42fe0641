package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
)

type approval struct {
	Comment string              `json:"comment"`
	Count   int                 `json:"count"`
	Version nightporter.Version `json:"version"`
	From    []struct {
		Team string `json:"team"`
	} `json:"from"`
	Nested any `json:"nested"`
}

func read(body, contentType string, into any) error {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return httpapi.ReadJSON(r, into)
}

func TestReadJSON(t *testing.T) {
	t.Parallel()
	t.Run("reads what is expected", func(t *testing.T) {
		t.Parallel()
		var got approval
		err := read(` {"comment":"go","count":2,"version":"1.4.0","from":[{"team":"a"}]} `, "application/json; charset=utf-8", &got)
		want := approval{Comment: "go", Count: 2, Version: nightporter.Version{Major: 1, Minor: 4}}
		want.From = append(want.From, struct {
			Team string `json:"team"`
		}{"a"})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
	})
	t.Run("refuses everything else, and says where", func(t *testing.T) {
		t.Parallel()
		deep := func(n int) string {
			return `{"nested":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
		}
		for body, want := range map[string]string{
			``:                                   "the body is empty",
			`  `:                                 "the body is empty",
			`{`:                                  "ends in the middle",
			`{"comment":"a"`:                     "ends in the middle",
			`{"comment":}`:                       "is not JSON, at byte",
			`{'comment':1}`:                      "is not JSON, at byte 1",
			`{"comment":"a"} {"comment":"b"}`:    "goes on after",
			`{"comment":"a"}x`:                   "goes on after",
			`{"coment":"a"}`:                     "coment is not a field here",
			`{"from":[{"team":"a"},{"tem":1}]}`:  "from[1].tem is not a field here",
			`{"comment":"a","comment":"b"}`:      "comment is there twice",
			`{"from":[{"team":"a","team":"b"}]}`: "from[0].team is there twice",
			`{"nested":{"a":[1,{"b":{"c":1,"c":2}}]}}`: "nested.a[1].b.c is there twice",
			`{"count":"two"}`:                          "count must be a whole number, got string",
			`{"count":1.5}`:                            "count must be a whole number",
			`{"comment":7}`:                            "comment must be a string, got number",
			`{"from":{}}`:                              "from must be a list, got object",
			`{"from":[{"team":true}]}`:                 "from.team must be a string, got bool",
			`[]`:                                       "the body must be an object, got array",
			`{"version":"one"}`:                        `"one" is not a semantic version`,
			deep(32):                                   "nests deeper than 32 levels",
			deep(1_000_000):                            "nests deeper than 32 levels",
			`{"nested":[` + strings.Repeat("1,", 100_001) + `1]}`: "holds more than 100000 values",
		} {
			err := read(body, "application/json", new(approval))
			if nightporter.CodeOf(err) != nightporter.Invalid || !strings.Contains(nightporter.MessageOf(err), want) {
				t.Errorf("%.60s: got %q, want %q", body, nightporter.MessageOf(err), want)
			}
		}
		if err := read(deep(31), "", new(approval)); err != nil {
			t.Errorf("31 levels below the first: %v", err)
		}
		for _, ct := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ";"} {
			if err := read(`{"comment":"a"}`, ct, new(approval)); nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("%s: got %v", ct, err)
			}
		}
	})
	t.Run("a body that may be missing leaves the zero", func(t *testing.T) {
		t.Parallel()
		in := approval{Comment: "before"}
		r := httptest.NewRequest("POST", "/", nil)
		if err := httpapi.ReadOptionalJSON(r, &in); err != nil || in.Comment != "before" {
			t.Errorf("got %+v, %v", in, err)
		}
		r = httptest.NewRequest("POST", "/", strings.NewReader(`{"x":1}`))
		if err := httpapi.ReadOptionalJSON(r, &in); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("got %v", err)
		}
	})
}

// encoding/json and net/http are the judges: what ReadJSON takes is one valid
// value that decodes to the same, and what it refuses never crashes it.
func FuzzReadJSON(f *testing.F) {
	for _, s := range []string{`{}`, `{"comment":"a","count":1}`, `{"from":[{"team":"a"}]}`, `{"nested":{"a":[1,{"b":null}]}}`, `{"a":1,"a":2}`, `[[[`, `{"nested":"\ud800"}`, "\ufeff{}", `{"":{"":1}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got, want approval
		err := httpapi.ReadJSON(httptest.NewRequest("POST", "/", bytes.NewReader(body)), &got)
		if err != nil {
			if nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		if !json.Valid(body) {
			t.Errorf("%q was taken and is not JSON", body)
		}
		if err := json.Unmarshal(body, &want); err != nil || !cmp.Equal(want, got) {
			t.Errorf("%q: got %+v, encoding/json says %+v, %v", body, got, want, err)
		}
	})
}

func TestLists(t *testing.T) {
	t.Parallel()
	page := func(t *testing.T, query string, items []int) string {
		t.Helper()
		w := httptest.NewRecorder()
		p, err := httpapi.ReadPage(httptest.NewRequest("GET", "/?"+query, nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := httpapi.WriteList(w, p, items, func(i int) string { return fmt.Sprint("c", i) }); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(w.Body.String())
	}
	for query, c := range map[string]struct {
		items []int
		want  string
	}{
		"":                 {nil, `{"items":[]}`},
		"after=c1&limit=2": {[]int{2, 3, 4}, `{"items":[2,3],"next":"c3"}`},
		"limit=3":          {[]int{2, 3, 4}, `{"items":[2,3,4]}`},
	} {
		if got := page(t, query, c.items); got != c.want {
			t.Errorf("%q: %s, want %s", query, got, c.want)
		}
	}
	if p, err := httpapi.ReadPage(httptest.NewRequest("GET", "/", nil)); err != nil || p != (httpapi.Page{Limit: 100}) {
		t.Errorf("default: %+v, %v", p, err)
	}
	for _, query := range []string{"limit=0", "limit=-1", "limit=1001", "limit=ten", "limit=9999999999999999999", "after=%zz", "limit=1;2"} {
		if _, err := httpapi.ReadPage(httptest.NewRequest("GET", "/?"+query, nil)); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("%q: got %v, want invalid", query, err)
		}
	}
}
