package world

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"example.org/sandboxbank/bank"
	"example.org/sandboxbank/town"
)

// bankSecret is the file with which the affordability service is known to the
// bank, and sealKeyFile the one with the key that it encrypts with.
const (
	bankSecret  = "bank-client-secret"
	sealKeyFile = "seal-key"
)

// publicHost is the name under which customers know affordability in an
// environment: what a load balancer would stand behind.
func publicHost(environment string) string { return "affordability-" + environment + ".acme.test" }

// openBank opens the sandbox bank of examples/sandboxbank. It is another company:
// acme did not build it and Nightporter does not deploy it.
func (w *World) openBank(secret string) error {
	people, err := town.New(town.Config{Seed: 1, Tenants: 3, AsOf: time.Date(2026, 6, 15, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("open the bank: %w", err)
	}
	w.BankURL = "http://" + listener.Addr().String()
	cfg := bank.Config{Town: people, BaseURL: w.BankURL, ClientID: "affordability", ClientSecret: secret}
	for _, env := range environments {
		cfg.RedirectURIs = append(cfg.RedirectURIs, "http://"+publicHost(env)+"/v1/callback")
	}
	b, err := bank.New(cfg)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{Handler: b.Handler(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // always ends with ErrServerClosed
	}()
	w.stops = append(w.stops, func() {
		_ = server.Close()
		<-served
	})
	return nil
}

// Customer is somebody with a browser and an account at the bank.
type Customer struct {
	w           *World
	browser     *http.Client
	environment string
	public      string // affordability's address
}

// NewCustomer opens a browser that finds affordability in an environment, where it
// serves now: a version that takes over later needs a new customer.
func (w *World) NewCustomer(environment string) (*Customer, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	port, err := w.portOf(affordability, environment)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if host, _, _ := net.SplitHostPort(address); host == publicHost(environment) {
				address = "127.0.0.1:" + strconv.Itoa(port)
			}
			return dialer.DialContext(ctx, network, address)
		},
	}
	return &Customer{w: w, environment: environment, public: "http://" + publicHost(environment), browser: &http.Client{
		Jar: jar, Timeout: 15 * time.Second, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Again is the same customer, who finds affordability where it serves now.
func (c *Customer) Again() (*Customer, error) {
	again, err := c.w.NewCustomer(c.environment)
	if err == nil {
		again.browser.Jar = c.browser.Jar
	}
	return again, err
}

// portOf is where a service listens in an environment.
func (w *World) portOf(service, environment string) (int, error) {
	all, err := w.Proc.Services()
	if err != nil {
		return 0, err
	}
	for _, p := range all {
		if p.Service == service && p.Environment == environment {
			return p.Port, nil
		}
	}
	return 0, fmt.Errorf("nothing serves %s in %s", service, environment)
}

// Client is the customer's browser.
func (c *Customer) Client() *http.Client { return c.browser }

// GoldenProfile is the fingerprint of tenant 1's profile: whoever reads the same
// bank with the same rules must get it.
const GoldenProfile = "9eb4baa1def83b673e7731cbe42b7d0e39088cfefc4989aaf38e485e339665a0"

// cookieFile holds the session of tenant 1, whose profile is asked for after each
// rebuild of dev.
const cookieFile = "tenant-1-cookie"

// LendSession lets the porter ask for the customer's profile after a night.
func (c *Customer) LendSession() error {
	to, err := url.Parse(c.public)
	if err != nil {
		return err
	}
	var pairs []string
	for _, cookie := range c.browser.Jar.Cookies(to) {
		pairs = append(pairs, cookie.Name+"="+cookie.Value)
	}
	return c.w.writeSecret(cookieFile, "Cookie: "+strings.Join(pairs, "; "))
}

// Profile reads the fingerprint of the customer's profile.
func (c *Customer) Profile(ctx context.Context) (hash string, err error) {
	_, body, err := c.do(ctx, http.MethodGet, c.ProfileURL(), nil)
	if err != nil {
		return "", err
	}
	var a struct{ Hash string }
	err = json.Unmarshal([]byte(body), &a)
	return a.Hash, err
}

// ProfileURL is the page that Connect leads to.
func (c *Customer) ProfileURL() string { return c.public + "/v1/profiles/latest" }

var (
	formToken = regexp.MustCompile(`name="form" value="([^"]+)"`)
	accounts  = regexp.MustCompile(`name="account" value="([^"]+)"`)
)

// Connect goes to the bank, agrees, and waits until the profile is there.
func (c *Customer) Connect(ctx context.Context) error {
	to, _, err := c.do(ctx, http.MethodPost, c.public+"/connect", nil)
	if err != nil {
		return err
	}
	_, page, err := c.do(ctx, http.MethodGet, to+"&tenant=t0001", nil)
	if err != nil {
		return err
	}
	m := formToken.FindStringSubmatch(page)
	if m == nil {
		return errors.New("the bank shows no form")
	}
	form := url.Values{"form": {m[1]}, "decision": {"approve"}}
	for _, a := range accounts.FindAllStringSubmatch(page, -1) {
		form.Add("account", a[1])
	}
	back, _, err := c.do(ctx, http.MethodPost, c.w.BankURL+"/authorize", form)
	if err != nil {
		return err
	}
	if _, _, err := c.do(ctx, http.MethodGet, back, nil); err != nil {
		return err
	}
	return c.w.Until(ctx, "the profile is there", func(ctx context.Context) error {
		_, body, err := c.do(ctx, http.MethodGet, c.ProfileURL(), nil)
		if err != nil {
			return err
		}
		var a struct{ State, Problem string }
		if err := json.Unmarshal([]byte(body), &a); err != nil || a.State != "ready" {
			return errors.Join(err, fmt.Errorf("the reading is %q: %s", a.State, a.Problem))
		}
		return nil
	})
}

// do sends a request and returns where it leads, or the page.
func (c *Customer) do(ctx context.Context, method, address string, form url.Values) (location, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", "", err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := c.browser.Do(req)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 400 {
		err = fmt.Errorf("%s %s: %s: %.200s", method, req.URL.Path, resp.Status, page)
	}
	if to, lerr := resp.Location(); lerr == nil {
		location = to.String()
	}
	return location, string(page), err
}
