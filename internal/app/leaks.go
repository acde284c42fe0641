package app

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/secrets/database"
	"nightporter.dev/nightporter/security"
	"nightporter.dev/nightporter/security/leaks"
	"nightporter.dev/nightporter/security/scan"
)

// makeLeaks makes the search for secrets in repositories. It reads in a child
// process: this binary again, as the user who runs other people's code where there
// is one.
func (a *App) makeLeaks() error {
	cfg := a.config.Load()
	credential, err := credentialOf(cfg.RunAs)
	if err != nil {
		return err
	}
	scanner, err := scan.NewScanner(scan.Config{Command: []string{a.opts.Self, scan.Command}, Credential: credential})
	if err != nil {
		return err
	}
	c := leaks.Config{
		Gate: a.gate, Runs: a.runs, Catalog: a.catalog, Scanner: scanner, Findings: a.modules.security, MAC: a.sealer.MAC,
		Databases: known{a.databases}, MayTry: func() bool { return a.config.Load().SecretScan.Try }, Log: a.log,
	}
	c.Scanned = func(ctx context.Context, s leaks.Scanned) error {
		return a.modules.security.Scanned(ctx, security.Scan{
			Repo: s.Repo.String(), Commit: s.Commit, Rules: fmt.Sprintf("%s (%d)", scan.Version, s.Rules), At: s.At, Failure: s.Failure,
		})
	}
	if a.providers.Histories != nil && a.opts.Self != "" && !cfg.SecretScan.Off {
		c.Source = a.providers.Histories
	}
	a.modules.leaks, err = leaks.New(c)
	return err
}

// credentialOf is the user of a name; nil for our own, and where we may not become
// another one.
func credentialOf(name string) (*syscall.Credential, error) {
	if name == "" || os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, nightporter.Wrap(err, nightporter.Invalid, "there is no user %q", name)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: false}, nil
}

// known are the databases that are mounted here, for what a scan found.
type known struct{ e *database.Engine }

func (k known) Try(ctx context.Context, login scan.Login, password string) ([]leaks.Tried, error) {
	switch login.Kind {
	case "", "postgres", "mysql":
	default:
		return nil, nil // of a kind that nobody mounts here
	}
	tried, err := k.e.TryLeak(ctx, database.Leak{Kind: login.Kind, User: login.User, Password: password, Database: login.Database})
	out := make([]leaks.Tried, len(tried))
	for i, t := range tried {
		out[i] = leaks.Tried(t)
	}
	return out, err
}

func (k known) Repair(ctx context.Context, name, user string) (leaks.Repaired, error) {
	r, err := k.e.RepairLeak(ctx, name, user)
	return leaks.Repaired(r), err
}
