package story_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/app"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/dbtest"
	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/deploy/process"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/releases"
)

// The test binary is also the tenant: a service that has no password, and works
// with a database.
func TestMain(m *testing.M) {
	if os.Getenv("TENANT_DATABASE") != "" {
		os.Exit(tenant())
	}
	os.Exit(m.Run())
}

// badVersion never becomes healthy: it gets its login and then refuses to work.
const badVersion = "0.1.1"

// tenant opens what it was handed, gets a login and answers as long as the
// database knows it. It notes what it was told where the test can look for leaks.
func tenant() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	fail := func(err error) int {
		fmt.Println("error:", err)
		return 1
	}
	wrapping, err := os.ReadFile(os.Getenv("NIGHTPORTER_TOKEN_FILE"))
	if err != nil {
		return fail(err)
	}
	var opened struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
	}
	given := strings.TrimSpace(string(wrapping))
	if err := call(http.MethodPost, "sys/wrapping/unwrap", given, &opened); err != nil {
		return fail(err)
	}
	var login struct {
		Data struct{ Username, Password string } `json:"data"`
	}
	if err := call(http.MethodGet, os.Getenv("TENANT_ROLE"), opened.Auth.Token, &login); err != nil {
		return fail(err)
	}
	cfg, err := pgx.ParseConfig(os.Getenv("TENANT_DATABASE"))
	if err != nil {
		return fail(err)
	}
	cfg.User, cfg.Password = login.Data.Username, login.Data.Password
	notes := fmt.Sprintf("%s\n%s\n%s\n", given, opened.Auth.Token, login.Data.Password)
	name := fmt.Sprintf("%s-%s", os.Getenv("NIGHTPORTER_ENVIRONMENT"), os.Getenv("NIGHTPORTER_VERSION"))
	if err := os.WriteFile(filepath.Join(os.Getenv("TENANT_NOTES"), name), []byte(notes), 0o600); err != nil {
		return fail(err)
	}
	s := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var who string
		c, err := pgx.ConnectConfig(r.Context(), cfg)
		if err == nil {
			err = errors.Join(c.QueryRow(r.Context(), "SELECT current_user").Scan(&who), c.Close(r.Context()))
		}
		if err == nil && os.Getenv("NIGHTPORTER_VERSION") == badVersion {
			err = errors.New("this version does not work")
		}
		if err != nil {
			http.Error(w, "no database", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, `{"version":%q,"user":%q}`, os.Getenv("NIGHTPORTER_VERSION"), who)
	})}
	go func() {
		<-ctx.Done()
		_ = s.Shutdown(context.Background())
	}()
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fail(err)
	}
	return 0
}

// call asks the server that the environment names.
func call(method, path, token string, into any) error {
	return ask(os.Getenv("NIGHTPORTER_ADDR"), method, path, token, nil, into)
}

func ask(address, method, path, token string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, address+"/"+strings.TrimPrefix("v1/"+path, "v1//"), bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("X-Vault-Token", token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		return errors.Join(err, fmt.Errorf("%s %s: %s", method, path, resp.Status))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// tenancy is a house with real processes, a real database and the tenant.
type tenancy struct {
	*house
	db      *dbtest.Server
	name    string // of the database, and of its roles
	notes   string // folder of what the instances were told
	url     string
	deploys *process.Deployer
	log     *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

const rootToken = "a-token-for-the-test"

func newTenancy(t *testing.T) *tenancy {
	t.Helper()
	v := &tenancy{house: newHouse(t, t.TempDir()), db: dbtest.Postgres(t), notes: t.TempDir(), log: &syncBuffer{}}
	v.name = v.db.Database(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { v.app.Handler().ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	v.url = server.URL
	v.pass = func() { <-time.After(20 * time.Millisecond) } // real processes take real time
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(declared, "{kind: mem, run: [ledger]}, health: {http: /healthz}}", fmt.Sprintf(
		`{kind: process, run: [%s], env: {TENANT_DATABASE: "postgres://%s/%s?sslmode=disable", TENANT_NOTES: %s, TENANT_ROLE: "database/creds/%[3]s-{environment}"}},
     health: {http: /healthz, within: 3s}, credentials: ["database/creds/%[3]s-{environment}"]}`, self, v.db.Addr, v.name, v.notes), 1)
	cfg, err := config.Parse([]byte("url: "+v.url+"\n"+text), filepath.Join(v.dir, "nightporter.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if v.deploys, err = process.New(process.Config{Dir: filepath.Join(v.dir, "deploy"), SameUser: process.Allowed}); err != nil {
		t.Fatal(err)
	}
	checkout := t.TempDir()
	v.app, err = app.New(context.Background(), app.Options{
		Config: cfg, Log: slog.New(slog.NewTextHandler(v.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Version: "test", Dev: true, StoreURL: v.store,
		Providers: &app.Providers{
			Forges: map[string]forge.Forge{"hub": v.forge}, Deployers: map[string]deploy.Deployer{"process": v.deploys},
			Source: emptyCommit(checkout), SweepEvery: time.Minute,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { v.app.Run(ctx) })
	t.Cleanup(func() {
		for _, env := range []string{"dev", "preprod", "prod"} {
			v.eventually("everything has ended", func() bool {
				p, err := v.deploys.Stop(context.Background(), "ledger", env)
				return err == nil && p == deploy.Done
			})
		}
		cancel()
		wg.Wait()
		if err := errors.Join(v.app.Close(), v.deploys.Close()); err != nil {
			t.Error(err)
		}
	})
	if _, err := v.app.RootToken(context.Background(), rootToken); err != nil {
		t.Fatal(err)
	}
	v.configure()
	return v
}

type emptyCommit string

func (c emptyCommit) Checkout(context.Context, nightporter.Repo, string) (string, func(), error) {
	return string(c), func() {}, nil
}

// configure sets the database up as its owner would.
func (v *tenancy) configure() {
	v.t.Helper()
	v.db.Exec(v.t, v.name, "CREATE ROLE "+v.name+"_app NOLOGIN")
	v.t.Cleanup(func() {
		for _, login := range v.db.Column(v.t, "", `SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%' || $1 || '%'`, v.name) {
			v.db.Exec(v.t, "", fmt.Sprintf("DROP ROLE %q", login))
		}
		v.db.Exec(v.t, "", "DROP ROLE "+v.name+"_app")
	})
	must := func(path string, body map[string]any) {
		if err := ask(v.url, http.MethodPost, path, rootToken, body, nil); err != nil {
			v.t.Fatal(err)
		}
	}
	must("database/config/"+v.name, map[string]any{
		"plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "username": v.db.User, "password": v.db.Password,
		"connection_url": "postgres://{{username}}:{{password}}@" + v.db.Addr + "/" + v.name + "?sslmode=disable",
	})
	for _, env := range []string{"dev", "preprod", "prod"} {
		must("database/roles/"+v.name+"-"+env, map[string]any{
			"db_name": v.name, "default_ttl": "1h",
			"creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' IN ROLE ` + v.name + `_app`,
		})
	}
}

// logins asks the database who can log in.
func (v *tenancy) logins() []string {
	v.t.Helper()
	return v.db.Column(v.t, "", `SELECT m.rolname FROM pg_roles m JOIN pg_auth_members a ON a.member = m.oid JOIN pg_roles g ON g.oid = a.roleid
		WHERE g.rolname = $1 AND m.rolcanlogin ORDER BY m.rolname`, v.name+"_app")
}

func (v *tenancy) eventually(what string, holds func() bool) {
	v.t.Helper()
	for range 3000 {
		if holds() {
			return
		}
		v.pass()
	}
	v.t.Fatalf("never: %s; the database knows %v", what, v.logins())
}

// user asks the instance that serves in an environment whom it is in the database.
func (v *tenancy) user(env string) string {
	v.t.Helper()
	i := v.serving(env)
	var answer struct{ User, Version string }
	if err := ask("http://"+i.Address, http.MethodGet, "/healthz", "", nil, &answer); err != nil {
		v.t.Fatal(err)
	}
	return answer.User
}

func (v *tenancy) serving(env string) deploy.Instance {
	v.t.Helper()
	instances, err := v.deploys.Running(context.Background(), "ledger", env)
	if err != nil {
		v.t.Fatal(err)
	}
	i, ok := deploy.Find(instances, deploy.Serving)
	if !ok {
		v.t.Fatalf("nothing serves in %s", env)
	}
	return i
}

// TestADeployedServiceWorksOnLeasedCredentials asks pg_roles, /proc and the file
// system.
func TestADeployedServiceWorksOnLeasedCredentials(t *testing.T) {
	t.Parallel()
	v := newTenancy(t)
	v.app.Sweep(context.Background())
	v.merge("one", "minor")
	v.release("0.1.0")
	environments := []string{"dev", "preprod", "prod"}
	first := map[string]string{}
	for _, env := range environments {
		first[env] = v.user(env)
	}
	v.eventually("one login for each instance", func() bool { return len(v.logins()) == 3 })
	v.judgeFile("prod")

	var leases struct {
		Items []struct{ Username, Owner, Environment string }
	}
	if err := ask(v.url, http.MethodGet, "/api/leases", rootToken, nil, &leases); err != nil {
		t.Fatal(err)
	}
	for _, l := range leases.Items {
		if l.Owner != "ledger" || first[l.Environment] != l.Username {
			t.Errorf("the lease of %s names %q in %q; it is ledger's, of %v", l.Username, l.Owner, l.Environment, first)
		}
	}
	if len(leases.Items) != 3 {
		t.Errorf("there are %d leases, want 3", len(leases.Items))
	}

	// A candidate that is bad has had a login, and leaves none.
	v.merge("two", "patch")
	v.until("it is rolled back", func(r *releases.Release) bool { return r.State == releases.RolledBack })
	if _, err := os.Stat(filepath.Join(v.notes, "dev-"+badVersion)); err != nil {
		t.Fatalf("the candidate never had a login, so nothing is shown: %v", err)
	}
	v.eventually("the candidates' logins are gone", func() bool { return len(v.logins()) == 3 })
	for _, env := range environments {
		if got := v.user(env); got != first[env] {
			t.Errorf("%s works as %s, want %s as before", env, got, first[env])
		}
	}

	// The next good version has its own; those of the one before go with it.
	v.merge("three", "patch")
	v.release("0.1.2")
	v.eventually("the replaced instances' logins are gone", func() bool {
		now := v.logins()
		for _, login := range now {
			for _, old := range first {
				if login == old {
					return false
				}
			}
		}
		return len(now) == 3
	})
	v.judgeLeaks()
}

// judgeFile looks at what an instance was handed as anybody on the machine could.
func (v *tenancy) judgeFile(env string) {
	v.t.Helper()
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", v.serving(env).PID))
	if err != nil {
		v.t.Fatal(err)
	}
	path := ""
	for entry := range strings.SplitSeq(string(environ), "\x00") {
		if value, ok := strings.CutPrefix(entry, "NIGHTPORTER_TOKEN_FILE="); ok {
			path = value
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		v.t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		v.t.Errorf("the token file has mode %v, want 0600", info.Mode())
	}
	token, err := os.ReadFile(path)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, path := range []string{"sys/wrapping/unwrap", "auth/token/renew-self"} {
		if err := ask(v.url, http.MethodPost, path, strings.TrimSpace(string(token)), nil, nil); err == nil {
			v.t.Errorf("the token in the file could be used for %s after the service had used it", path)
		}
	}
}

// judgeLeaks looks for everything secret that instances were told in the store,
// the log, and what the kernel shows of every process.
func (v *tenancy) judgeLeaks() {
	v.t.Helper()
	notes, err := filepath.Glob(filepath.Join(v.notes, "*"))
	if err != nil || len(notes) < 7 {
		v.t.Fatalf("%d instances left notes, %v", len(notes), err)
	}
	places := map[string]string{"the log": v.log.String()}
	files, err := filepath.Glob(filepath.Join(v.dir, "store", "*"))
	if err != nil || len(files) == 0 {
		v.t.Fatalf("no store: %v", err)
	}
	for _, pattern := range []string{"/proc/[0-9]*/cmdline", "/proc/[0-9]*/environ"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			v.t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil && !strings.HasPrefix(file, "/proc/") { // a process may have ended meanwhile
			v.t.Fatal(err)
		}
		places[file] = string(b)
	}
	for _, note := range notes {
		text, err := os.ReadFile(note)
		if err != nil {
			v.t.Fatal(err)
		}
		for what, secret := range strings.Split(strings.TrimSpace(string(text)), "\n") {
			for place, content := range places {
				if strings.Contains(content, secret) {
					v.t.Errorf("%s holds secret %d of %s", place, what, filepath.Base(note))
				}
			}
		}
	}
}
