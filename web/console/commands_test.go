package console_test

import (
	"bytes"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/cli"
	forgemem "nightporter.dev/nightporter/provider/forge/mem"
	"nightporter.dev/nightporter/releases"
)

var shownCommand = regexp.MustCompile(`<div class="cli"><code>([^<]+)</code>`)

// knownCommand has the command line's own parser judge a command: it must know
// the verb and every flag.
func knownCommand(t *testing.T, command string) {
	t.Helper()
	args := strings.Fields(strings.ReplaceAll(command, `"`, ""))
	var out, talk bytes.Buffer
	code := cli.New(cli.Config{Args: append(args[1:], "--help"), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &talk}).Run(t.Context())
	if want := strings.Join(args[:min(len(args), 3)], " "); code != 0 || !strings.Contains(out.String(), want) {
		t.Errorf("%q: exit %d: %s%s", command, code, out.String(), talk.String())
	}
}

// commandsOf are the commands of ours on a page.
func commandsOf(a answer) (list []string) {
	for _, m := range shownCommand.FindAllStringSubmatch(a.body, -1) {
		if command := html.UnescapeString(m[1]); strings.HasPrefix(command, "nightporter ") {
			list = append(list, command)
		}
	}
	return list
}

func TestEveryCommandOfTheEnvironmentsPagesExists(t *testing.T) {
	t.Parallel()
	h := awake(t)
	c, n := h.as("kim"), 0
	page := "/environments/dev"
	look := func() {
		for _, command := range append(commandsOf(c.get("/environments")), commandsOf(c.get(page))...) {
			knownCommand(t, strings.ReplaceAll(command, "…", "why"))
			n++
		}
	}
	look()
	c.post(page+"/keep", url.Values{"until": {"2026-06-17T23:00"}, "comment": {"x"}}).goesTo(t, page)
	look()
	if n < 8 {
		t.Errorf("the pages show %d commands, want eight at least", n)
	}
}

func TestEveryCommandOfTheSecretsPagesExists(t *testing.T) {
	t.Parallel()
	h := openWhole(t, smallWorld())
	h.memDatabase("orders-dev")
	h.policy(t, "orders-reader", `path "database/login/orders-dev" { capabilities = ["read"] }`)
	token := h.token(nightporter.Person, "kim", "orders-reader")
	login := h.take(token, "database/login/orders-dev")
	c, n := h.holding(token), 0
	for _, a := range []answer{c.get("/secrets"), c.get("/secrets/logins/" + login.lease), c.post("/secrets/login/database/orders-dev", nil)} {
		for _, command := range commandsOf(a) {
			knownCommand(t, command)
			n++
		}
	}
	if n < 5 {
		t.Errorf("the pages show %d commands, want five at least", n)
	}
}

// The command line itself judges the commands that pages show: its own parser
// must know the verb and every flag.
func TestEveryCommandOnAPageExists(t *testing.T) {
	t.Parallel()
	h := openHouse(t, smallWorld())
	rel := h.waitingLedger()
	c := h.as("ben")
	found := map[string]bool{}
	look := func(paths ...string) {
		t.Helper()
		for _, path := range paths {
			for _, m := range shownCommand.FindAllStringSubmatch(c.get(path).body, -1) {
				found[html.UnescapeString(m[1])] = true
			}
		}
	}
	page := "/releases/" + rel.ID
	look("/", "/services", "/services/ledger", page, "/activity", "/activity/0")
	c.post(page+"/approve", nil).goesTo(t, page)
	h.releaseOf("ledger", releases.Healthy)
	c.post("/services/ledger/hold", url.Values{"comment": {"a reason"}}).goesTo(t, "/services/ledger")
	look(page, "/services/ledger")
	h.merge("ledger", forgemem.PR{Title: "Faster", Labels: []string{"patch"}})
	h.runs("dev", "0.1.1")
	look(page)

	for _, verb := range []string{"approve", "reject", "rollback", "promote", "hold", "unhold"} {
		seen := false
		for command := range found {
			seen = seen || strings.HasPrefix(command, "nightporter release "+verb+" ")
		}
		if !seen {
			t.Errorf("no page shows the command of %s: %v", verb, found)
		}
	}
	for command := range found {
		knownCommand(t, command)
	}
}
