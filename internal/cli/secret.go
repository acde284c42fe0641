package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter/client"
)

func (c *CLI) secretCommands() *cobra.Command {
	lease := noun("lease", "Who can log in to what, and until when",
		"  nightporter secret lease list\n  nightporter secret lease revoke database/creds/ledger/7QX4M2",
		c.leaseList(), c.leaseTree(), c.leaseRenew(), c.leaseRevoke())
	return noun("secret", "Logins to databases that end by themselves",
		`  nightporter secret exec ledger -- ./ledger
  nightporter secret login ledger-prod
  nightporter secret lease list`,
		c.secretExec(), c.secretLogin(), lease, c.roleCommands(), c.databaseCommands(), c.secretOrphans())
}

func (c *CLI) leaseList() *cobra.Command {
	var f client.LeaseFilter
	limit := 50
	cmd := &cobra.Command{
		Use: "list", Short: "Who can log in to what now, and until when",
		Example: `  nightporter secret lease list
  nightporter secret lease list --env dev --role ledger --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return usage("--limit must be at least 1")
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			f.PageSize = limit
			list, err := client.First(api.Leases(cmd.Context(), f), limit)
			if err != nil {
				return err
			}
			return printList(c, list, "Nobody has a login.",
				[]column{{head: "Lease"}, {head: "Database"}, {head: "Username", spare: 2}, {head: "Role", spare: 3}, {head: "Owner"}, {head: "State"}, {head: "Expires"}, {head: "Why", spare: 1}},
				func(l client.Lease) []cell {
					state := cell{clean(l.State), plain}
					why := text(l.Reason)
					if l.Error != "" {
						state.meaning, why = bad, cell{clean(l.Error), bad}
					}
					return []cell{{clean(l.ID), strong}, text(l.Database), text(l.Username), text(l.Role), text(l.Owner), state, text(c.stamp(l.ExpiresAt)), why}
				})
		},
	}
	cmd.Flags().StringVar(&f.Environment, "env", "", "only those of this `environment`")
	cmd.Flags().StringVar(&f.Role, "role", "", "only those of this `role`")
	cmd.Flags().StringVar(&f.Username, "username", "", "only the one with this `name` in the database")
	cmd.Flags().IntVar(&limit, "limit", limit, "how `many`")
	c.flagNames(cmd, "env", environmentNames)
	return cmd
}

func (c *CLI) leaseRenew() *cobra.Command {
	var increment time.Duration
	cmd := &cobra.Command{
		Use: "renew LEASE", Short: "Let a lease last longer, up to its maximum",
		Example: `  nightporter secret lease renew database/creds/ledger/7QX4M2
  nightporter secret lease renew database/creds/ledger/7QX4M2 --increment 30m`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if increment < 0 || increment%time.Second != 0 {
				return usage("--increment must be whole seconds")
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			s, err := api.RenewLease(cmd.Context(), args[0], increment)
			if err != nil {
				return err
			}
			c.warn(s.Warnings)
			if c.json {
				return c.printJSON(s)
			}
			c.printf("%s lasts until %s.\n", clean(s.LeaseID), c.stamp(c.cfg.Now().Add(s.TTL())))
			return nil
		},
	}
	cmd.Flags().DurationVar(&increment, "increment", 0, "how `long` from now (default as long as it was first given)")
	return cmd
}

func (c *CLI) leaseRevoke() *cobra.Command {
	var ask consent
	cmd := &cobra.Command{
		Use: "revoke LEASE", Short: "End a lease: its login is taken away",
		Example: `  nightporter secret lease revoke database/creds/ledger/7QX4M2
  nightporter secret lease revoke database/creds/ledger/7QX4M2 --yes`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			if err := c.agree(ask, "The login of "+args[0]+" is taken away, and what is connected with it is cut off."); err != nil {
				return err
			}
			if err := api.RevokeLease(cmd.Context(), args[0]); err != nil {
				return err
			}
			c.sayf("Revoked %s.", clean(args[0]))
			return nil
		},
	}
	ask.flag(cmd)
	return cmd
}

func (c *CLI) secretOrphans() *cobra.Command {
	mount := ""
	cmd := &cobra.Command{
		Use: "orphans", Short: "Where the logins of databases differ from the leases",
		Example: "  nightporter secret orphans\n  nightporter secret orphans --mount database --json",
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := api.Orphans(cmd.Context(), mount)
			if err != nil {
				return err
			}
			return printList(c, list, "Databases and leases agree.",
				[]column{{head: "Database"}, {head: "Username"}, {head: "Kind"}, {head: "Detail", spare: 1}, {head: "Repaired"}, {head: "Seen", spare: 2}},
				func(o client.Orphan) []cell {
					repaired := text(o.Repaired)
					if o.Repaired == "" && o.Kind != "foreign" {
						repaired = cell{"not yet", needs}
					}
					return []cell{{clean(o.Database), strong}, text(o.Username), text(o.Kind), dim(o.Detail), repaired, text(c.stamp(o.LastSeen))}
				})
		},
	}
	c.flagMount(cmd, &mount)
	return cmd
}

func (c *CLI) flagMount(cmd *cobra.Command, mount *string) {
	cmd.Flags().StringVar(mount, "mount", "database", "where the databases are `mounted`")
}

// login is a name and a password that were made for us, and nothing that may be
// printed by accident.
type login struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	ConnectionURL string `json:"connection_url"`
	Plugin        string `json:"plugin_name"`
}

// String names the login without its password.
func (l login) String() string { return l.Username }

func readLogin(s *client.Secret) (login, error) {
	var l login
	if err := s.Decode(&l); err != nil {
		return l, err
	}
	if l.Username == "" || strings.ContainsRune(l.Username+l.Password, 0) {
		return l, failed("the server's answer holds no login")
	}
	return l, nil
}

func (c *CLI) path(mount, kind, name string) string {
	return fmt.Sprintf("%s/%s/%s", strings.Trim(mount, "/"), kind, name)
}
