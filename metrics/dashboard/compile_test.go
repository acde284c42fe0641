package dashboard_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/metrics/dashboard"
)

func TestWhatIsNoDashboardIsRefusedWithAReason(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ raw, want string }{
		"not JSON":           {"{\n\"panels\": [,]}", "line 2"},
		"a list":             {`[]`, "not a JSON object"},
		"another document":   {`{"name": "x"}`, "neither panels nor rows"},
		"the second schema":  {`{"apiVersion": "dashboard.grafana.app/v2beta1", "spec": {}}`, "second schema"},
		"its bare spec":      {`{"elements": {}, "layout": {}}`, "second schema"},
		"deep nesting":       {`{"panels": ` + strings.Repeat("[", 100000) + strings.Repeat("]", 100000) + `}`, "levels deep"},
		"too many bytes":     {`{"panels": [], "x": "` + strings.Repeat("x", dashboard.MaxBytes) + `"}`, "at most"},
		"brackets in a text": {`{"x": "` + strings.Repeat("[", 1000) + `"}`, "neither panels nor rows"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := dashboard.Compile([]byte(c.raw))
			if nightporter.CodeOf(err) != nightporter.Invalid || !strings.Contains(nightporter.MessageOf(err), c.want) {
				t.Errorf("answered %v, want an invalid that says %q", err, c.want)
			}
		})
	}
}

func TestADashboardIsReadInTheWrappingsOfGrafanasAPI(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		`{"dashboard": {"uid": "u", "title": "T", "panels": [{"type": "text"}]}, "meta": {}}`,
		`{"apiVersion": "dashboard.grafana.app/v1beta1", "metadata": {"name": "u"}, "spec": {"title": "T", "panels": [{"type": "text"}]}}`,
	} {
		d, err := dashboard.Compile([]byte(raw))
		if err != nil || d.UID != "u" || d.Title != "T" || len(d.Panels) != 1 {
			t.Errorf("%s was read as %+v, %v", raw, d, err)
		}
	}
}

func TestAValueCannotLeaveThePromQLStringThatItStandsIn(t *testing.T) {
	t.Parallel()
	d := compile(t, "testdata/variables.json")
	evil := `x"} or vector(1) #`
	v := resolve(t, d, dashboard.Ask{Values: map[string][]string{"instance": {evil}, "zone": {`a.b|c`, `\`, evil}, "env": {`'"\`}}})
	drawing, err := v.Draw(t.Context(), world{}, "1", 10)
	if err != nil {
		t.Fatal(err)
	}
	want := `requests_total{zone=~"(a\\.b\\|c|\\\\|x\"\\} or vector\\(1\\) #)",instance="x\"} or vector(1) #",env="'\"\\",job="api",s=~"a\.b"}[5m]`
	if len(drawing.Queries) != 1 || drawing.Queries[0] != want {
		t.Errorf("asked\n%s\nwant\n%s", drawing.Queries, want)
	}
}

func TestAVariableThatCannotBeAskedForSaysSo(t *testing.T) {
	t.Parallel()
	d, err := dashboard.Compile([]byte(`{"panels": [], "templating": {"list": [
		{"name": "a", "type": "query", "query": "label_values(down, zone)"}, {"name": "b", "type": "query", "query": "label_values(up{a=\"$c\"}, zone)"},
		{"name": "c", "type": "query", "query": "label_values(up{b=\"$b\"}, zone)"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(d.Issues, func(i dashboard.Issue) bool { return strings.Contains(i.Message, "refers to itself") }) {
		t.Errorf("two variables that need each other are not reported: %+v", d.Issues)
	}
	v := resolve(t, d, dashboard.Ask{})
	if got := v.Variables[0].Problem; !strings.Contains(got, "The workspace does not answer.") {
		t.Errorf("the problem is %q", got)
	}
	if got := v.Variables[1].Values; len(got) != 1 {
		t.Errorf("b has the values %q", got)
	}
}

func TestAChosenValueReachesTheQueriesAndARepeatedPanelEachOfItsOwn(t *testing.T) {
	t.Parallel()
	d := compile(t, "testdata/variables.json")
	v := resolve(t, d, dashboard.Ask{From: "now-30m", Values: map[string][]string{"zone": {"south"}}})
	if _, ok := v.Place("3~zone=north"); ok {
		t.Error("a panel is repeated for a value that is not chosen")
	}
	drawing, err := v.Draw(t.Context(), world{}, "3~zone=south", 10)
	if err != nil {
		t.Fatal(err)
	}
	if want := `requests_total{zone=~"south"}`; drawing.Queries[0] != want || drawing.To-drawing.From != 30*60*1000 {
		t.Errorf("asked %q over %d ms, want %q over half an hour", drawing.Queries, drawing.To-drawing.From, want)
	}
	if _, err := v.Draw(t.Context(), world{}, "99", 10); nightporter.CodeOf(err) != nightporter.NotFound {
		t.Errorf("a panel that is not there answers %v", err)
	}
}

// failing refuses everything with a cause that no page may show.
type failing struct{ world }

func (failing) Range(context.Context, dashboard.RangeQuery) (dashboard.Result, error) {
	return dashboard.Result{}, nightporter.Wrap(errors.New("dial 10.0.0.1"), nightporter.Unavailable, "The workspace is closed.")
}

func TestAPanelWhoseQueryFailsSaysWhyAndNotMore(t *testing.T) {
	t.Parallel()
	v := resolve(t, compile(t, "testdata/panels.json"), dashboard.Ask{})
	drawing, err := v.Draw(t.Context(), failing{}, "1", 10)
	if err != nil || drawing.Problem != "The workspace is closed." {
		t.Errorf("answered %+v, %v", drawing, err)
	}
}

func TestATextPanelKeepsItsWordsAndLosesWhatCouldAct(t *testing.T) {
	t.Parallel()
	v := resolve(t, compile(t, "testdata/panels.json"), dashboard.Ask{})
	markdown, err := v.Draw(t.Context(), world{}, "9", 0)
	if err != nil {
		t.Fatal(err)
	}
	want := `<h3>What to do</h3><ul><li>Look at <a href="/board" rel="noopener noreferrer nofollow">the board</a> of <strong>workspace</strong></li>` +
		`<li><code>rate(x[5m])</code> is <em>per second</em></li></ul><table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table>`
	if markdown.HTML != want {
		t.Errorf("Markdown became\n%s\nwant\n%s", markdown.HTML, want)
	}
	old, err := v.Draw(t.Context(), world{}, "10", 0)
	if err != nil {
		t.Fatal(err)
	}
	if want := `<div><strong>Bold</strong> <a>bad</a> <a href="https://example.test/" rel="noopener noreferrer nofollow">good</a></div>`; old.HTML != want {
		t.Errorf("HTML became\n%s\nwant\n%s", old.HTML, want)
	}
}

// FuzzCompile looks for files that crash: whatever is accepted can be drawn, and
// what is drawn as HTML holds no tag that is not on the list.
func FuzzCompile(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(`{"panels":[{"type":"text","options":{"mode":"html","content":"<scr<script>ipt>x</script><a href='java\tscript:x'>"}}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := dashboard.Compile(raw)
		if err != nil {
			return
		}
		v, err := d.Resolve(t.Context(), world{}, dashboard.Ask{Now: now})
		if err != nil {
			return
		}
		for _, s := range v.Sections {
			for _, p := range s.Places {
				drawing, err := v.Draw(t.Context(), world{}, p.Key, 20)
				if err != nil {
					t.Fatal(err)
				}
				if low := strings.ToLower(drawing.HTML); strings.Contains(low, "<script") || strings.Contains(low, `="javascript:`) || strings.Contains(low, "<img") {
					t.Fatalf("a text panel became %s", drawing.HTML)
				}
				v.Twin(drawing)
			}
		}
	})
}
