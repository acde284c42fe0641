package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// Secret is an answer of the Vault API: its envelope.
type Secret struct {
	LeaseID       string `json:"lease_id"` // "" for what has no end
	Renewable     bool   `json:"renewable"`
	LeaseDuration int64  `json:"lease_duration"` // seconds
	// Data is the secret itself. It is not decoded here, so that nobody prints
	// it by accident.
	Data     json.RawMessage `json:"data"`
	Warnings []string        `json:"warnings"`
}

// TTL is how long the lease lasts from the answer on.
func (s *Secret) TTL() time.Duration { return time.Duration(s.LeaseDuration) * time.Second }

// Decode reads the data into out.
func (s *Secret) Decode(out any) error {
	if err := json.Unmarshal(s.Data, out); err != nil {
		// Not wrapped: an error of encoding/json may quote the secret.
		return nightporter.E(nightporter.Internal, "the data of a secret is not as expected")
	}
	return nil
}

// String names the lease, never the secret.
func (s *Secret) String() string { return "secret with the lease " + s.LeaseID }

// ReadSecret reads a path of the Vault API, without "/v1/": "database/creds/app".
// What is read may be made by reading it; then it has a lease.
func (c *Client) ReadSecret(ctx context.Context, path string) (*Secret, error) {
	var s Secret
	if err := c.Get(ctx, vaultPath(path), nil, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// WriteSecret writes a path of the Vault API, without "/v1/". The answer of a write
// that has none is empty, and not nil.
func (c *Client) WriteSecret(ctx context.Context, path string, data any) (*Secret, error) {
	var s Secret
	if err := c.call(ctx, http.MethodPut, vaultPath(path), nil, data, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// ListSecrets lists the names below a path of the Vault API. Nothing there is an
// empty list.
func (c *Client) ListSecrets(ctx context.Context, path string) ([]string, error) {
	var s Secret
	err := c.Get(ctx, vaultPath(path), url.Values{"list": {"true"}}, &s)
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return []string{}, nil
	}
	if err != nil {
		return nil, err
	}
	var data struct {
		Keys []string `json:"keys"`
	}
	if err := s.Decode(&data); err != nil {
		return nil, err
	}
	return data.Keys, nil
}

func vaultPath(path string) string {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	for i := range segments {
		segments[i] = escape(segments[i])
	}
	return "/v1/" + strings.Join(segments, "/")
}

// RenewLease asks for a lease to last another increment from now on; 0 asks for as
// long as it was first given. The answer's TTL is what was granted, which is less
// near the lease's own maximum.
func (c *Client) RenewLease(ctx context.Context, id string, increment time.Duration) (*Secret, error) {
	var s Secret
	err := c.call(ctx, http.MethodPut, "/v1/sys/leases/renew", nil, struct {
		LeaseID   string `json:"lease_id"`
		Increment int64  `json:"increment,omitempty"` // seconds
	}{id, int64(increment / time.Second)}, &s)
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// LookupLease says how long a lease lasts. Its error is invalid for one that has
// ended, also while what it stood for is being taken away.
func (c *Client) LookupLease(ctx context.Context, id string) (ttl time.Duration, err error) {
	var s Secret
	err = c.call(ctx, http.MethodPut, "/v1/sys/leases/lookup", nil, struct {
		LeaseID string `json:"lease_id"`
	}{id}, &s)
	if err != nil {
		return 0, err
	}
	var data struct {
		TTL         int64  `json:"ttl"` // seconds
		RevokeError string `json:"revoke_error"`
	}
	if err := s.Decode(&data); err != nil {
		return 0, err
	}
	if data.RevokeError != "" {
		return 0, nightporter.E(nightporter.Invalid, "the lease has ended")
	}
	return time.Duration(data.TTL) * time.Second, nil
}

// RevokeLease ends a lease and returns when what it stood for is gone. Ending one
// that is gone is no error.
func (c *Client) RevokeLease(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPut, "/v1/sys/leases/revoke", nil, struct {
		LeaseID string `json:"lease_id"`
		Sync    bool   `json:"sync"`
	}{id, true}, nil)
}

// Lease is who can log in to what, and until when.
type Lease struct {
	ID          string    `json:"id"`
	Database    string    `json:"database"` // mount and name
	Username    string    `json:"username"`
	Role        string    `json:"role"`
	Path        string    `json:"path"`
	Owner       string    `json:"owner"`
	Environment string    `json:"environment,omitempty"`
	State       string    `json:"state"` // live, or doomed: it is being taken away
	IssuedAt    time.Time `json:"issued_at"`
	ExpiresAt   time.Time `json:"expires_at"`
	RenewedAt   time.Time `json:"renewed_at,omitzero"`
	Reason      string    `json:"reason,omitempty"` // why it ends
	Error       string    `json:"error,omitempty"`  // what keeps it from ending
}

// LeaseFilter says which leases to list. Empty fields match everything.
type LeaseFilter struct {
	Environment string
	Role        string
	Username    string
	// PageSize is how many to ask for at once; 0 means as many as possible.
	PageSize int
}

// Leases lists the leases of databases, by id.
func (c *Client) Leases(ctx context.Context, f LeaseFilter) iter.Seq2[Lease, error] {
	q := url.Values{}
	set(q, "environment", f.Environment)
	set(q, "role", f.Role)
	set(q, "username", f.Username)
	return pages[Lease](ctx, c, "/api/leases", q, f.PageSize)
}

// Orphan is a difference between a database and the leases.
type Orphan struct {
	Database string `json:"database"` // mount and name
	Username string `json:"username"`
	// Kind is orphan, missing, renamed or foreign.
	Kind      string    `json:"kind"`
	Detail    string    `json:"detail"`
	Repaired  string    `json:"repaired,omitempty"` // what was done about it
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
}

// Orphans lists where the databases of a mount differ from the leases.
func (c *Client) Orphans(ctx context.Context, mount string) ([]Orphan, error) {
	s, err := c.ReadSecret(ctx, strings.Trim(mount, "/")+"/orphans")
	if err != nil {
		return nil, err
	}
	var data struct {
		Findings []Orphan `json:"findings"`
	}
	if err := s.Decode(&data); err != nil {
		return nil, err
	}
	return data.Findings, nil
}

// refusal reads an error of the Vault API: {"errors": ["…"]}. There is no code in
// it, so the status alone says what went wrong.
func (c *Client) refusal(resp *http.Response) error {
	var body struct {
		Errors []string `json:"errors"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&body); err != nil || body.Errors == nil {
		return c.foreign(resp, err)
	}
	code := codeOf(resp.StatusCode)
	if resp.StatusCode == http.StatusServiceUnavailable && strings.Contains(strings.Join(body.Errors, ""), "Vault is sealed") {
		code = nightporter.Sealed
	}
	lines := make([]string, len(body.Errors))
	for i, e := range body.Errors {
		lines[i] = plainly(e)
	}
	message := strings.Join(lines, "; ")
	if message == "" {
		message = fmt.Sprintf("the server answered %s", resp.Status)
		if code == nightporter.NotFound {
			message = "there is nothing at this path"
		}
	}
	return &ResponseError{Status: resp.StatusCode, RequestID: resp.Header.Get("X-Request-Id"), problem: nightporter.E(code, "%s", message)}
}

// plainly takes off the wrapping of errors that passed through Vault's core:
// "1 error occurred:\n\t* permission denied\n\n".
func plainly(s string) string {
	if rest, ok := strings.CutPrefix(s, "1 error occurred:\n\t* "); ok {
		s = rest
	}
	return strings.TrimSpace(s)
}
