package client

import (
	"context"
	"net/url"
	"strings"
	"time"
)

// Database is how a database that logins are made in is doing.
type Database struct {
	Database    string `json:"database"` // mount and name
	Plugin      string `json:"plugin"`
	Environment string `json:"environment,omitempty"`
	Dark        bool   `json:"dark,omitempty"` // its environment sleeps: it hands out no logins
	Logins      int    `json:"logins"`
	Ending      int    `json:"ending"`            // logins that wait to be taken away
	Findings    int    `json:"findings"`          // differences that are not repaired
	Trouble     string `json:"trouble,omitempty"` // why it could not be worked with
	// ComparedAt is when its logins were last compared with the leases.
	ComparedAt time.Time `json:"compared_at,omitzero"`
}

// Databases lists the databases, by name.
func (c *Client) Databases(ctx context.Context) ([]Database, error) {
	var l list[Database]
	if err := c.Get(ctx, "/api/databases", nil, &l); err != nil {
		return nil, err
	}
	return l.Items, nil
}

// DatabaseConfig is how to reach a database as its administrator, in the words of
// Vault's database/config. Empty fields of one that is there stay as they are.
type DatabaseConfig struct {
	Plugin   string `json:"plugin_name,omitempty"`
	URL      string `json:"connection_url,omitempty"` // with {{username}} and {{password}}
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	// AllowedRoles are the roles that may use it; "*" is all of them.
	AllowedRoles []string `json:"allowed_roles,omitempty"`
}

// String names the administrator, and not the password.
func (d DatabaseConfig) String() string { return d.Username + " at " + d.URL }

// PutDatabase writes a database's config. The server logs in before it keeps it.
// The warnings are the server's.
func (c *Client) PutDatabase(ctx context.Context, mount, name string, d DatabaseConfig) (warnings []string, err error) {
	s, err := c.WriteSecret(ctx, below(mount, "config", name), d)
	if err != nil {
		return nil, err
	}
	return s.Warnings, nil
}

// Database reads a database's config. The server never shows the password.
func (c *Client) Database(ctx context.Context, mount, name string) (DatabaseConfig, error) {
	var d DatabaseConfig
	s, err := c.ReadSecret(ctx, below(mount, "config", name))
	if err != nil {
		return d, err
	}
	var data struct {
		Plugin  string         `json:"plugin_name"`
		Details DatabaseConfig `json:"connection_details"`
		Roles   []string       `json:"allowed_roles"`
	}
	if err := s.Decode(&data); err != nil {
		return d, err
	}
	d = data.Details
	d.Plugin, d.AllowedRoles = data.Plugin, data.Roles
	return d, nil
}

// DatabaseCheck is what was found when a database was looked at.
type DatabaseCheck struct {
	Database string         `json:"database"`
	Plugin   string         `json:"plugin_name"`
	OK       bool           `json:"ok"`
	Steps    []DatabaseStep `json:"steps"`
	// Found is how many logins differed from the leases, by kind: orphan, missing,
	// renamed, foreign. Unrepaired is how many of them are left.
	Found      map[string]int `json:"found"`
	Unrepaired int            `json:"unrepaired"`
	ComparedAt time.Time      `json:"compared_at,omitzero"`
}

// DatabaseStep is one thing that the administrator must be able to do.
type DatabaseStep struct {
	Name   string `json:"name"` // connect, login or compare
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// CheckDatabase logs in as the administrator, makes and takes away a login, and
// compares the logins with the leases. That one of them did not work is no error.
func (c *Client) CheckDatabase(ctx context.Context, mount, name string) (*DatabaseCheck, error) {
	s, err := c.WriteSecret(ctx, below(mount, "check", name), struct{}{})
	if err != nil {
		return nil, err
	}
	var check DatabaseCheck
	if err := s.Decode(&check); err != nil {
		return nil, err
	}
	return &check, nil
}

// RotateDatabase gives the administrator a password that nobody knows.
func (c *Client) RotateDatabase(ctx context.Context, mount, name string) error {
	_, err := c.WriteSecret(ctx, below(mount, "rotate-root", name), struct{}{})
	return err
}

// Role says what logins somebody may ask for.
type Role struct {
	Name       string   `json:"name"`
	Database   string   `json:"db_name"`
	Creation   []string `json:"creation_statements"`
	DefaultTTL int64    `json:"default_ttl"` // seconds; 0 is the mount's
	MaxTTL     int64    `json:"max_ttl"`     // seconds; 0 is the mount's
}

// RoleNames lists the roles of a mount, by name.
func (c *Client) RoleNames(ctx context.Context, mount string) ([]string, error) {
	return c.ListSecrets(ctx, strings.Trim(mount, "/")+"/roles")
}

// Role reads a role.
func (c *Client) Role(ctx context.Context, mount, name string) (Role, error) {
	r := Role{Name: name}
	s, err := c.ReadSecret(ctx, below(mount, "roles", name))
	if err == nil {
		err = s.Decode(&r)
	}
	return r, err
}

// Trial says whether a role is tried when it is written: one login is made, used
// and taken away.
type Trial string

// What becomes of a role that does not work.
const (
	TryAndWarn  Trial = "warn"   // it is written, with a warning
	TryOrRefuse Trial = "refuse" // it is refused
)

// PutRole writes a role. What the role lacks stays as it was. The warnings are the
// server's.
func (c *Client) PutRole(ctx context.Context, mount string, r Role, try Trial) (warnings []string, err error) {
	body := map[string]any{"db_name": r.Database, "creation_statements": r.Creation}
	if r.DefaultTTL > 0 {
		body["default_ttl"] = r.DefaultTTL
	}
	if r.MaxTTL > 0 {
		body["max_ttl"] = r.MaxTTL
	}
	if try == TryOrRefuse {
		body["verify"] = true
	}
	s, err := c.WriteSecret(ctx, below(mount, "roles", r.Name), body)
	if err != nil {
		return nil, err
	}
	return s.Warnings, nil
}

// below is a path below a mount.
func below(mount, kind, name string) string {
	return strings.Trim(mount, "/") + "/" + kind + "/" + name
}

// Holder is a token, or a login that was asked for with one.
type Holder struct {
	ID        string    `json:"id"`   // a token's accessor, or a login's lease
	Kind      string    `json:"kind"` // token or login
	Parent    string    `json:"parent,omitempty"`
	Depth     int       `json:"depth"` // 0 for a root
	Owner     string    `json:"owner"`
	Path      string    `json:"path"`
	State     string    `json:"state"` // live, or doomed: it is being taken away
	IssuedAt  time.Time `json:"issued_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // of its own; zero for never
	EndsAt    time.Time `json:"ends_at,omitzero"`    // with the first of its tokens
	Database  string    `json:"database,omitempty"`
	Username  string    `json:"username,omitempty"`
	Role      string    `json:"role,omitempty"`
}

// LeaseTree says who holds what, parents before their children. of is an accessor
// or a lease whose part of the tree is wanted; "" is every login. [Own] keeps to what
// the caller holds, which everybody may see.
func (c *Client) LeaseTree(ctx context.Context, of string, whose Whose) ([]Holder, error) {
	path := "/api/leases/tree"
	if whose == Own {
		path += "/own"
	}
	q := url.Values{}
	set(q, "of", of)
	var l list[Holder]
	if err := c.Get(ctx, path, q, &l); err != nil {
		return nil, err
	}
	return l.Items, nil
}

// Whose says whose part of a tree is wanted.
type Whose string

// Whose.
const (
	Everybodys Whose = "everybody's"
	Own        Whose = "own"
)
