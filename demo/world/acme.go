package world

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"nightporter.dev/nightporter/client"
)

// affordability is the service that is not small: examples/affordability. ledger is
// small, and has a database too.
const (
	affordability = "affordability"
	ledger        = "ledger"
)

// acme's services, in the order of the page of repositories.
var acme = []struct{ name, owner, description string }{
	{ledger, "payments", "Books every payment."},
	{affordability, "payments", "Says how large a mortgage may be."},
	{"gateway", "platform", "The door to the other services."},
	{"notifier", "platform", "Writes to customers."},
	{"statements", "platform", "Prints account statements."},
}

// Services are the names of acme's services, and of their repositories.
func Services() (names []string) {
	for _, s := range acme {
		names = append(names, s.name)
	}
	return names
}

// People of acme. Their login at the forge is their name and "-gh".
const (
	Ana = "ana" // payments; writes most of the changes
	Ben = "ben" // payments; approves
	Sam = "sam" // platform and operator
	Kim = "kim" // platform
)

var people = []string{Ana, Ben, Sam, Kim}

// Login is a person's name at the forge.
func Login(person string) string { return person + "-gh" }

// configure writes what a user writes into the file that init made.
func (w *World) configure(forge string) error {
	if err := w.writeSecret("inbox-secret", w.Inbox.secret); err != nil {
		return err
	}
	var b strings.Builder
	asked := ""
	if w.Database != nil {
		asked = fmt.Sprintf(probes, w.Dir, cookieFile, GoldenProfile)
	}
	fmt.Fprintf(&b, configuration, w.Dir, forge, Organisation, w.Sweep, w.Inbox.url, asked)
	if w.Database != nil {
		b.WriteString(databases)
	}
	b.WriteString("services:\n")
	for _, s := range acme {
		if s.name == affordability {
			fmt.Fprintf(&b, mortgages, s.name, s.owner, w.BankURL, filepath.Join(w.Dir, bankSecret), filepath.Join(w.Dir, sealKeyFile))
		} else {
			fmt.Fprintf(&b, service, s.name, s.owner, w.StartLog, w.RatesFile)
		}
		if w.Database != nil && slices.Contains(Tenants(), s.name) {
			fmt.Fprintf(&b, lent, w.Database.Address(), s.name)
		}
	}
	starter, err := os.ReadFile(w.Porter.Config)
	if err != nil {
		return err
	}
	return os.WriteFile(w.Porter.Config, append(append(starter, '\n'), b.String()...), 0o600)
}

// configuration takes the folder, the forge's address, the organisation, the time
// between sweeps, the inbox's address and what dev is asked after a night.
const configuration = `# What acme added.
same_user: allowed          # one machine, one user: this is a demo
run_env: [PATH, LANG, GOCACHE, GOPROXY, GOTOOLCHAIN, GOFLAGS, GOWORK]
egress: {allow: [127.0.0.0/8]}
secret_scan: {try: true}    # a password that is found is tried on the databases below
forges:
  github:
    kind: github
    url: %[2]s
    organisation: %[3]s
    token_file: %[1]s/forge-token
    webhook_secret_file: %[1]s/webhook-secret
    sweep: %[4]s
people:
  ana: {name: Ana Alves, email: ana@acme.test, github: ana-gh}
  ben: {name: Ben Brandt, email: ben@acme.test, github: ben-gh}
  kim: {name: Kim Kato, email: kim@acme.test, github: kim-gh}
  sam: {name: Sam Silva, email: sam@acme.test, github: sam-gh}
teams:
  payments: {members: [ana, ben]}
  platform: {members: [kim, sam]}
operators: [sam]
environments:
  dev:
    kind: development
    schedule: "Mon-Fri 07:00-21:00"
    timezone: Europe/London
    ready_by: "off"           # begin at seven, so that the story can say when
    first_night: act          # the first night is no rehearsal
    cloud: {kind: process, repo: github/infra, ref: main, dir: dev}%[6]s
  preprod: {kind: staging}
  prod:    {kind: production, approval: {count: 1, from: [owner], author: reviewed, remind: [4h owner, 24h operators]}}
pipeline: [[dev, preprod], [prod]]
repos:
  standard:
    labels:
      - {name: major, color: b60205, description: major change}
      - {name: minor, color: e8894a, description: minor change}
      - {name: patch, color: b5d3ff, description: patch change}
workspaces: {payments: {retention: 7d}}
notify:
  payments:  {webhook: {url: "%[5]s/payments", secret_file: %[1]s/inbox-secret}}
  platform:  {webhook: {url: "%[5]s/platform", secret_file: %[1]s/inbox-secret}}
  operators: {webhook: {url: "%[5]s/operators", secret_file: %[1]s/inbox-secret}}
`

// probes takes the folder, the file of a header and the fingerprint of a profile:
// a morning is good when tenant 1 finds the profile of the evening.
const probes = `
    probes:
      - name: the profile of tenant 1
        service: affordability
        path: /v1/profiles/latest
        header_file: %[1]s/%[2]s
        contains: '"hash":"%[3]s"'`

// service takes the name, the owner, the log of starts and the file of rates.
const service = `  - name: %[1]s
    repo: github/%[1]s
    owner: %[2]s
    deploy:
      kind: process
      drain: 3s
      env:
        START_LOG: %[3]s
        RATES: %[4]s
`

// databases says where each database belongs. Those of prod are bound to nothing,
// which is production.
const databases = `databases:
  database/affordability-dev: {environment: dev}
  database/affordability-preprod: {environment: preprod}
  database/ledger-dev: {environment: dev}
  database/ledger-preprod: {environment: preprod}
`

// mortgages takes the name, the owner, the bank's address, the file by which the bank
// knows us and the file of the key that the service encrypts with.
const mortgages = `  - name: %[1]s
    repo: github/%[1]s
    owner: %[2]s
    deploy:
      kind: process
      drain: 3s
      env:
        PUBLIC_URL: "http://affordability-{environment}.acme.test"
        BANK_URL: %[3]s
        BANK_CLIENT_SECRET_FILE: %[4]s
        SEAL_KEY_FILE: %[5]s
        DRAIN_DELAY: 100ms
`

// lent goes on where service or mortgages ends. It takes the address of the database and
// the name. There is no user and no password: they are lent. Without lent, a
// service keeps everything in memory.
const lent = `        DATABASE_URL: "postgres://%[1]s/%[2]s_{environment}?sslmode=disable"
        DATABASE_ROLE: "database/creds/%[2]s-{environment}"
    credentials: ["database/creds/%[2]s-{environment}"]
`

// signIn makes local users of the people and waits until the porter has seen the
// repositories.
func (w *World) signIn(ctx context.Context) error {
	w.Progress("people: %s", strings.Join(people, ", "))
	for _, name := range people {
		password := rand.Text()
		if err := w.root.SetUser(ctx, name, password, nil); err != nil {
			return fmt.Errorf("make the user %s: %w", name, err)
		}
		token, err := w.root.Login(ctx, name, password)
		if err != nil {
			return fmt.Errorf("sign in as %s: %w", name, err)
		}
		w.tokens[name] = token.Token
		if w.clients[name], err = w.root.WithToken(token.Token); err != nil {
			return err
		}
	}
	if err := w.awake(ctx); err != nil {
		return err
	}
	return w.Until(ctx, "Nightporter has seen the repositories", func(ctx context.Context) error {
		s, err := w.root.Status(ctx)
		if err == nil && (len(s.Forges) == 0 || s.Forges[0].SweptAt.IsZero()) {
			err = fmt.Errorf("it has not: %+v", s.Forges)
		}
		return err
	})
}

// As is Nightporter's API as a person sees it.
func (w *World) As(person string) *client.Client { return w.clients[person] }

// Command is what a person types: the binary with these arguments. It returns
// what was printed.
func (w *World) Command(ctx context.Context, person string, args ...string) ([]byte, error) {
	return w.Porter.Command(ctx, w.tokens[person], args...)
}

// Root is Nightporter's API as whoever ran init sees it.
func (w *World) Root() *client.Client { return w.root }

// SignInLink signs one browser in as a person, once, within a minute.
func (w *World) SignInLink(ctx context.Context, person string) (string, error) {
	code, err := w.root.LoginCode(ctx, person)
	return code.URL, err
}

// FixRates puts the file in place that a version of the ledger waits for.
func (w *World) FixRates() error {
	part := w.RatesFile + ".part"
	if err := os.WriteFile(part, []byte(`{"EUR": 1, "GBP": 0.86}`+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(part, filepath.Clean(w.RatesFile))
}
