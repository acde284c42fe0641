package console_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"nightporter.dev/nightporter/web/console"
)

// house is a server with a board, a release and a stream, small enough to see
// what the browser does with them.
type house struct {
	*httptest.Server
	render *console.Renderer

	mu       sync.Mutex
	approved string // the comment, once somebody approved
	renamed  string // replaces the word of ledger's status
	streams  int    // connections to /events, ever
	tell     chan string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{render: newRenderer(t), tell: make(chan string)}
	mux := http.NewServeMux()
	mux.Handle("/static/", h.render.Static())
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { send(w, h.render, home()) })
	mux.HandleFunc("GET /services", h.board)
	mux.HandleFunc("GET /activity", func(w http.ResponseWriter, _ *http.Request) { send(w, h.render, activity()) })
	mux.HandleFunc("GET /services/ledger", func(w http.ResponseWriter, _ *http.Request) { send(w, h.render, service()) })
	mux.HandleFunc("GET /releases/affordability-1.8.1", h.release)
	mux.HandleFunc("POST /releases/affordability-1.8.1/approve", h.approve)
	mux.HandleFunc("GET /events", h.events)
	h.Server = httptest.NewServer(mux)
	t.Cleanup(func() { h.CloseClientConnections(); h.Close() })
	return h
}

func (h *house) board(w http.ResponseWriter, req *http.Request) {
	h.mu.Lock()
	renamed := h.renamed
	h.mu.Unlock()
	b := board()
	if renamed != "" {
		b.Rows[0], b.Rows[1] = b.Rows[1], b.Rows[0]
		b.Rows[0].Status.Word = renamed
	}
	if q := req.URL.Query().Get("q"); q != "" {
		var rows []console.BoardRow
		for _, row := range b.Rows {
			if strings.Contains(row.Service, q) {
				rows = append(rows, row)
			}
		}
		b.Rows, b.Search = rows, q
	}
	send(w, h.render, b)
}

func (h *house) release(w http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	approved := h.approved
	h.mu.Unlock()
	r := waitingRelease()
	if approved != "" {
		r = doneRelease()
		r.Approvals[0].Comment = approved
	}
	send(w, h.render, r)
}

func (h *house) approve(w http.ResponseWriter, req *http.Request) {
	if req.PostFormValue("idempotency_key") != "k-1" {
		http.Error(w, "no key", http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	h.approved = req.PostFormValue("comment")
	h.mu.Unlock()
	http.Redirect(w, req, "/releases/affordability-1.8.1", http.StatusSeeOther)
}

func (h *house) events(w http.ResponseWriter, req *http.Request) {
	h.mu.Lock()
	h.streams++
	h.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, "event: ping\ndata:\n\n")
	w.(http.Flusher).Flush()
	for {
		select {
		case <-req.Context().Done():
			return
		case message := <-h.tell:
			fmt.Fprint(w, message)
			w.(http.Flusher).Flush()
		}
	}
}

// change sends what the server sends when something happened.
func (h *house) change(t *testing.T, ctx context.Context) {
	t.Helper()
	select {
	case h.tell <- "id: 7\ndata: {}\n\n":
	case <-ctx.Done():
		t.Fatal("nobody listens to /events")
	}
}

func do(t *testing.T, ctx context.Context, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// until waits for a JavaScript condition, across pages: a wait that a new page
// cuts short begins again there.
func until(t *testing.T, ctx context.Context, condition string) {
	t.Helper()
	// By time, not by frame: a window that another one covers draws none.
	poll := chromedp.Poll[bool](condition, chromedp.WithPollingInterval(50*time.Millisecond))
	_, err := chromedp.Run(ctx, poll)
	for err != nil && ctx.Err() == nil && strings.Contains(err.Error(), "(-32000)") {
		_, err = chromedp.Run(ctx, poll)
	}
	if err != nil {
		page, _ := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body")))
		t.Fatalf("waiting for %s: %v; the page says:\n%s", condition, err, page)
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

// loads does something and waits until another page has loaded. Looking at a page
// that is about to go may keep it from going.
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

// opens presses keys and waits until another page has loaded.
func opens(t *testing.T, ctx context.Context, path, keys string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	loads(t, ctx, chromedp.KeyEvent(keys))
	if got := js[string](t, ctx, `location.pathname`); got != path {
		t.Errorf("%q opened %s, want %s", keys, got, path)
	}
}

func TestABoardThatIsOpenChangesByItself(t *testing.T) {
	ctx, h := browser(t), newHouse(t)
	do(t, ctx, chromedp.EmulateViewport(1280, 1000), chromedp.Navigate(h.URL+"/services"))
	until(t, ctx, `document.querySelector("#asof").textContent.endsWith("live")`)
	do(t, ctx, chromedp.Click(chromedp.CSS("#row-ledger .lag-open")), chromedp.WaitVisible(chromedp.CSS("#lag-ledger:popover-open")))
	js[bool](t, ctx, `(window.sameDocument = true)`)

	h.mu.Lock()
	h.renamed = "0.9.0 is being retried"
	h.mu.Unlock()
	h.change(t, ctx)

	until(t, ctx, `document.querySelector("#row-ledger .now").textContent.includes("being retried")`)
	// The script once lost a row that gave its place to another.
	const want = "row-ledger row-affordability row-notifier row-profiles row-statements row-gateway"
	if got := js[string](t, ctx, `[...document.querySelectorAll("tbody tr")].map(r => r.id).join(" ")`); got != want {
		t.Errorf("the rows are %s, want %s: they must take their new places", got, want)
	}
	if !js[bool](t, ctx, `!!window.sameDocument && document.querySelector("#lag-ledger").matches(":popover-open")`) {
		t.Error("the page was loaded anew, or what the reader had opened is closed")
	}
}

func TestASilentStreamShowsHowOldThePageIs(t *testing.T) {
	ctx, h := browser(t), newHouse(t)
	do(t, ctx, chromedp.Navigate(h.URL+"/services"))
	until(t, ctx, `document.querySelector("#asof").dataset.state === "live"`)
	js[string](t, ctx, `document.documentElement.dataset.staleAfter = "0.2"`)
	until(t, ctx, `/^reconnecting, data from \d\d:\d\d:\d\d$/.test(document.querySelector("#asof").textContent)`)
	js[string](t, ctx, `document.documentElement.dataset.staleAfter = "60"`)
	h.change(t, ctx)
	until(t, ctx, `document.querySelector("#asof").dataset.state === "live"`)
}

func TestTabsShareOneConnection(t *testing.T) {
	ctx, h := browser(t), newHouse(t)
	do(t, ctx, chromedp.Navigate(h.URL+"/services"))
	until(t, ctx, `document.querySelector("#asof").dataset.state === "live"`)
	second, cancel := chromedp.NewContext(ctx)
	defer cancel()
	do(t, second, chromedp.Navigate(h.URL+"/services"))
	h.mu.Lock()
	h.renamed = "told by the other tab"
	h.mu.Unlock()
	h.change(t, ctx)
	until(t, second, `document.querySelector("#row-ledger .now").textContent.includes("told by the other tab")`)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams != 1 {
		t.Errorf("two tabs opened %d connections to /events, want 1", h.streams)
	}
}

func TestWhatIsBeingTypedSurvivesAnUpdate(t *testing.T) {
	ctx, h := browser(t), newHouse(t)
	do(t, ctx, chromedp.Navigate(h.URL+"/releases/affordability-1.8.1"))
	until(t, ctx, `document.querySelector("#asof").dataset.state === "live"`)
	do(t, ctx, chromedp.Click(chromedp.CSS("#reject-more > summary")), chromedp.SendKeys(chromedp.CSS("#reject-comment"), "not on a Mond"))
	before := js[string](t, ctx, `document.querySelector("#main").dataset.seen = "no"`)
	h.change(t, ctx)
	until(t, ctx, `document.querySelector("#main").dataset.seen !== "`+before+`"`) // the morph takes the mark away
	do(t, ctx, chromedp.KeyEvent("ay"))
	if got := js[string](t, ctx, `document.querySelector("#reject-comment").value`); got != "not on a Monday" {
		t.Errorf("the field holds %q, want what was typed before and after the update", got)
	}
}

func TestAReleaseIsApprovedWithoutJavaScript(t *testing.T) {
	ctx, h := browser(t), newHouse(t)
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, chromedp.Navigate(h.URL+"/services"), chromedp.Click(chromedp.CSS("#row-affordability .now a")),
		chromedp.WaitVisible(chromedp.CSS("#approve")), chromedp.SendKeys(chromedp.CSS("#approve-comment"), "looks right"),
		chromedp.Click(chromedp.CSS("#approve .button")), chromedp.WaitVisible(chromedp.CSS(".approvals blockquote")))
	text, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(".approvals")))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, "looks right") {
		t.Errorf("the release shows %q, want the comment of the approval", text)
	}
}

func TestKeysMoveAndOpenAndCanBeTurnedOff(t *testing.T) {
	ctx, h := browser(t), newHouse(t)
	do(t, ctx, chromedp.EmulateViewport(1280, 1000), chromedp.Navigate(h.URL+"/"))
	opens(t, ctx, "/services", "gs")
	do(t, ctx, chromedp.KeyEvent("jjk"))
	until(t, ctx, `document.querySelector("[data-at]")?.id === "row-affordability"`)
	do(t, ctx, chromedp.KeyEvent("a"))
	until(t, ctx, `document.activeElement.textContent === "Review 1.8.1"`)
	opens(t, ctx, "/services/ledger", "j\r")
	do(t, ctx, chromedp.KeyEvent("/"))
	until(t, ctx, `document.activeElement.id === "find"`)
	js[string](t, ctx, `document.activeElement.value = ""`) // the protocol types the key that a real keyboard would not
	do(t, ctx, chromedp.KeyEvent("afford"))
	until(t, ctx, `document.querySelector("#find-list [aria-selected=true]")?.textContent.startsWith("affordability")`)
	accessible(t, ctx, "the list of the search box")
	do(t, ctx, chromedp.KeyEvent("\x1b?"))
	until(t, ctx, `document.querySelector("#help").open`)
	accessible(t, ctx, "the list of keys")
	do(t, ctx, chromedp.Click(chromedp.CSS("[data-keys-toggle]")), chromedp.KeyEvent("\x1b"))
	until(t, ctx, `!document.querySelector("#help").open`)
	do(t, ctx, chromedp.KeyEvent("?"))
	if js[bool](t, ctx, `document.querySelector("#help").open`) {
		t.Error("the key ? still works after shortcuts were turned off")
	}
}

func TestTheThemeIsKept(t *testing.T) {
	ctx, h := browser(t), newHouse(t)
	do(t, ctx, chromedp.Navigate(h.URL+"/"), chromedp.WaitVisible(chromedp.CSS("[data-theme-toggle]")))
	was := js[string](t, ctx, `getComputedStyle(document.documentElement).backgroundColor`)
	do(t, ctx, chromedp.Click(chromedp.CSS("[data-theme-toggle]")))
	now := js[string](t, ctx, `getComputedStyle(document.documentElement).backgroundColor`)
	if was == now {
		t.Errorf("the background stays %s after the theme was switched", was)
	}
	if cookie := js[string](t, ctx, `document.cookie`); cookie != "theme=dark" {
		t.Errorf("the cookie is %q, want theme=dark", cookie)
	}
	do(t, ctx, chromedp.Navigate(h.URL+"/services"))
	until(t, ctx, `getComputedStyle(document.documentElement).backgroundColor === "`+now+`"`)
}
