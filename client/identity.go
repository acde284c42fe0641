package client

import (
	"context"
	"net/http"
	"time"

	"nightporter.dev/nightporter"
)

// Whoami is who the token belongs to and what rules it.
type Whoami struct {
	Kind      nightporter.ActorKind `json:"kind"`
	Name      string                `json:"name"`
	Policies  []string              `json:"policies"`
	Roles     []string              `json:"roles,omitempty"`
	Accessor  string                `json:"accessor,omitempty"`
	ExpiresAt time.Time             `json:"expires_at,omitzero"` // zero for never
}

// Credential is a new token. The token is shown this once.
type Credential struct {
	Token     string    `json:"token"`
	Accessor  string    `json:"accessor"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// LoginCode signs one browser in, once, within a minute.
type LoginCode struct {
	Code string `json:"code"`
	URL  string `json:"url"`
}

// NewToken says what token to make.
type NewToken struct {
	// DisplayName is the name of the program that gets it: "ci of ledger".
	// Required.
	DisplayName string
	// Policies rule it; they must be among the caller's.
	Policies []string
	// TTL is how long it lives; 0 means the server's default.
	TTL time.Duration
}

// Policy is a policy. Text is empty in a list.
type Policy struct {
	Name string `json:"name"`
	Text string `json:"policy,omitempty"`
	// Generated says that the text follows from the configuration and cannot
	// be written.
	Generated bool `json:"generated"`
}

// Whoami looks the client's own token up.
func (c *Client) Whoami(ctx context.Context) (*Whoami, error) {
	var w Whoami
	if err := c.Get(ctx, "/api/whoami", nil, &w); err != nil {
		return nil, err
	}
	return &w, nil
}

// Login makes a token for a name and a password. It needs none itself. Errors:
// unauthenticated for a wrong pair, limited after too many.
func (c *Client) Login(ctx context.Context, username, password string) (Credential, error) {
	var out Credential
	err := c.call(ctx, http.MethodPost, "/api/login", nil, struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}{username, password}, &out)
	return out, err
}

// LoginCode makes a one-time code with which a browser signs in as a person. Only
// on the server's own machine, and for those who may make tokens.
func (c *Client) LoginCode(ctx context.Context, person string) (LoginCode, error) {
	var out LoginCode
	err := c.call(ctx, http.MethodPost, "/api/login/code", nil, struct {
		Person string `json:"person"`
	}{person}, &out)
	return out, err
}

// CreateToken makes a token, a child of the client's own.
func (c *Client) CreateToken(ctx context.Context, n NewToken) (Credential, error) {
	body := struct {
		DisplayName string   `json:"display_name"`
		Policies    []string `json:"policies,omitempty"`
		TTL         string   `json:"ttl,omitempty"`
	}{DisplayName: n.DisplayName, Policies: n.Policies}
	if n.TTL > 0 {
		body.TTL = n.TTL.String()
	}
	var out Credential
	err := c.call(ctx, http.MethodPost, "/api/tokens", nil, body, &out)
	return out, err
}

// RevokeToken ends a token and everything that was made with it.
func (c *Client) RevokeToken(ctx context.Context, accessor string) error {
	return c.call(ctx, http.MethodDelete, "/api/tokens/"+escape(accessor), nil, nil, nil)
}

// SetUser writes a local user with a password. One whose name is a person of the
// configuration acts as that person.
func (c *Client) SetUser(ctx context.Context, name, password string, policies []string) error {
	return c.call(ctx, http.MethodPost, "/api/users", nil, struct {
		Name     string   `json:"name"`
		Password string   `json:"password"`
		Policies []string `json:"policies,omitempty"`
	}{name, password, policies}, nil)
}

// Policies lists the policies.
func (c *Client) Policies(ctx context.Context) ([]Policy, error) {
	return all[Policy](ctx, c, "/api/policies")
}

// Policy reads one policy with its text.
func (c *Client) Policy(ctx context.Context, name string) (*Policy, error) {
	p := Policy{Name: name}
	if err := c.Get(ctx, "/api/policies/"+escape(name), nil, &p); err != nil {
		return nil, err
	}
	return &p, nil
}

// PutPolicy writes a policy. Its error is invalid, with line and column, for a
// text that does not parse.
func (c *Client) PutPolicy(ctx context.Context, name, text string) error {
	return c.call(ctx, http.MethodPut, "/api/policies/"+escape(name), nil, struct {
		Text string `json:"policy"`
	}{text}, nil)
}

// DeletePolicy removes a policy.
func (c *Client) DeletePolicy(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/api/policies/"+escape(name), nil, nil, nil)
}
