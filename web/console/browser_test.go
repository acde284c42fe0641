package console_test

import (
	"bytes"
	"context"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"nightporter.dev/nightporter/web/console"
)

var screenshots = flag.String("screenshots", "", "write a picture of every page into this folder")

// site serves the stories as the real server would: with the policy header.
// ?theme=dark stands for the cookie.
func site(t *testing.T, r *console.Renderer) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/static/", r.Static())
	mux.HandleFunc("/page/{name}", func(w http.ResponseWriter, req *http.Request) {
		page, ok := stories()[req.PathValue("name")]
		if !ok {
			http.NotFound(w, req)
			return
		}
		send(w, r, themed(page, req.URL.Query().Get("theme")))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func send(w http.ResponseWriter, r *console.Renderer, page console.Page) {
	var b bytes.Buffer
	if err := r.Render(&b, page); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", console.ContentSecurityPolicy)
	b.WriteTo(w)
}

// browser starts Chromium, or skips where there is none: loudly, and never
// where a browser was promised.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		const missing = "no chromium on PATH: the console's look, accessibility and live updates are NOT tested (apt-get install chromium)"
		if os.Getenv("CI") == "true" || os.Getenv("NIGHTPORTER_BROWSER") == "required" {
			t.Fatal(missing)
		}
		t.Log(missing)
		t.Skip(missing)
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("hide-scrollbars", true))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil && ctx.Err() == nil {
			t.Logf("closing the browser: %v", err)
		}
		cancel()
	})
	return ctx
}

// finding is one violation that axe-core reports.
type finding struct {
	ID    string   `json:"id"`
	Help  string   `json:"help"`
	Where []string `json:"where"`
}

const runAxe = `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(r =>
	r.violations.map(v => ({id: v.id, help: v.help, where: v.nodes.slice(0, 4).map(n => n.target.join(" ") + " " + (n.any[0]?.message ?? ""))})))`

// countRefused lists what the policy refused since the page began to load.
const countRefused = `new Promise(done => {
	const seen = []; const o = new ReportingObserver(rs => rs.forEach(r => seen.push(r.body.effectiveDirective + " " + r.body.blockedURL)), {types: ["csp-violation"], buffered: true});
	o.observe(); setTimeout(() => { o.takeRecords().forEach(r => seen.push(r.body.effectiveDirective)); done(seen) }) })`

// A page that is wrong on purpose shows that both judges look.
func TestTheJudgesSeeAPageThatIsWrong(t *testing.T) {
	ctx := browser(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Security-Policy", console.ContentSecurityPolicy)
		io.WriteString(w, `<!doctype html><title>wrong</title><script>document.title = "ran"</script><p style="color: #eee">pale<img src="/x.png"></p>`)
	}))
	t.Cleanup(s.Close)
	do(t, ctx, chromedp.Navigate(s.URL))
	refused, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](countRefused, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	if len(refused) != 2 {
		t.Errorf("the policy refused %q, want the script and the style", refused)
	}
	if title := js[string](t, ctx, `document.title`); title != "wrong" {
		t.Error("an inline script ran")
	}
	ids := map[string]bool{}
	for _, f := range findings(t, ctx) {
		ids[f.ID] = true
	}
	if !ids["image-alt"] || !ids["html-has-lang"] {
		t.Errorf("axe-core found %v, want image-alt and html-has-lang among them", ids)
	}
}

// axe-core judges the accessibility; the browser itself judges the policy.
func TestPagesAreAccessibleInBothThemesAndSizes(t *testing.T) {
	r := newRenderer(t)
	s := site(t, r)
	sizes := []struct {
		name          string
		width, height int64
	}{{"1280", 1280, 1000}, {"390", 390, 844}}
	names := make([]string, 0, len(stories()))
	for name := range stories() {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, size := range sizes {
		ctx := browser(t) // each has its time
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(size.width, size.height)); err != nil {
			t.Fatal(err)
		}
		for _, theme := range []string{"light", "dark"} {
			for _, name := range names {
				t.Run(strings.Join([]string{name, size.name, theme}, "/"), func(t *testing.T) {
					if err := chromedp.Do(ctx, chromedp.Navigate(s.URL+"/page/"+name+"?theme="+theme)); err != nil {
						t.Fatal(err)
					}
					refused, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](countRefused, chromedp.EvalAwaitPromise))
					if err != nil {
						t.Fatal(err)
					}
					if len(refused) > 0 {
						t.Errorf("the content security policy refused %q", refused)
					}
					over, err := chromedp.Run(ctx, chromedp.Evaluate[float64](`document.documentElement.scrollWidth - innerWidth`))
					if err != nil {
						t.Fatal(err)
					}
					if over > 0 {
						t.Errorf("the page is %v px wider than the window", over)
					}
					if *screenshots != "" {
						chromedp.Run(ctx, chromedp.Evaluate[bool](`document.fonts.ready.then(() => true)`, chromedp.EvalAwaitPromise))
						picture(t, ctx, filepath.Join(*screenshots, name+"-"+size.name+"-"+theme+".png"))
					}
					accessible(t, ctx, name)
				})
			}
		}
	}
}

// accessible fails for what axe-core finds on the page as it stands.
func accessible(t *testing.T, ctx context.Context, what string) {
	t.Helper()
	for _, f := range findings(t, ctx) {
		t.Errorf("%s: %s: %s\n\t%s", what, f.ID, f.Help, strings.Join(f.Where, "\n\t"))
	}
}

func findings(t *testing.T, ctx context.Context) []finding {
	t.Helper()
	axe, err := os.ReadFile("testdata/axe/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](string(axe))); err != nil {
		t.Fatal(err)
	}
	found, err := chromedp.Run(ctx, chromedp.Evaluate[[]finding](runAxe, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func picture(t *testing.T, ctx context.Context, file string) {
	t.Helper()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, png, 0o644); err != nil {
		t.Fatal(err)
	}
}
