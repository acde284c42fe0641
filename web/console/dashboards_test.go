package console_test

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"nightporter.dev/nightporter"
)

func corpus(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("../../metrics/dashboard/testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestPagesOfGraphsWorkWithoutAScript(t *testing.T) {
	t.Parallel()
	h := openWhole(t, smallWorld())
	c := h.as("vic")
	c.get("/dashboards").wants(t, http.StatusOK, "2 dashboards", "Service", "generated")
	c.get("/metrics/payments/dashboards/nightporter-service").wants(t, http.StatusOK, "Service a", "Share of errors", "Generated")
	h.dashboardFile("every", corpus(t, "panels"))
	h.dashboardFile("lost", corpus(t, "unsupported"))
	c.get("/dashboards").wants(t, http.StatusOK, "Every panel", "13 panels", "5 panels shown as data")
	page := c.get("/metrics/payments/dashboards/every")
	page.wants(t, http.StatusOK, "Every panel", "What to do")
	for _, want := range []string{"data as a table", `action="/metrics/payments/dashboards/every"`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page does not hold %s", want)
		}
	}
	if strings.Contains(page.body, "steal()") || strings.Contains(page.body, "javascript:") {
		t.Error("a text panel's script or address reached the page")
	}
	table := c.get("/metrics/payments/dashboards/every/panels/1?from=now-1h")
	table.wants(t, http.StatusOK, "first a", "rate(requests_total[1m])", "req/s")
	c.get("/metrics/payments/dashboards/every/panels/12").wants(t, http.StatusOK, "unclosed left parenthesis")
	c.get("/metrics/payments/dashboards/every/panels/99").wants(t, http.StatusNotFound, "no such panel")
	c.get("/metrics/payments/dashboards/none").wants(t, http.StatusNotFound, "no dashboard")
	c.get("/metrics/other/dashboards/every").wants(t, http.StatusNotFound, "no workspace")
	c.get("/metrics/payments/dashboards/every?from=soon").wants(t, http.StatusBadRequest, "is not a time")
	c.get("/metrics/payments/dashboards/lost").wants(t, http.StatusOK, "not drawn as in Grafana", "state-timeline")
}

func TestAPageOfGraphsOffersItsVariablesAndKeepsTheChoice(t *testing.T) {
	t.Parallel()
	h := openWhole(t, smallWorld())
	h.dashboardFile("vars", corpus(t, "variables"))
	c := h.as("vic")
	page := c.get("/metrics/payments/dashboards/vars?" + url.Values{"var-zone": {"south"}, "from": {"now-15m"}}.Encode())
	page.wants(t, http.StatusOK, "Every variable of south", "Zone south")
	for _, want := range []string{`name="var-zone"`, `<option value="south" selected>south</option>`, `<option value="north">north</option>`, `aria-current="true">15 min`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page does not hold %s", want)
		}
	}
	if strings.Contains(page.body, "Zone north") {
		t.Error("a panel is repeated for a zone that was not chosen")
	}
	if !strings.Contains(page.body, "from=now-1h&amp;to=now&amp;var-env=dev") || !strings.Contains(page.body, "var-zone=south") {
		t.Error("a link to another time forgets the choice")
	}
}

// Chromium draws every kind of panel, in both themes and on a phone, and axe-core
// judges what is drawn.
func TestEveryKindOfPanelIsDrawn(t *testing.T) {
	ctx, h := browser(t), openWhole(t, smallWorld())
	h.dashboardFile("every", corpus(t, "panels"))
	for _, e := range []nightporter.Deployed{{Release: "rel_1", Service: "ledger", Environment: "prod", At: time.Now().Add(-20 * time.Minute)}} {
		if err := h.dashboards.Deployed(nightporter.WithActor(context.Background(), nightporter.SystemActor("test", "")), e); err != nil {
			t.Fatal(err)
		}
	}
	token := h.token(nightporter.Person, "vic")
	do(t, ctx, chromedp.EmulateViewport(1280, 1600), chromedp.Navigate(h.URL+"/sign-in"))
	js[string](t, ctx, `document.cookie = "nightporter=`+token+`; path=/"`)
	page := h.URL + "/metrics/payments/dashboards/every"
	// A panel is asked for when it comes in sight, so the reader goes down the page.
	const all = `scrollTo(0, window.seen = ((window.seen ?? 0) + 500) % document.documentElement.scrollHeight), document.querySelectorAll("[data-src]:not([data-drawn])").length === 0 && document.querySelectorAll("[data-src]").length > 0`
	for _, size := range []struct {
		name          string
		width, height int64
	}{{"1280", 1280, 2200}, {"390", 390, 5200}} {
		for _, theme := range []string{"light", "dark"} {
			do(t, ctx, chromedp.EmulateViewport(size.width, size.height))
			js[string](t, ctx, `document.cookie = "theme=`+theme+`; path=/"`)
			do(t, ctx, chromedp.Navigate(page))
			until(t, ctx, "("+all+")")
			js[bool](t, ctx, `(scrollTo(0, 0), true)`)
			refused, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](countRefused, chromedp.EvalAwaitPromise))
			if err != nil || len(refused) > 0 {
				t.Errorf("the content security policy refused %q, %v", refused, err)
			}
			if over := js[float64](t, ctx, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
				t.Errorf("at %s the page is %v px wider than the window", size.name, over)
			}
			if *screenshots != "" {
				picture(t, ctx, filepath.Join(*screenshots, "graphs-"+size.name+"-"+theme+".png"))
			}
			accessible(t, ctx, "graphs "+size.name+" "+theme)
		}
	}
	drawn := js[string](t, ctx, `[...document.querySelectorAll("[data-src]")].map(p => p.dataset.kind + ":" + p.dataset.drawn).join(" ")`)
	if want := "timeseries:chart timeseries:chart stat:tiles gauge:tiles bargauge:tiles piechart:tiles table:table heatmap:heat timeseries:chart timeseries:words timeseries:words"; drawn != want {
		t.Errorf("drawn are %s\nwant %s", drawn, want)
	}
	// The canvases hold something: a line that is not there has no ink.
	if inked := js[float64](t, ctx, `[...document.querySelectorAll(".dash-plot canvas")].filter(c => c.getContext("2d").getImageData(0, 0, c.width, c.height).data.some((v, i) => i % 4 === 3 && v > 0)).length`); inked != 4 {
		t.Errorf("%v canvases are painted, want 4", inked)
	}

	// Keys read values, and the legend turns a series off.
	do(t, ctx, chromedp.EmulateViewport(1280, 1000), chromedp.Navigate(page))
	until(t, ctx, `!!document.querySelector(".dash-frame")`)
	js[bool](t, ctx, `document.querySelector(".dash-frame").focus() || true`)
	do(t, ctx, chromedp.KeyEvent(kb.End), chromedp.KeyEvent(kb.ArrowLeft))
	until(t, ctx, `!document.querySelector(".dash-tip").hidden`)
	if tip := js[string](t, ctx, `document.querySelector(".dash-tip").textContent`); !strings.Contains(tip, "first a") || !strings.Contains(tip, "req/s") {
		t.Errorf("the crosshair says %q", tip)
	}
	js[bool](t, ctx, `document.querySelector(".dash-series").click() || true`)
	if pressed := js[string](t, ctx, `document.querySelector(".dash-series").getAttribute("aria-pressed")`); pressed != "false" {
		t.Errorf("the series is %q after it was turned off", pressed)
	}
	// Plus opens half of the time, and the address says so.
	js[bool](t, ctx, `document.querySelector(".dash-frame").focus() || true`)
	loads(t, ctx, chromedp.KeyEvent("+"))
	if q := js[string](t, ctx, `location.search`); !strings.Contains(q, "from=1") || !strings.Contains(q, "to=1") {
		t.Errorf("after zooming in, the address ends in %q", q)
	}
}
