package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/affordability/obie"
	"example.org/affordability/policy"
	"example.org/affordability/seal"
	"example.org/affordability/store"
	"example.org/affordability/web"
)

// build makes the sandbox bank once. In a repository that holds this example alone the bank is not beside it.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sandboxbank")
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "sandboxbank")
	cmd := exec.Command("go", "build", "-o", out, ".")
	cmd.Dir = "../../sandboxbank"
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	raw, err := cmd.CombinedOutput()
	if err != nil {
		return "", &os.PathError{Op: string(raw), Path: cmd.Dir, Err: err}
	}
	return out, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if out, err := build(); err == nil {
		_ = os.RemoveAll(filepath.Dir(out))
	}
	os.Exit(code)
}

// rig is a bank, a service and what it logged.
type rig struct {
	t       *testing.T
	bank    string
	admin   string
	service *httptest.Server
	web     *web.Server
	memory  *store.Memory
	log     *lockedBuffer
	mu      sync.Mutex
	now     time.Time
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
func (l *lockedBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

type options struct{ permissions []string }

func start(t *testing.T, o options) *rig {
	t.Helper()
	if _, err := os.Stat("../../sandboxbank/go.mod"); err != nil {
		t.Skip("LOUD: the sandbox bank is not beside this example, so nothing is proven end to end here")
	}
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, memory: store.NewMemory(), log: &lockedBuffer{}, now: time.Now()}
	var h http.Handler
	r.service = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { h.ServeHTTP(w, q) }))
	t.Cleanup(r.service.Close)

	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--redirect-uri="+r.service.URL+"/v1/callback")
	cmd.Env = append(os.Environ(), "SANDBOXBANK_CLIENT_SECRET=hush")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	drained := make(chan struct{})
	t.Cleanup(func() { stop(); <-drained; _ = cmd.Wait() })
	lines := bufio.NewScanner(stderr)
	address := regexp.MustCompile(`http://[0-9.:]+`)
	for r.bank == "" && lines.Scan() {
		switch text := lines.Text(); {
		case strings.HasPrefix(text, "operator:"):
			r.admin = address.FindString(text)
		case strings.HasPrefix(text, "sandbox bank:"):
			r.bank = address.FindString(text)
		}
	}
	go func() { defer close(drained); _, _ = io.Copy(io.Discard, stderr) }()
	if r.bank == "" {
		t.Fatal("the bank did not start")
	}

	pol, err := policy.Current()
	if err != nil {
		t.Fatal(err)
	}
	box, err := seal.New(seal.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { r.mu.Lock(); defer r.mu.Unlock(); return r.now }
	bank, err := obie.New(obie.Config{
		Issuer: r.bank, ClientID: "affordability", ClientSecret: "hush", RedirectURI: r.service.URL + "/v1/callback", Permissions: o.permissions,
		Sleep: func(context.Context, time.Duration) error { return nil }, Now: clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.web, err = web.New(web.Config{Store: r.memory, Box: box, Bank: bank, Policy: pol, Public: r.service.URL, Version: "1.2.3", Log: slog.New(slog.NewTextHandler(r.log, nil)), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.web.Close)
	h = r.web.Handler()
	return r
}

func (r *rig) faults(list string) {
	r.t.Helper()
	req, _ := http.NewRequest(http.MethodPut, r.admin+"/faults", strings.NewReader(list))
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != http.StatusNoContent {
		r.t.Fatalf("faults %q: %v %v", list, res, err)
	}
	res.Body.Close()
}

// person is one browser.
type person struct {
	*rig
	browser *http.Client
}

func (r *rig) person() *person {
	jar, _ := cookiejar.New(nil)
	return &person{r, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (p *person) do(method, path, body string) (*http.Response, string) {
	p.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = p.service.URL + path
	}
	req, err := http.NewRequest(method, path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if strings.HasPrefix(body, "{") {
			req.Header.Set("Content-Type", "application/json")
		}
	}
	res, err := p.browser.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res, string(raw)
}

var (
	formToken = regexp.MustCompile(`name="form" value="([^"]+)"`)
	boxes     = regexp.MustCompile(`name="account" value="([^"]+)"`)
)

// approve goes to the bank and comes back with the callback's address, not yet followed.
func (p *person) approve(tenant, decision string) string {
	p.t.Helper()
	res, body := p.do(http.MethodPost, "/connect", "")
	at, err := res.Location()
	if err != nil {
		p.t.Fatalf("connect: %s %s", res.Status, body)
	}
	_, page := p.do(http.MethodGet, at.String()+"&tenant="+tenant, "")
	m := formToken.FindStringSubmatch(page)
	if m == nil {
		p.t.Fatalf("no form at the bank: %s", page)
	}
	form := url.Values{"form": {m[1]}, "decision": {decision}}
	for _, b := range boxes.FindAllStringSubmatch(page, -1) {
		form.Add("account", b[1])
	}
	res, body = p.do(http.MethodPost, p.bank+"/authorize", form.Encode())
	back, err := res.Location()
	if err != nil {
		p.t.Fatalf("approve: %s %s", res.Status, body)
	}
	return back.String()
}

// answer is what the API says about a reading.
type answer struct {
	ID      string
	State   string
	Problem string
	Hash    string
	Profile struct {
		State     string
		Says      string
		RentFound bool `json:"rent_found"`
		Months    int
		Warnings  []string
		Binding   string
		Figures   []struct {
			ID    string
			Value int64
		}
	}
}

func (a answer) value(id string) int64 {
	for _, f := range a.Profile.Figures {
		if f.ID == id {
			return f.Value
		}
	}
	return -1
}

// wait polls until the reading is over. The service has no other signal for a browser either.
func (p *person) wait() answer {
	p.t.Helper()
	for range 600 {
		res, body := p.do(http.MethodGet, "/v1/profiles/latest", "")
		var a answer
		if err := json.Unmarshal([]byte(body), &a); err != nil || res.StatusCode != http.StatusOK {
			p.t.Fatalf("profile: %s %v %.300s", res.Status, err, body)
		}
		if a.State != "reading" {
			return a
		}
		p.pause()
	}
	p.t.Fatal("the reading does not end")
	return answer{}
}

// pause lets the other process work for a moment.
func (p *person) pause() {
	t := time.NewTimer(20 * time.Millisecond)
	defer t.Stop()
	<-t.C
}

// connect is the whole way for one tenant.
func (p *person) connect(tenant string) answer {
	p.t.Helper()
	back := p.approve(tenant, "approve")
	if res, body := p.do(http.MethodGet, back, ""); res.StatusCode != http.StatusSeeOther {
		p.t.Fatalf("callback: %s %.300s", res.Status, body)
	}
	return p.wait()
}
