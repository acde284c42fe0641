package cli

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

func (c *CLI) roleCommands() *cobra.Command {
	return noun("role", "What logins somebody may ask for",
		`  nightporter secret role add ledger --db ledger --grant-role ledger_app --ttl 1h --max-ttl 24h
  nightporter secret role list`,
		c.roleAdd(), c.roleList())
}

func (c *CLI) roleAdd() *cobra.Command {
	var r client.Role
	var mount, file, grant string
	var ttl, limit time.Duration
	strict := false
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Say how logins of a role are made",
		Long: `--grant-role makes logins members of a role of the database, which has the grants:
that costs the database nothing for each login. --statements has statements of your
own, with {{name}}, {{password}} and {{expiration}}. The server tries the role: one
login is made, used and taken away. What goes wrong is a warning, and with --strict
an error. A role that is there is written anew.`,
		Example: `  nightporter secret role add ledger --db ledger --grant-role ledger_app --ttl 1h --max-ttl 24h
  nightporter secret role add report --db ledger --statements report.sql --strict`,
		Args: takes(1, 1), ValidArgsFunction: c.names(c.roleNames(&mount)),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Name = args[0]
			switch {
			case (file == "") == (grant == ""):
				return usage("how are logins made?").hint("--grant-role ROLE, or --statements FILE")
			case ttl%time.Second != 0 || limit%time.Second != 0 || ttl < 0 || limit < 0:
				return usage("--ttl and --max-ttl must be whole seconds")
			case limit > 0 && ttl > limit:
				return usage("--ttl %s is longer than --max-ttl %s", ttl, limit)
			}
			r.DefaultTTL, r.MaxTTL = int64(ttl/time.Second), int64(limit/time.Second)
			api, err := c.api()
			if err != nil {
				return err
			}
			if file != "" {
				b, err := c.readFileOrStdin(file)
				if err != nil {
					return err
				}
				if strings.TrimSpace(string(b)) == "" {
					return usage("%s is empty", file)
				}
				r.Creation = []string{string(b)}
			} else {
				d, err := api.Database(cmd.Context(), mount, r.Database)
				if nightporter.CodeOf(err) == nightporter.NotFound {
					return failed("there is no database %s", r.Database).hint("nightporter secret db list")
				}
				if err != nil {
					return err
				}
				if r.Creation, err = memberOf(d.Plugin, grant); err != nil {
					return err
				}
			}
			try := client.TryAndWarn
			if strict {
				try = client.TryOrRefuse
			}
			warnings, err := api.PutRole(cmd.Context(), mount, r, try)
			if err != nil {
				return err
			}
			c.warn(warnings)
			c.sayf("Role %s is written.", clean(r.Name))
			c.next("nightporter secret exec " + r.Name + " -- COMMAND")
			return nil
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&r.Database, "db", "", "the `database` that the logins are made in")
	f.StringVar(&grant, "grant-role", "", "the `role` of the database that logins become members of")
	f.StringVar(&file, "statements", "", "`file` with the statements that make a login, - for stdin")
	f.DurationVar(&ttl, "ttl", time.Hour, "how `long` a login lives unless it is renewed")
	f.DurationVar(&limit, "max-ttl", 24*time.Hour, "how `long` it can be renewed")
	f.BoolVar(&strict, "strict", false, "refuse a role that does not work")
	c.flagMount(cmd, &mount)
	_ = cmd.MarkFlagRequired("db")
	c.flagNames(cmd, "db", c.databaseNames(&mount))
	return cmd
}

// roleName is a name that needs no thought about quotes.
var roleName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$-]{0,62}$`)

// memberOf are statements that make a login which is a member of a role.
func memberOf(plugin, role string) ([]string, error) {
	if !roleName.MatchString(role) {
		return nil, usage("--grant-role %q is no plain name of a role", role).hint("write the statements yourself: --statements FILE")
	}
	if strings.HasPrefix(plugin, "mysql") {
		return []string{
			"CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'",
			"GRANT `" + role + "` TO '{{name}}'@'%'",
			// MariaDB says FOR, which MySQL reads as a comment; MySQL says TO, which
			// MariaDB does: it leaves comments for MySQL 5.7 to 9.99 out.
			"SET DEFAULT ROLE `" + role + "` /*M! FOR */ /*!80000 TO */ '{{name}}'@'%'",
		}, nil
	}
	return []string{`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' IN ROLE "` + role + `"`}, nil
}

func (c *CLI) roleList() *cobra.Command {
	mount := ""
	cmd := &cobra.Command{
		Use: "list", Short: "The roles that logins can be asked for",
		Example: "  nightporter secret role list\n  nightporter secret role list --json",
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			names, err := api.RoleNames(cmd.Context(), mount)
			if err != nil {
				return err
			}
			roles := make([]client.Role, len(names))
			for i, name := range names {
				roles[i], err = api.Role(cmd.Context(), mount, name)
				// Who may list roles need not be allowed to read each.
				if code := nightporter.CodeOf(err); err != nil && code != nightporter.Denied && code != nightporter.NotFound {
					return err
				}
			}
			return printList(c, roles, "There are no roles. Add one with: nightporter secret role add NAME --db DATABASE",
				[]column{{head: "Role"}, {head: "Database"}, {head: "TTL", right: true}, {head: "Max TTL", right: true}, {head: "Made by", spare: 1}},
				func(r client.Role) []cell {
					return []cell{{clean(r.Name), strong}, text(r.Database), text(seconds(r.DefaultTTL)), text(seconds(r.MaxTTL)), dim(cut(strings.Join(strings.Fields(strings.Join(r.Creation, "; ")), " "), 60))}
				})
		},
	}
	c.flagMount(cmd, &mount)
	return cmd
}

// seconds writes a number of seconds as people say it; "" for none.
func seconds(n int64) string {
	if n == 0 {
		return ""
	}
	d := time.Duration(n) * time.Second
	switch {
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}
