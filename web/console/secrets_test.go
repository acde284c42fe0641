package console_test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/dbtest"
	"nightporter.dev/nightporter/internal/store"
	provider "nightporter.dev/nightporter/provider/database"
	databasemem "nightporter.dev/nightporter/provider/database/mem"
	"nightporter.dev/nightporter/secrets/database"
)

// gone waits until the record says how a login's end was proven.
func (h *wholeHouse) gone(lease string) *database.Story {
	h.t.Helper()
	var s *database.Story
	h.until(lease+" is proven to be gone", func(ctx context.Context, tx *store.Tx) bool {
		var err error
		if s, err = h.engine.Story(ctx, tx, lease, ""); err != nil {
			h.t.Fatal(err)
		}
		return s.Gone != nil
	})
	return s
}

func TestSecretsOfAnEmptyHouse(t *testing.T) {
	t.Parallel()
	h := openWhole(t, smallWorld())
	h.as("kim").get("/secrets").wants(t, http.StatusOK, "Nobody holds a login now", "No database hands out logins to you", "nightporter secret db add NAME")
	h.as("ana").get("/secrets").wants(t, http.StatusOK, "You hold no login now", "No database hands out logins to you")
	h.as("ana").get("/secrets/logins/database/creds/app/none").wants(t, http.StatusNotFound, "There is no such login")
	h.as("ana").get("/secrets?page=x").wants(t, http.StatusBadRequest)
	h.holding(h.token(nightporter.Machine, "ci")).get("/secrets").wants(t, http.StatusForbidden, "You may not do this")
}

func TestWhoCanLogInToWhat(t *testing.T) {
	t.Parallel()
	h := openWhole(t, smallWorld())
	h.memDatabase("ledger")
	h.memDatabase("orders-dev")
	h.policy(t, "apps", `path "database/creds/*" { capabilities = ["read"] }`)
	ci := h.token(nightporter.Machine, "ci", "apps")
	one, other := h.take(ci, "database/creds/app-ledger"), h.take(ci, "database/creds/app-orders-dev")

	kim := h.as("kim") // an operator may end any of them
	a := kim.get("/secrets")
	a.wants(t, http.StatusOK, "Two logins are out", one.username, other.username, "role app-ledger", "ci", "database/ledger", "counts as production",
		"database/orders-dev", "2 logins", "answers", "nightporter secret lease list")
	if strings.Contains(a.body, one.password) || strings.Contains(a.body, "Admin-1") {
		t.Fatal("the page holds a password")
	}
	kim.get("/secrets?environment=dev").wants(t, http.StatusOK, "One login is out", other.username)
	kim.get("/secrets?database=database/ledger&owner=nobody").wants(t, http.StatusOK, "Nobody has such a login", "No login matches")
	kim.get("/secrets?page=2").wants(t, http.StatusOK, "No login is out that you may act on")

	t.Run("what somebody may not act on is not hinted at", func(t *testing.T) {
		ana := h.as("ana")
		a := ana.get("/secrets")
		a.wants(t, http.StatusOK, "You hold no login now")
		main, _, _ := strings.Cut(visible(a.body), "Keyboard")
		for _, hint := range []string{one.username, "ledger", "orders", "two", "2 login", "app-"} {
			if strings.Contains(main, hint) {
				t.Errorf("the page hints at %q: %s", hint, main)
			}
		}
		// Nor by the difference between what is there and what is not.
		there, none := "/secrets/logins/"+one.lease, "/secrets/logins/database/creds/app-ledger/AAAAAAAAAAAAAAAAAAAAAAAA"
		for _, path := range []string{there, none} {
			ana.get(path).wants(t, http.StatusNotFound, "There is no such login")
			ana.post(strings.Replace(path, "logins", "revoke", 1), url.Values{"confirm": {"ledger"}}).wants(t, http.StatusForbidden, "You may not do this", "sys/leases/revoke")
		}
		if !slices.Contains(h.server.Logins(), one.username) {
			t.Error("the login is gone")
		}
	})
	t.Run("a policy on the logins of a role shows those alone", func(t *testing.T) {
		h.policy(t, "orders-keeper", `path "sys/leases/revoke/database/creds/app-orders-dev/*" { capabilities = ["update"] }`)
		vic := h.holding(h.token(nightporter.Person, "vic", "orders-keeper"))
		a := vic.get("/secrets")
		a.wants(t, http.StatusOK, "You hold or look after one login", other.username)
		if strings.Contains(a.body, one.username) {
			t.Error("the page shows a login of another role")
		}
		vic.get("/secrets/logins/"+other.lease).wants(t, http.StatusOK, "can log in to database/orders-dev until", "Revoke")
		vic.get("/secrets/logins/"+one.lease).wants(t, http.StatusNotFound)
	})
}

func TestManyLoginsArePaged(t *testing.T) {
	t.Parallel()
	h := openWhole(t, smallWorld())
	h.memDatabase("ledger")
	root := h.root()
	seen := map[string]bool{}
	for range 60 {
		h.take(root, "database/creds/app-ledger")
	}
	c := h.as("kim")
	for path, pages := "/secrets", 0; path != ""; pages++ {
		a := c.get(path)
		a.wants(t, http.StatusOK, "60 logins are out", "of 60")
		for _, m := range regexp.MustCompile(`id="login-([^"]+)" data-row`).FindAllStringSubmatch(a.body, -1) {
			if seen[m[1]] {
				t.Errorf("%s is on two pages", m[1])
			}
			seen[m[1]] = true
		}
		path = ""
		if _, next, ok := strings.Cut(a.body, `rel="next" href="`); ok {
			path, _, _ = strings.Cut(next, `"`)
		}
		if pages > 3 {
			t.Fatal("the pages do not end")
		}
	}
	if len(seen) != 60 {
		t.Errorf("the pages hold %d logins, want 60", len(seen))
	}
}

// PostgreSQL's own catalogue says whether the login is there; the page says what
// the register says.
func TestRevokingALoginIsProvenByTheDatabase(t *testing.T) {
	t.Parallel()
	server := dbtest.Postgres(t)
	h := openWhole(t, smallWorld())
	in := server.Database(t)
	admin := "admin_" + in
	server.Exec(t, "", `CREATE ROLE `+admin+` LOGIN SUPERUSER PASSWORD 'Admin-1'`)
	t.Cleanup(func() { server.Exec(t, "", `DROP ROLE IF EXISTS `+admin) })
	root := h.root()
	h.v1(root, "POST", "database/config/ledger", map[string]any{
		"plugin_name": provider.PluginPostgreSQL, "connection_url": "postgresql://{{username}}:{{password}}@" + server.Addr + "/" + in + "?sslmode=disable",
		"username": admin, "password": "Admin-1", "allowed_roles": "*", "username_template": "t" + strings.TrimPrefix(in, "dbtest_") + "-{{random 20}}",
	})
	h.v1(root, "POST", "database/roles/app", map[string]any{"db_name": "ledger", "creation_statements": createRole, "default_ttl": "1h", "verify": false})
	login := h.take(root, "database/creds/app")
	there := func() bool {
		return len(server.Column(t, "", `SELECT rolname FROM pg_roles WHERE rolname = $1`, login.username)) > 0
	}
	session := openSession(t, server.DSNFor(login.username, login.password, in)+"&application_name=nightly-report")

	page, c := "/secrets/logins/"+login.lease, h.as("kim")
	a := c.get(page)
	a.wants(t, http.StatusOK, login.username, "can log in to database/ledger until", "1 session is open", "nightly-report", "127.0.0.1",
		"root loses access to database/ledger as "+login.username, "It has 1 session open, which ends with it", "Type ledger to confirm", "asked for")
	fields := url.Values{"idempotency_key": {a.field(t, "revoke", "idempotency_key")}, "comment": {"left the company"}}
	c.post("/secrets/revoke/"+login.lease, fields).wants(t, http.StatusBadRequest, "Type ledger to end a login to a production database")
	if !there() {
		t.Fatal("the login went without a confirmation")
	}
	fields.Set("confirm", "ledger")
	c.post("/secrets/revoke/"+login.lease, fields).goesTo(t, page)
	h.gone(login.lease)
	if there() {
		t.Error("the record says that it is gone, and pg_roles has it")
	}
	if session.alive() {
		t.Error("its session goes on")
	}
	a = c.get(page)
	a.wants(t, http.StatusOK, "is gone, confirmed by the database at", "revoked by kim", "gone confirmed by the database", "entry in the register")
	links := regexp.MustCompile(`class="evidence" href="(/activity/\d+)"`).FindAllStringSubmatch(a.body, -1)
	if len(links) != 3 {
		t.Fatalf("the page links to %d entries, want three: asked, revoked, gone", len(links))
	}
	c.get(links[1][1]).wants(t, http.StatusOK, "kim did lease.revoke", "left the company")
	c.get(links[2][1]).wants(t, http.StatusOK, "login.gone", login.username, "confirmed")
	c.post("/secrets/revoke/"+login.lease, nil).goesTo(t, page) // it is what they wanted
	h.as("ana").get(page).wants(t, http.StatusNotFound)
}

func TestALoginThatDoesNotEndIsSaidAndIsTheOperatorsToMend(t *testing.T) {
	t.Parallel()
	h := openWhole(t, smallWorld())
	h.memDatabase("orders-dev")
	login := h.take(h.root(), "database/creds/app-orders-dev")
	h.server.Set(databasemem.Down)
	c := h.as("kim")
	c.get("/secrets/logins/"+login.lease).wants(t, http.StatusOK, "Which sessions end with it is not known now", "Not known")
	c.post("/secrets/revoke/"+login.lease, nil).goesTo(t, "/secrets/logins/"+login.lease)
	h.until("its database was tried", func(ctx context.Context, tx *store.Tx) bool {
		s, err := h.engine.Story(ctx, tx, login.lease, "")
		if err != nil {
			t.Fatal(err)
		}
		h.moved() // nothing is written while the database is away
		return s.Error != ""
	})
	c.get("/secrets/logins/"+login.lease).wants(t, http.StatusOK, "should be gone and is not", "does not end", "It is tried again until it is gone", "revoked by kim")
	c.get("/secrets").wants(t, http.StatusOK, "One login should be gone and is not", "does not end", "does not answer")
	h.setTime(time.Now().Add(5 * time.Minute))
	h.as("kim").get("/").wants(t, http.StatusOK, "database/orders-dev does not let go of 1 login")
	h.as("ana").get("/").wants(t, http.StatusOK, "Nothing needs you")

	h.server.Set(databasemem.Up)
	h.gone(login.lease)
	if slices.Contains(h.server.Logins(), login.username) {
		t.Error("the record says that it is gone, and the database has it")
	}
	c.get("/secrets/logins/"+login.lease).wants(t, http.StatusOK, "is gone, confirmed by the database")
}

var hiddenPassword = regexp.MustCompile(`<code id="password">([^<]+)</code>`)

func TestAPersonsOwnLoginIsShownOnce(t *testing.T) {
	t.Parallel()
	h := openWhole(t, smallWorld())
	h.memDatabase("orders-dev")
	h.policy(t, "orders-reader", `path "database/login/orders-dev" { capabilities = ["read"] }`)
	token := h.token(nightporter.Person, "ana", "orders-reader")
	c := h.holding(token)
	c.get("/secrets").wants(t, http.StatusOK, "You hold no login now", "Log in as yourself", "nightporter secret login orders-dev")
	a := c.post("/secrets/login/database/orders-dev", url.Values{"idempotency_key": {"k"}})
	a.wants(t, http.StatusOK, "Your login to database/orders-dev", "The password is shown this once", "at the latest", "if you leave it alone", "nightporter secret lease revoke database/login/orders-dev/")
	if got := a.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %q, want no-store", got)
	}
	if strings.Contains(a.body, "data-live") {
		t.Error("the page follows changes: it would be fetched again")
	}
	m := hiddenPassword.FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("the page shows no password: %s", visible(a.body))
	}
	username := regexp.MustCompile(`<code id="username">([^<]+)</code>`).FindStringSubmatch(a.body)[1]
	if _, err := h.server.Login(username, m[1]); err != nil {
		t.Errorf("the login does not work: %v", err)
	}
	if strings.Contains(a.Request.URL.String(), m[1]) || strings.Contains(a.Header.Get("Location"), m[1]) {
		t.Error("the password is in an address")
	}

	t.Run("it is kept nowhere", func(t *testing.T) {
		for _, table := range h.everyTable(t) {
			if strings.Contains(h.textOf(t, table), m[1]) {
				t.Errorf("the table %s holds the password", table)
			}
		}
		// The same form again makes another login: the first answer was not kept.
		again := hiddenPassword.FindStringSubmatch(c.post("/secrets/login/database/orders-dev", url.Values{"idempotency_key": {"k"}}).body)
		if again == nil || again[1] == m[1] {
			t.Error("the same password came twice")
		}
		if a := c.get("/secrets/login/database/orders-dev"); a.StatusCode == http.StatusOK {
			t.Error("there is an address that shows it")
		}
	})
	t.Run("they see it and may end it, and nobody else", func(t *testing.T) {
		a := c.get("/secrets")
		a.wants(t, http.StatusOK, "two logins", username, "their own login")
		page := regexp.MustCompile(`href="(/secrets/logins/[^"]+)"[^>]*>` + username).FindStringSubmatch(a.body)[1]
		c.get(page).wants(t, http.StatusOK, "can log in to database/orders-dev", "their own login", "What it hangs from", "ana session by test")
		h.as("ben").get(page).wants(t, http.StatusNotFound)
		h.as("ben").post(strings.Replace(page, "logins", "revoke", 1), nil).wants(t, http.StatusForbidden)
		c.post(strings.Replace(page, "logins", "revoke", 1), nil).goesTo(t, page)
		h.gone(strings.TrimPrefix(page, "/secrets/logins/"))
		c.get(page).wants(t, http.StatusOK, "is gone, confirmed by the database", "revoked by ana")
		if slices.Contains(h.server.Logins(), username) {
			t.Error("the database has it still")
		}
	})
	t.Run("who may not is refused, and a program has none of its own", func(t *testing.T) {
		ben := h.as("ben")
		if strings.Contains(ben.get("/secrets").body, "orders-dev") {
			t.Error("the page names a database that ben may not log in to")
		}
		ben.post("/secrets/login/database/orders-dev", nil).wants(t, http.StatusForbidden, "database/login/orders-dev")
		ben.post("/secrets/login/database/none", nil).wants(t, http.StatusForbidden)
		ci := h.holding(h.token(nightporter.Machine, "ci", "orders-reader"))
		ci.post("/secrets/login/database/orders-dev", nil).wants(t, http.StatusBadRequest, "Only a person has a login of their own")
	})
	t.Run("what is no database is none, whatever may be read there", func(t *testing.T) {
		h.policy(t, "kv", `path "cubbyhole/*" { capabilities = ["create", "update", "read"] }`)
		token := h.token(nightporter.Person, "ana", "kv")
		h.v1(token, "POST", "cubbyhole/login/mine", map[string]any{"username": "u", "password": "kept-in-the-cubbyhole"})
		a := h.holding(token).post("/secrets/login/cubbyhole/mine", nil)
		a.wants(t, http.StatusNotFound, "No database is called cubbyhole/mine")
		if strings.Contains(a.body, "kept-in-the-cubbyhole") {
			t.Error("the page shows a value")
		}
	})
	t.Run("a database that is away says so", func(t *testing.T) {
		h.server.Set(databasemem.Down)
		defer h.server.Set(databasemem.Up)
		c.post("/secrets/login/database/orders-dev", nil).wants(t, http.StatusServiceUnavailable, "does not answer")
	})
}

// The lease tree: a token, the token that it made, and the logins of both.
func TestTheTreeOfAHolderIsShown(t *testing.T) {
	t.Parallel()
	h := openWhole(t, smallWorld())
	h.memDatabase("orders-dev")
	h.policy(t, "app", `path "database/creds/*" { capabilities = ["read"] }
path "auth/token/create" { capabilities = ["update"] }`)
	parent := h.token(nightporter.Machine, "deployer", "app")
	out := h.v1(parent, "POST", "auth/token/create", map[string]any{"policies": []string{"app"}, "display_name": "worker"})
	child, _ := out["auth"].(map[string]any)["client_token"].(string)
	own, below := h.take(parent, "database/creds/app-orders-dev"), h.take(child, "database/creds/app-orders-dev")
	c := h.as("kim")
	a := c.get("/secrets/logins/" + below.lease)
	a.wants(t, http.StatusOK, "deployer session by test", "token by token", "login of token-worker, this one")
	for _, secret := range []string{parent, child, below.password} {
		if strings.Contains(a.body, secret) {
			t.Error("the page holds a secret")
		}
	}
	if !strings.Contains(a.body, "/secrets/logins/"+own.lease) {
		t.Error("the tree does not lead to the other login")
	}
}
