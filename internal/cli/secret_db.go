package cli

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

func (c *CLI) databaseCommands() *cobra.Command {
	return noun("db", "The databases that logins are made in",
		`  nightporter secret db add ledger --plugin postgresql --url 'postgresql://{{username}}:{{password}}@db/ledger' --username porter
  nightporter secret db check ledger
  nightporter secret db list`,
		c.databaseAdd(), c.databaseList(), c.databaseCheck(), c.databaseRotate())
}

// plugins are the short names of Vault's plugins.
var plugins = map[string]string{"postgresql": "postgresql-database-plugin", "mysql": "mysql-database-plugin"}

func (c *CLI) databaseAdd() *cobra.Command {
	var d client.DatabaseConfig
	var secret secretInput
	var mount, environment string
	replace := false
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Name a database and the administrator who makes logins in it",
		Long: `The password is read from --password-file, from stdin, or asked for at a terminal.
It is never an argument, because other people on the machine see those. The server
logs in before it keeps anything.`,
		Example: `  nightporter secret db add ledger --plugin postgresql --url 'postgresql://{{username}}:{{password}}@db/ledger' --username porter
  pass porter | nightporter secret db add ledger --plugin mysql --url '{{username}}:{{password}}@tcp(db:3306)/ledger' --username porter
  nightporter secret db add ledger-dev --plugin postgresql --url 'postgresql://{{username}}:{{password}}@dev/ledger' --username porter --role ledger --role report --environment dev`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			plugin := first(plugins[d.Plugin], d.Plugin)
			if !slices.Contains(slices.Collect(maps.Values(plugins)), plugin) {
				return usage("--plugin must be postgresql or mysql").hint("%s", cmd.UseLine())
			}
			d.Plugin = plugin
			if err := checkURL(d); err != nil {
				return err
			}
			if len(d.AllowedRoles) == 0 {
				d.AllowedRoles = []string{name}
			}
			secret.stdin = secret.stdin || secret.file == "" && !c.canAsk()
			password, err := c.readSecret(secret, "password")
			if err != nil {
				return err
			}
			d.Password = password
			api, err := c.api()
			if err != nil {
				return err
			}
			if !replace {
				// Who may write it and not read it is believed that it is new.
				if _, err := api.Database(cmd.Context(), mount, name); err == nil {
					return failed("there is a database %s already", name).hint("add --replace to write it anew; its roles and logins stay")
				} else if code := nightporter.CodeOf(err); code != nightporter.NotFound && code != nightporter.Denied {
					return err
				}
			}
			warnings, err := api.PutDatabase(cmd.Context(), mount, name, d)
			if err != nil {
				return err
			}
			c.warn(warnings)
			c.sayf("Database %s is written: %s logged in. Roles that may use it: %s.", clean(name), clean(d.Username), clean(strings.Join(d.AllowedRoles, ", ")))
			c.bindTo(cmd.Context(), api, strings.Trim(mount, "/")+"/"+name, environment)
			c.next("nightporter secret role add "+d.AllowedRoles[0]+" --db "+name+" --grant-role ROLE", "nightporter secret db rotate "+name)
			return nil
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&d.Plugin, "plugin", "", "`postgresql or mysql`, which is MariaDB too")
	f.StringVar(&d.URL, "url", "", "the `address`, with {{username}} and {{password}} where those belong")
	f.StringVar(&d.Username, "username", "", "the administrator's `name` in the database")
	secret.flags(cmd, "password")
	f.StringArrayVar(&d.AllowedRoles, "role", nil, "a `role` that may use it, * for all; may be repeated (default NAME)")
	f.StringVar(&environment, "environment", "", "the `environment` that it lives and sleeps with; says what to write into the configuration")
	f.BoolVar(&replace, "replace", false, "write one anew that is there")
	c.flagMount(cmd, &mount)
	for _, name := range []string{"plugin", "url", "username"} {
		_ = cmd.MarkFlagRequired(name)
	}
	c.flagNames(cmd, "environment", environmentNames)
	_ = cmd.RegisterFlagCompletionFunc("plugin", cobra.FixedCompletions([]string{"postgresql", "mysql"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// ownPassword finds a password that stands in an address itself.
var ownPassword = regexp.MustCompile(`(?i)^(?:[a-z]+://)?[^:@/]*:([^@]+)@|\bpassword\s*=\s*('[^']*'|[^\s&]+)`)

// checkURL refuses an address that cannot be used, and one that holds a password:
// it was an argument, and the password cannot be rotated there.
func checkURL(d client.DatabaseConfig) error {
	for _, m := range ownPassword.FindAllStringSubmatch(d.URL, -1) {
		if password := m[1] + m[2]; password != "{{password}}" {
			return usage("--url holds a password").hint("write {{password}} in its place, and give the password on stdin or with --password-file")
		}
	}
	if !strings.Contains(d.URL, "{{username}}") || !strings.Contains(d.URL, "{{password}}") {
		return usage("--url must say where {{username}} and {{password}} belong").hint("%s", map[string]string{
			plugins["postgresql"]: "postgresql://{{username}}:{{password}}@db.acme.test:5432/ledger", plugins["mysql"]: "{{username}}:{{password}}@tcp(db.acme.test:3306)/ledger",
		}[d.Plugin])
	}
	return nil
}

// bindTo says what ties a database to an environment: the configuration does.
func (c *CLI) bindTo(ctx context.Context, api *client.Client, database, environment string) {
	if environment == "" {
		return
	}
	if list, err := api.Databases(ctx); err == nil {
		for _, d := range list {
			if d.Database == database && d.Environment == environment {
				c.sayf("It belongs to %s: its logins end when that goes dark.", clean(environment))
				return
			}
		}
	}
	c.sayf("%s until the configuration says so, no night ends its logins. Add to nightporter.yaml, and send the server SIGHUP:", c.talk.paint(needs, "warning:"))
	c.sayf("  databases:\n    %s: {environment: %s}", clean(database), clean(environment))
}

// warn shows what the server warned of.
func (c *CLI) warn(warnings []string) {
	for _, w := range warnings {
		c.sayf("%s %s", c.talk.paint(needs, "warning:"), clean(w))
	}
}

// next suggests commands.
func (c *CLI) next(commands ...string) {
	for _, command := range commands {
		c.sayf("%s  %s", c.talk.paint(strong, "next:"), clean(command))
	}
}

func (c *CLI) databaseList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "The databases, how many can log in, and what is wrong",
		Example: "  nightporter secret db list\n  nightporter secret db list --json",
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := api.Databases(cmd.Context())
			if err != nil {
				return err
			}
			return printList(c, list, "There are no databases. Add one with: nightporter secret db add NAME",
				[]column{
					{head: "Database"},
					{head: "Plugin", spare: 3},
					{head: "Environment", spare: 2},
					{head: "Logins", right: true},
					{head: "Ending", right: true},
					{head: "Differ", right: true},
					{head: "Checked", spare: 1},
					{head: "State"},
				},
				func(d client.Database) []cell {
					state := cell{"ok", good}
					switch {
					case d.Dark:
						state = cell{"dark", quiet}
					case d.Trouble != "":
						state = cell{clean(d.Trouble), bad}
					case d.Findings > 0:
						state = cell{"differs from the leases", needs}
					}
					return []cell{
						{clean(d.Database), strong},
						dim(shortPlugin(d.Plugin)), text(d.Environment), text(fmt.Sprint(d.Logins)), text(fmt.Sprint(d.Ending)),
						text(fmt.Sprint(d.Findings)), text(first(c.since(d.ComparedAt), "never")), state,
					}
				})
		},
	}
}

func shortPlugin(plugin string) string { return strings.TrimSuffix(plugin, "-database-plugin") }

// stepNames are the steps of a check in a person's words.
var stepNames = map[string]string{"connect": "Log in", "login": "Make a login", "compare": "Compare"}

func (c *CLI) databaseCheck() *cobra.Command {
	mount := ""
	cmd := &cobra.Command{
		Use: "check NAME", Short: "Try whether a database can be worked with: exit 1 when it cannot",
		Long: `Logs in as the administrator; makes a login, uses it and takes it away; compares
the logins with the leases. What is found is repaired as it is every hour.`,
		Example: "  nightporter secret db check ledger\n  nightporter secret db check ledger --json",
		Args:    takes(1, 1), ValidArgsFunction: c.names(c.databaseNames(&mount)),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			check, err := api.CheckDatabase(cmd.Context(), mount, args[0])
			if err != nil {
				return err
			}
			if c.json {
				err = c.printJSON(check)
			} else {
				c.drawCheck(check)
			}
			if err != nil || check.OK {
				return err
			}
			return failed("%s cannot be worked with as it is", clean(check.Database)).hint("%s", checkHint(check))
		},
	}
	c.flagMount(cmd, &mount)
	return cmd
}

func (c *CLI) drawCheck(check *client.DatabaseCheck) {
	t := table{columns: []column{{head: "Step"}, {head: "State"}, {head: "Detail"}}}
	for _, s := range check.Steps {
		state := cell{"ok", good}
		if !s.OK {
			state = cell{"failed", bad}
		}
		t.add(cell{first(stepNames[s.Name], clean(s.Name)), strong}, state, text(s.Detail))
	}
	t.write(c.cfg.Stdout, c.out)
	c.printf("\n")
	list := [][2]string{{"Database", clean(check.Database)}, {"Compared", first(c.stamp(check.ComparedAt), "never")}}
	for _, kind := range []string{"orphan", "missing", "renamed", "foreign"} {
		list = append(list, [2]string{strings.ToUpper(kind[:1]) + kind[1:], fmt.Sprint(check.Found[kind])})
	}
	pairs(c.cfg.Stdout, c.out, append(list, [2]string{"Not repaired", fmt.Sprint(check.Unrepaired)})...)
}

// checkHint says what to do about the first step that failed.
func checkHint(check *client.DatabaseCheck) string {
	mysql := strings.HasPrefix(check.Plugin, "mysql")
	for _, s := range check.Steps {
		switch {
		case s.OK:
		case s.Name == "connect":
			return "check the address, the name and the password, and write them with: nightporter secret db add NAME --replace"
		case s.Name == "login" && mysql:
			return "the administrator needs CREATE USER, and SELECT on mysql.*: GRANT CREATE USER, RELOAD, PROCESS ON *.* TO …"
		case s.Name == "login":
			return "the administrator needs: ALTER ROLE … CREATEROLE; GRANT pg_signal_backend TO …; and ADMIN OPTION on the roles that logins get"
		}
	}
	return "nightporter secret orphans shows what differs"
}

func (c *CLI) databaseRotate() *cobra.Command {
	mount := ""
	var ask consent
	cmd := &cobra.Command{
		Use: "rotate NAME", Short: "Give the administrator a password that nobody knows",
		Long: `Both passwords are on record until the new one has logged in, so no crash locks
anybody out. What else uses the old password stops working.`,
		Example: "  nightporter secret db rotate ledger\n  nightporter secret db rotate ledger --yes",
		Args:    takes(1, 1), ValidArgsFunction: c.names(c.databaseNames(&mount)),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			who := "The administrator"
			if d, err := api.Database(cmd.Context(), mount, args[0]); err == nil {
				who = d.Username
			} else if nightporter.CodeOf(err) == nightporter.NotFound {
				return err
			}
			if err := c.agree(ask, who+" of "+args[0]+" gets a new password, which nobody can read. Whatever else uses the old one stops working."); err != nil {
				return err
			}
			if err := api.RotateDatabase(cmd.Context(), mount, args[0]); err != nil {
				return err
			}
			c.sayf("The password of %s is changed, and the new one has logged in.", clean(args[0]))
			return nil
		},
	}
	ask.flag(cmd)
	c.flagMount(cmd, &mount)
	return cmd
}

// databaseNames are the databases of a mount.
func (c *CLI) databaseNames(mount *string) func(context.Context, *client.Client) ([]string, error) {
	return func(ctx context.Context, api *client.Client) ([]string, error) {
		return api.ListSecrets(ctx, strings.Trim(*mount, "/")+"/config")
	}
}

// roleNames are the roles of a mount.
func (c *CLI) roleNames(mount *string) func(context.Context, *client.Client) ([]string, error) {
	return func(ctx context.Context, api *client.Client) ([]string, error) { return api.RoleNames(ctx, *mount) }
}
