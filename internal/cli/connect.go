package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"nightporter.dev/nightporter/client"
)

// first returns the first text that is not empty.
func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// server is the address to talk to. Vault's variables count too, so that vault
// and nightporter share a session.
func (c *CLI) server() string {
	return first(c.address, c.cfg.Env("NIGHTPORTER_ADDR"), c.cfg.Env("VAULT_ADDR"), client.DefaultAddress)
}

// token is the token to send, and where it came from; "" when there is none.
func (c *CLI) token() (token, source string, err error) {
	if c.tokenFile != "" {
		b, err := os.ReadFile(c.tokenFile)
		if err != nil {
			return "", "", usage("the token cannot be read: %v", err)
		}
		return strings.TrimSpace(string(b)), c.tokenFile, nil
	}
	for _, name := range []string{"NIGHTPORTER_TOKEN", "VAULT_TOKEN"} {
		if t := strings.TrimSpace(c.cfg.Env(name)); t != "" {
			return t, "$" + name, nil
		}
	}
	path := c.tokenPath()
	if path == "" {
		return "", "", nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", nil
	}
	if err != nil {
		return "", "", fmt.Errorf("reading the token of nightporter login: %w", err)
	}
	return strings.TrimSpace(string(b)), path, nil
}

// tokenPath is Vault's own place for the token of a login; "" without a home.
func (c *CLI) tokenPath() string {
	home := first(c.cfg.Env("HOME"), c.cfg.Env("USERPROFILE"))
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".vault-token")
}

// saveToken keeps a token for the next commands, readable for its owner only.
func (c *CLI) saveToken(token string) (path string, err error) {
	path = c.tokenPath()
	if path == "" {
		return "", failed("there is no home folder to keep the token in").hint("set HOME, or use --print")
	}
	// A new file beside it, because the old one may be readable for others.
	f, err := os.CreateTemp(filepath.Dir(path), ".vault-token-*") // mode 0600
	if err != nil {
		return "", fmt.Errorf("keeping the token: %w", err)
	}
	_, err = io.WriteString(f, token)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return "", fmt.Errorf("keeping the token: %w", err)
	}
	return path, nil
}

// api is the client of the server.
func (c *CLI) api() (*client.Client, error) {
	token, _, err := c.token()
	if err != nil {
		return nil, err
	}
	return c.apiWith(token)
}

func (c *CLI) apiWith(token string) (*client.Client, error) {
	return client.New(client.Config{
		Address: c.server(), Token: token, HTTP: c.cfg.HTTP, UserAgent: "nightporter/" + c.cfg.Version, Reconnect: 4 * c.cfg.Poll,
	})
}

// configPath is the configuration file: flag, variable, or the one beside us.
func (c *CLI) configPath(flag string) (path string, explicit bool) {
	if path := first(flag, c.cfg.Env("NIGHTPORTER_CONFIG")); path != "" {
		return path, true
	}
	return "nightporter.yaml", false
}
