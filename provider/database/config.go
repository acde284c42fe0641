package database

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// Defaults of [Config].
const (
	DefaultMaxOpenConnections = 4 // Vault's
	DefaultTimeout            = 30 * time.Second
)

// The values of [Config.PasswordAuthentication].
const (
	PlainPassword = "password"
	ScramPassword = "scram-sha-256"
)

// Config is one connection, with the fields of Vault's database/config/:name and
// three of ours. It prints without its secrets.
type Config struct {
	// Plugin is the plugin_name.
	Plugin string
	// ConnectionURL is the address in the driver's form. {{username}} and
	// {{password}} stand for the fields below. Required.
	ConnectionURL string
	// Username and Password are the administrator's. Empty when the ConnectionURL
	// holds them itself.
	Username string
	Password string

	// MaxOpenConnections is how many connections may be open. Default 4;
	// negative means any number.
	MaxOpenConnections int
	// MaxIdleConnections is how many of them are kept. 0 means as many as may be
	// open; negative means none.
	MaxIdleConnections int
	// MaxConnectionLifetime is when a connection is replaced. Default never.
	MaxConnectionLifetime time.Duration

	// TLSCA is the PEM of the authorities that may sign the server's certificate.
	// Empty means the system's. Setting it makes TLS mandatory.
	TLSCA string
	// TLSCertificate and TLSPrivateKey are the PEM of our own certificate.
	TLSCertificate string
	TLSPrivateKey  string
	// TLSServerName is the name in the server's certificate. Empty means the host
	// of the ConnectionURL.
	TLSServerName string
	// TLSSkipVerify accepts any certificate.
	TLSSkipVerify bool

	// DisableEscaping says that Username and Password are written the way a URL
	// needs them already.
	DisableEscaping bool
	// PasswordAuthentication is PlainPassword (default) or ScramPassword, which
	// sends PostgreSQL a verifier, so that no password reaches its log.
	PasswordAuthentication string
	// UsernameTemplate makes the names of new logins. Empty means the plugin's
	// default. See [NewNamer].
	UsernameTemplate string

	// KeepSessions leaves the sessions of a revoked login alone, as Vault does.
	// Ours: keep_sessions.
	KeepSessions bool
	// ObjectOwner is who gets the tables that a revoked login owned. Empty means
	// the administrator. Ours: object_owner.
	ObjectOwner string
	// Timeout bounds every call. Default 30 s. Ours: timeout.
	Timeout time.Duration

	// Dial opens network connections. Nil means the operating system's. Not a
	// field of the API: the application hands in its checked dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// ParseConfig reads the fields of an API request. It is as lenient with types as
// Vault: numbers and booleans may be strings, durations are "1h" or seconds.
// Fields that it does not know are left for the caller: their names come back,
// sorted.
func ParseConfig(fields map[string]any) (Config, []string, error) {
	var c Config
	var unknown []string
	texts := map[string]*string{
		"plugin_name": &c.Plugin, "connection_url": &c.ConnectionURL, "username": &c.Username, "password": &c.Password,
		"tls_ca": &c.TLSCA, "tls_certificate": &c.TLSCertificate, "private_key": &c.TLSPrivateKey,
		"tls_server_name": &c.TLSServerName, "password_authentication": &c.PasswordAuthentication,
		"username_template": &c.UsernameTemplate, "object_owner": &c.ObjectOwner,
	}
	numbers := map[string]*int{
		"max_open_connections": &c.MaxOpenConnections, "max_idle_connections": &c.MaxIdleConnections,
	}
	durations := map[string]*time.Duration{
		"max_connection_lifetime": &c.MaxConnectionLifetime, "timeout": &c.Timeout,
	}
	switches := map[string]*bool{
		"tls_skip_verify": &c.TLSSkipVerify, "disable_escaping": &c.DisableEscaping, "keep_sessions": &c.KeepSessions,
	}
	for name, value := range fields {
		ok := true
		if field, is := texts[name]; is {
			*field, ok = value.(string)
		} else if field, is := numbers[name]; is {
			*field, ok = number(value)
		} else if field, is := durations[name]; is {
			*field, ok = duration(value)
		} else if field, is := switches[name]; is {
			*field, ok = boolean(value)
		} else if name == "tls_certificate_key" {
			// MySQL's plugin takes certificate and key as one PEM text.
			c.TLSCertificate, ok = value.(string)
			c.TLSPrivateKey = c.TLSCertificate
		} else {
			unknown = append(unknown, name)
		}
		if !ok {
			return Config{}, nil, nightporter.E(nightporter.Invalid, "%s has the wrong type", name)
		}
	}
	slices.Sort(unknown)
	return c, unknown, c.Check()
}

// Check says what is wrong with c, without connecting.
func (c Config) Check() error {
	if c.ConnectionURL == "" {
		return nightporter.E(nightporter.Invalid, "connection_url cannot be empty") // Vault's words
	}
	if strings.ContainsRune(c.ConnectionURL+c.Username+c.Password, 0) {
		return nightporter.E(nightporter.Invalid, "connection_url, username and password cannot hold a NUL")
	}
	switch c.PasswordAuthentication {
	case "", PlainPassword, ScramPassword:
	default:
		return nightporter.E(nightporter.Invalid, "password_authentication is %q or %q", PlainPassword, ScramPassword)
	}
	if c.Timeout < 0 || c.MaxConnectionLifetime < 0 {
		return nightporter.E(nightporter.Invalid, "timeout and max_connection_lifetime cannot be negative")
	}
	if _, err := c.TLS(""); err != nil {
		return err
	}
	_, err := NewNamer(NamerConfig{Plugin: c.Plugin, Template: c.UsernameTemplate})
	return err
}

// WithDefaults returns c with every default filled in. Implementations call it
// first.
func (c Config) WithDefaults() Config {
	if c.MaxOpenConnections == 0 {
		c.MaxOpenConnections = DefaultMaxOpenConnections
	}
	if c.MaxOpenConnections < 0 {
		c.MaxOpenConnections = 0 // what database/sql calls any number
	}
	if c.MaxIdleConnections == 0 {
		c.MaxIdleConnections = c.MaxOpenConnections
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.PasswordAuthentication == "" {
		c.PasswordAuthentication = PlainPassword
	}
	return c
}

// WantsTLS tells whether a field of c asks for TLS, so that a connection without
// it must not be made.
func (c Config) WantsTLS() bool {
	return c.TLSCA != "" || c.TLSCertificate != "" || c.TLSServerName != "" || c.TLSSkipVerify
}

// TLS builds the TLS configuration for a server on host.
func (c Config) TLS(host string) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLSServerName, InsecureSkipVerify: c.TLSSkipVerify}
	if t.ServerName == "" {
		t.ServerName = host
	}
	if c.TLSCA != "" {
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM([]byte(c.TLSCA)) {
			return nil, nightporter.E(nightporter.Invalid, "tls_ca holds no PEM certificate")
		}
	}
	if c.TLSCertificate != "" || c.TLSPrivateKey != "" {
		pair, err := tls.X509KeyPair([]byte(c.TLSCertificate), []byte(c.TLSPrivateKey))
		if err != nil {
			return nil, nightporter.Wrap(err, nightporter.Invalid, "tls_certificate and private_key are not a pair in PEM")
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// String says which connection this is, without its secrets: not even the
// address, which may hold a password.
func (c Config) String() string { return fmt.Sprintf("%s as %q", c.Plugin, c.Username) }

// GoString is String, so that %#v holds no secret either.
func (c Config) GoString() string { return c.String() }

func number(value any) (int, bool) {
	switch v := value.(type) {
	case int:
		return v, true
	case int64:
		return int(v), true
	case float64:
		return int(v), v == float64(int(v))
	case json.Number:
		n, err := strconv.Atoi(v.String())
		return n, err == nil
	case string:
		n, err := strconv.Atoi(v)
		return n, err == nil
	}
	return 0, false
}

func duration(value any) (time.Duration, bool) {
	if text, is := value.(string); is {
		if d, err := time.ParseDuration(text); err == nil {
			return d, true
		}
	}
	seconds, ok := number(value)
	return time.Duration(seconds) * time.Second, ok
}

func boolean(value any) (bool, bool) {
	switch v := value.(type) {
	case bool:
		return v, true
	case string:
		b, err := strconv.ParseBool(v)
		return b, err == nil
	}
	return false, false
}
