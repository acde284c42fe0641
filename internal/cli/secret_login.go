package cli

import (
	"net/url"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter/client"
)

func (c *CLI) secretLogin() *cobra.Command {
	mount, show := "", false
	cmd := &cobra.Command{
		Use: "login DATABASE", Short: "A login of your own, for an hour: opens psql, or is printed",
		Long: `At a terminal psql is opened, when it is installed and the database is PostgreSQL;
the login is revoked when psql ends. Elsewhere, and with --print, the login is
printed and lasts for its hour.`,
		Example: `  nightporter secret login ledger-prod
  nightporter secret login ledger-prod --print --json`,
		Args: takes(1, 1), ValidArgsFunction: c.names(c.databaseNames(&mount)),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			secret, err := api.ReadSecret(cmd.Context(), c.path(mount, "login", args[0]))
			if err != nil {
				return err
			}
			l, err := readLogin(secret)
			if err != nil {
				return err
			}
			if psql, env := c.opens(l); psql != "" && !show && !c.json {
				defer c.endLease(cmd.Context(), api, secret.LeaseID)
				child := exec.Command(psql)
				child.Env = append(c.childEnv(names(env)...), env...)
				c.sayf("You are %s in %s.", clean(l.Username), clean(args[0]))
				return c.runChild(cmd.Context(), child)
			}
			return c.printLogin(secret, l)
		},
	}
	c.flagMount(cmd, &mount)
	cmd.Flags().BoolVar(&show, "print", false, "print the login instead of opening psql")
	return cmd
}

func (c *CLI) printLogin(s *client.Secret, l login) error {
	ends := c.cfg.Now().Add(s.TTL())
	if c.json {
		return c.printJSON(struct {
			login
			LeaseID   string `json:"lease_id"`
			ExpiresAt string `json:"expires_at"`
		}{l, s.LeaseID, ends.UTC().Format("2006-01-02T15:04:05Z")})
	}
	pairs(c.cfg.Stdout, c.out,
		[2]string{"Username", clean(l.Username)}, [2]string{"Password", l.Password}, [2]string{"Address", clean(l.ConnectionURL)},
		[2]string{"Lease", clean(s.LeaseID)}, [2]string{"Expires", c.stamp(ends)})
	c.sayf("End it earlier with: nightporter secret lease revoke %s", clean(s.LeaseID))
	return nil
}

// opens is the program that opens a database, with what it needs in its
// environment; "" when there is nobody to look at it, or no such program.
func (c *CLI) opens(l login) (program string, env []string) {
	if !c.canAsk() || !c.out.terminal || !strings.HasPrefix(l.Plugin, "postgres") {
		return "", nil
	}
	env = psqlEnv(l)
	if env == nil {
		return "", nil
	}
	program, err := exec.LookPath("psql")
	if err != nil {
		return "", nil
	}
	return program, env
}

// psqlEnv says with libpq's variables where a database is and who we are there, so
// that nothing is an argument; nil when the address cannot be read.
func psqlEnv(l login) []string {
	address := strings.NewReplacer("{{username}}", "u", "{{password}}", "p").Replace(l.ConnectionURL)
	where := map[string]string{}
	if scheme, _, isURL := strings.Cut(address, "://"); isURL {
		u, err := url.Parse(address)
		if err != nil || scheme != "postgres" && scheme != "postgresql" {
			return nil
		}
		where["host"], where["port"], where["dbname"] = u.Hostname(), u.Port(), strings.TrimPrefix(u.Path, "/")
		for key := range u.Query() {
			where[key] = u.Query().Get(key)
		}
	} else {
		for _, field := range strings.Fields(address) {
			key, value, _ := strings.Cut(field, "=")
			where[key] = strings.Trim(value, "'")
		}
	}
	if where["host"] == "" {
		return nil
	}
	env := []string{"PGUSER=" + l.Username, "PGPASSWORD=" + l.Password}
	for _, v := range [][2]string{{"PGHOST", "host"}, {"PGPORT", "port"}, {"PGDATABASE", "dbname"}, {"PGSSLMODE", "sslmode"}, {"PGSSLROOTCERT", "sslrootcert"}} {
		if value := where[v[1]]; value != "" {
			env = append(env, v[0]+"="+value)
		}
	}
	return env
}

func names(env []string) []string {
	return mapped(env, func(kv string) string { name, _, _ := strings.Cut(kv, "="); return name })
}
