package console_test

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/policy"
	databasemem "nightporter.dev/nightporter/provider/database/mem"
)

// A person signs in, sees what waits, approves it, and the board, which is open
// in another tab, changes without being loaded again. Chromium judges.
func TestSomebodySignsInApprovesAndSeesTheBoardChange(t *testing.T) {
	ctx, h := browser(t), openHouse(t, smallWorld())
	h.setPassword("ben")
	rel := h.waitingLedger()
	do(t, ctx, chromedp.EmulateViewport(1280, 1000), chromedp.Navigate(h.URL+"/services"))
	if path := js[string](t, ctx, `location.pathname`); path != "/sign-in" {
		t.Fatalf("a stranger who asks for the board is at %s", path)
	}
	accessible(t, ctx, "the sign-in page")
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#name"), "ben"), chromedp.SendKeys(chromedp.CSS("#password"), password))
	loads(t, ctx, chromedp.Click(chromedp.CSS(".signin .button")))
	until(t, ctx, `document.querySelector("#asof").dataset.state === "live"`)
	js[bool](t, ctx, `(window.sameDocument = true)`)
	if text := js[string](t, ctx, `document.querySelector("#row-ledger").textContent`); !strings.Contains(text, "waits for approval") {
		t.Fatalf("the board says %q", text)
	}

	other, cancel := chromedp.NewContext(ctx, chromedp.WithNewWindow(true)) // a hidden tab would be slowed down
	defer cancel()
	do(t, other, chromedp.EmulateViewport(1280, 1000), chromedp.Navigate(h.URL+"/"))
	loads(t, other, chromedp.Click(chromedp.CSS(".needs .need-act a")))
	do(t, other, chromedp.SendKeys(chromedp.CSS("#approve-comment"), "looks right"))
	loads(t, other, chromedp.Click(chromedp.CSS("#approve .button")))
	if got := js[string](t, other, `location.pathname + " " + document.querySelector(".approvals")?.textContent`); !strings.HasPrefix(got, "/releases/"+rel.ID+" approved @ben") || !strings.HasSuffix(got, "looks right") {
		t.Errorf("after approving, the window shows %q", got)
	}

	until(t, ctx, `document.querySelector("#row-ledger")?.textContent.includes("in production")`)
	if !js[bool](t, ctx, `!!window.sameDocument`) {
		t.Error("the board was loaded anew")
	}
	h.runs("prod", "0.1.0")

	do(t, ctx, chromedp.Click(chromedp.CSS(".menu summary")))
	loads(t, ctx, chromedp.Click(chromedp.CSS(`form[action="/sign-out"] button`)))
	for name, window := range map[string]context.Context{"this": ctx, "the other": other} {
		until(t, window, `location.pathname === "/sign-in"`)
		t.Log(name, "window shows the sign-in page") // the other one's stream said bye
	}
}

// Somebody revokes a login; the page says by itself when the database has
// confirmed that it is gone.
func TestTheEndOfALoginAppearsByItself(t *testing.T) {
	ctx, h := browser(t), openWhole(t, smallWorld())
	h.memDatabase("orders-dev")
	login := h.take(h.root(), "database/creds/app-orders-dev")
	do(t, ctx, chromedp.EmulateViewport(1280, 1000), chromedp.Navigate(h.URL+"/sign-in"))
	js[string](t, ctx, `document.cookie = "nightporter=`+h.token(nightporter.Person, "kim")+`; path=/"`)
	h.server.Set(databasemem.Down)
	do(t, ctx, chromedp.Navigate(h.URL+"/secrets"))
	loads(t, ctx, chromedp.Click(chromedp.CSS(".logins [data-open]")))
	do(t, ctx, chromedp.SendKeys(chromedp.CSS("#revoke-comment"), "left the company"))
	loads(t, ctx, chromedp.Click(chromedp.CSS("#revoke button.is-danger")))
	until(t, ctx, `/being ended|should be gone and is not/.test(document.querySelector("h1").textContent)`)
	js[bool](t, ctx, `(window.sameDocument = true)`)
	h.server.Set(databasemem.Up)
	until(t, ctx, `document.querySelector("h1").textContent.includes("is gone, confirmed by the database")`)
	if !js[bool](t, ctx, `!!window.sameDocument`) {
		t.Error("the page was loaded anew")
	}
	h.gone(login.lease)
}

// axe-core judges the real pages, with what the store makes of them; the browser
// judges the policy.
func TestRealPagesAreAccessibleInBothThemesAndSizes(t *testing.T) {
	ctx, h := browser(t), openWhole(t, nightly())
	rel := h.waitingLedger()
	if err := h.releases.Hold(nightporter.WithActor(t.Context(), nightporter.SystemActor("test", "")), "notifier", "the contract starts Thursday"); err != nil {
		t.Fatal(err)
	}
	token := h.token(nightporter.Person, "ben")
	do(t, ctx, chromedp.Navigate(h.URL+"/sign-in"))
	js[string](t, ctx, `document.cookie = "nightporter=`+token+`; path=/"`)
	h.memDatabase("orders-dev")
	h.policy(t, "orders-reader", `path "database/login/orders-dev" { capabilities = ["read"] }`)
	token = h.token(nightporter.Person, "ben", "orders-reader", policy.OperatorName)
	js[string](t, ctx, `document.cookie = "nightporter=`+token+`; path=/"`)
	login := h.take(token, "database/login/orders-dev")
	h.driftedLedger()
	pages := []string{"/repos", "/repos?q=none", "/repos/mem/ledger", planURL(h.lastPlan()), "/environments", "/environments/dev", "/environments/prod", "/secrets", "/secrets?owner=none", "/secrets/logins/" + login.lease, "/", "/services", "/services/ledger", "/services/notifier", "/releases/" + rel.ID, "/activity", "/activity/1", "/nothing", "/services?q=none"}
	for _, size := range []struct {
		name          string
		width, height int64
	}{{"1280", 1280, 1000}, {"390", 390, 844}} {
		do(t, ctx, chromedp.EmulateViewport(size.width, size.height))
		for _, theme := range []string{"light", "dark"} {
			js[string](t, ctx, `document.cookie = "theme=`+theme+`; path=/"`)
			for _, page := range pages {
				t.Run(page+"/"+size.name+"/"+theme, func(t *testing.T) {
					do(t, ctx, chromedp.Navigate(h.URL+page))
					if got := js[string](t, ctx, `document.documentElement.dataset.theme`); got != theme {
						t.Errorf("the theme is %q", got)
					}
					refused, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](countRefused, chromedp.EvalAwaitPromise))
					if err != nil {
						t.Fatal(err)
					}
					if len(refused) > 0 {
						t.Errorf("the content security policy refused %q", refused)
					}
					if over := js[float64](t, ctx, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
						t.Errorf("the page is %v px wider than the window", over)
					}
					if *screenshots != "" {
						picture(t, ctx, *screenshots+"/real"+strings.ReplaceAll(strings.NewReplacer(rel.ID, "rel", login.lease, "one", "?", "-").Replace(page), "/", "-")+"-"+size.name+"-"+theme+".png")
					}
					accessible(t, ctx, page)
				})
			}
		}
	}
}
