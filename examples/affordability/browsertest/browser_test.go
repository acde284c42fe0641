package browsertest

import (
	"bufio"
	"context"
	"flag"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

var screenshots = flag.String("screenshots", "", "write a picture of every page into this folder")

// axe is axe-core, which lies beside the console that it also judges.
const axe = "../../../web/console/testdata/axe/axe.min.js"

// A person connects the bank with a browser, sees what the payments prove, and deletes it all.
func TestSomebodyConnectsABankReadsEveryPageAndDeletesEverything(t *testing.T) {
	ctx, service := browser(t), open(t)
	do(t, ctx, chromedp.EmulateViewport(1280, 1000), chromedp.Navigate(service+"/"))
	judge(t, ctx, "start")

	loads(t, ctx, chromedp.Click(chromedp.CSS("button.main")))
	judge(t, ctx, "the bank's customers")
	loads(t, ctx, chromedp.Click(chromedp.CSS(`a[href*="tenant=t0001"]`)))
	judge(t, ctx, "the bank's consent")
	loads(t, ctx, chromedp.Click(chromedp.CSS(`button[value="approve"]`)))
	until(t, ctx, `document.querySelector("nav[aria-label=Pages]") !== null`)

	var figures []string
	for _, path := range []string{"/profile", "/rent", "/spending", "/what-if", "/report", "/data"} {
		do(t, ctx, chromedp.Navigate(service+path))
		if path == "/profile" {
			figures = js[[]string](t, ctx, `[...new Set([...document.querySelectorAll("a[href^='/figures/']")].map(a => a.getAttribute("href")))]`)
		}
		judge(t, ctx, path)
	}
	if len(figures) < 8 {
		t.Errorf("the profile links %d figures: every amount should open", len(figures))
	}
	for _, path := range figures {
		do(t, ctx, chromedp.Navigate(service+path))
		if formula := js[string](t, ctx, `document.querySelector("main .lead")?.textContent ?? ""`); len(formula) < 10 {
			t.Errorf("%s does not say how the figure came to be: %q", path, formula)
		}
	}
	do(t, ctx, chromedp.Navigate(service+figures[0]))
	judge(t, ctx, "a figure")
	do(t, ctx, chromedp.Navigate(service+"/nothing"))
	judge(t, ctx, "a page that is not there")

	do(t, ctx, chromedp.EmulateViewport(1280, 1000), chromedp.Navigate(service+"/data"), chromedp.Click(chromedp.CSS("input[name=sure]")))
	loads(t, ctx, chromedp.Click(chromedp.CSS("form[action='/data/delete'] button")))
	do(t, ctx, chromedp.Navigate(service+"/profile"))
	if text := js[string](t, ctx, `document.body.textContent`); strings.Contains(text, "£840") {
		t.Error("the rent is still shown after everything was deleted")
	}
}

// The first key on a page leads past what repeats, and what has the focus shows it.
func TestAKeyboardReachesTheButton(t *testing.T) {
	ctx, service := browser(t), open(t)
	do(t, ctx, chromedp.Navigate(service+"/"), chromedp.KeyEvent("\t"))
	if class := js[string](t, ctx, `document.activeElement.className`); class != "skip" {
		t.Errorf("the first stop is %q, not the way to the page", class)
	}
	for range 6 {
		if js[bool](t, ctx, `document.activeElement.matches("button.main")`) {
			break
		}
		do(t, ctx, chromedp.KeyEvent("\t"))
	}
	if !js[bool](t, ctx, `document.activeElement.matches("button.main:focus-visible") && getComputedStyle(document.activeElement).outlineStyle !== "none"`) {
		t.Error("the button is not reached, or does not show that it is")
	}
	loads(t, ctx, chromedp.KeyEvent("\r"))
	if !strings.Contains(js[string](t, ctx, `location.pathname`), "authorize") {
		t.Error("the key does not lead to the bank")
	}
}

// judge looks at the page that is open: in both themes, wide and on a phone.
func judge(t *testing.T, ctx context.Context, what string) {
	t.Helper()
	library, err := os.ReadFile(axe)
	if err != nil {
		t.Fatal(err)
	}
	for _, width := range []int64{1280, 390} {
		do(t, ctx, chromedp.EmulateViewport(width, 1000))
		for _, theme := range []string{"light", "dark"} {
			if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
			}); err != nil {
				t.Fatal(err)
			}
			if over := js[float64](t, ctx, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
				t.Errorf("%s is %v px wider than a window of %d", what, over, width)
			}
			if *screenshots != "" {
				png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
				if err == nil {
					name := strings.Trim(strings.NewReplacer("/", "-", " ", "-", "'", "").Replace(what), "-")
					err = os.WriteFile(filepath.Join(*screenshots, name+"-"+theme+"-"+map[int64]string{1280: "1280", 390: "390"}[width]+".png"), png, 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			do(t, ctx, chromedp.Evaluate[chromedp.Void](string(library)))
			found, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](runAxe, chromedp.EvalAwaitPromise))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				t.Errorf("%s, %s, %d px: %s", what, theme, width, f)
			}
		}
	}
}

const runAxe = `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(r =>
	r.violations.map(v => v.id + ": " + v.help + ": " + v.nodes.slice(0, 3).map(n => n.target.join(" ") + " " + (n.any[0]?.message ?? "")).join("; ")))`

// open starts the bank and the service, as a newcomer does, and returns the service's address.
func open(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, folder := range map[string]string{"bank": "../../sandboxbank", "service": ".."} {
		build := exec.Command("go", "build", "-o", filepath.Join(dir, name), ".")
		build.Dir = folder
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build the %s: %v\n%s", name, err, out)
		}
	}
	listen := free(t)
	service := "http://" + listen
	bank := <-start(t, exec.Command(filepath.Join(dir, "bank"), "--listen=127.0.0.1:0", "--redirect-uri="+service+"/v1/callback"), "SANDBOXBANK_CLIENT_SECRET=hush")
	start(t, exec.Command(filepath.Join(dir, "service")), "BANK_CLIENT_SECRET=hush", "BANK_URL="+bank, "LISTEN="+listen, "PUBLIC_URL="+service)
	client := http.Client{Timeout: time.Second}
	for deadline := time.Now().Add(time.Minute); ; {
		resp, err := client.Get(service + "/readyz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return service
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the service did not get ready: %v", err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// start runs a program until the test ends, and sends the first address that it prints.
func start(t *testing.T, cmd *exec.Cmd, env ...string) <-chan string {
	t.Helper()
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first, drained := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(drained)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if found := address.FindString(lines.Text()); found != "" {
				select {
				case first <- found:
				default:
				}
			}
		}
		close(first)
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-drained; _ = cmd.Wait() })
	return first
}

var address = regexp.MustCompile(`http://[0-9.]+:[0-9]+`)

// free returns an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// browser starts Chromium, or skips where there is none: loudly, and never where a browser was promised.
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
		const missing = "no chromium on PATH: the pages are NOT looked at (apt-get install chromium)"
		if os.Getenv("CI") == "true" || os.Getenv("NIGHTPORTER_BROWSER") == "required" {
			t.Fatal(missing)
		}
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

func do(t *testing.T, ctx context.Context, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

func js[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits for a condition across pages: a wait that a new page cuts short begins again there.
func until(t *testing.T, ctx context.Context, condition string) {
	t.Helper()
	poll := chromedp.Poll[bool](condition, chromedp.WithPollingInterval(50*time.Millisecond))
	_, err := chromedp.Run(ctx, poll)
	for err != nil && ctx.Err() == nil && strings.Contains(err.Error(), "(-32000)") {
		_, err = chromedp.Run(ctx, poll)
	}
	if err != nil {
		t.Fatalf("waiting for %s: %v", condition, err)
	}
}

// loads does something and waits until another page has loaded.
func loads(t *testing.T, ctx context.Context, action chromedp.Action[chromedp.Void]) {
	t.Helper()
	loaded := chromedp.Events(ctx, page.LoadEventFired)
	do(t, ctx, action)
	for _, err := range loaded {
		if err != nil {
			t.Fatalf("no page was opened: %v", err)
		}
		break
	}
}
