package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// Porter asks a server that speaks Vault's HTTP API for a new login each time. It starts from a token in a file,
// which may be wrapped: then it is unwrapped once, and whoever unwrapped it before us shows up as an error here.
type Porter struct {
	cfg PorterConfig

	mu    sync.Mutex
	token string
}

// PorterConfig says where and as whom.
type PorterConfig struct {
	Address   string       // required: like http://127.0.0.1:8200
	TokenFile string       // required
	Role      string       // required: like database/creds/affordability
	HTTP      *http.Client // nil: ten seconds a request
	Now       func() time.Time
}

// NewPorter checks the configuration.
func NewPorter(cfg PorterConfig) (*Porter, error) {
	if u, err := url.Parse(cfg.Address); err != nil || u.Host == "" {
		return nil, errors.New("the credential server's address must be a URL")
	}
	if cfg.TokenFile == "" || cfg.Role == "" {
		return nil, errors.New("the credential server needs a token file and a role")
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: 10 * time.Second}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Porter{cfg: cfg}, nil
}

// Login implements [Source]. Each call makes a new login with a lease of its own; the old one ends with its lease.
func (p *Porter) Login(ctx context.Context) (Login, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.token == "" {
		if err := p.signIn(ctx); err != nil {
			return Login{}, err
		}
	}
	// The token is renewed with every login, so it lives as long as the service does.
	_, _, _ = p.call(ctx, http.MethodPost, "auth/token/renew-self", p.token, []byte("{}")) // not renewable: it says so when it ends
	status, raw, err := p.call(ctx, http.MethodGet, p.cfg.Role, p.token, nil)
	if err != nil {
		return Login{}, fmt.Errorf("asking for a database login: %w", err)
	}
	if status == http.StatusForbidden {
		p.token = "" // perhaps the file holds a new one
		return Login{}, errors.New("asking for a database login: the token is not accepted any more")
	}
	if status != http.StatusOK {
		return Login{}, fmt.Errorf("asking for a database login: the server answered %d", status)
	}
	return parse(raw, p.cfg.Now())
}

// signIn reads the token and unwraps it when it is a wrapping token.
func (p *Porter) signIn(ctx context.Context) error {
	raw, err := os.ReadFile(p.cfg.TokenFile)
	if err != nil {
		return fmt.Errorf("reading the token: %w", err)
	}
	given := strings.TrimSpace(string(raw))
	status, body, err := p.call(ctx, http.MethodPost, "sys/wrapping/unwrap", given, []byte("{}"))
	if err != nil {
		return fmt.Errorf("unwrapping the token: %w", err)
	}
	var out struct {
		Auth struct {
			ClientToken string `json:"client_token"`
		} `json:"auth"`
	}
	if status == http.StatusOK && json.Unmarshal(body, &out) == nil && out.Auth.ClientToken != "" {
		p.token = out.Auth.ClientToken
		return nil
	}
	if status, _, err = p.call(ctx, http.MethodGet, "auth/token/lookup-self", given, nil); err != nil || status != http.StatusOK {
		return errors.New("the token is neither a wrapped token nor a valid one: it may have been used before")
	}
	p.token = given
	return nil
}

func (p *Porter) call(ctx context.Context, method, path, token string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(p.cfg.Address, "/")+"/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("X-Vault-Token", token)
	res, err := p.cfg.HTTP.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, raw, err
}
