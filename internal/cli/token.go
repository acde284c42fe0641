package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter/client"
)

func (c *CLI) tokenCommands() *cobra.Command {
	return noun("token", "What programs and people prove themselves with",
		`  nightporter token whoami
  nightporter token create --name ci --policy developer --ttl 24h > token`,
		c.tokenCreate(), c.tokenRevoke(), c.tokenWhoami())
}

func (c *CLI) tokenCreate() *cobra.Command {
	var n client.NewToken
	cmd := &cobra.Command{
		Use: "create --name NAME", Short: "Make a token for a program; it is shown once",
		Long: "The token is a child of yours: it ends when yours does.",
		Example: `  nightporter token create --name "ci of ledger" --policy developer --ttl 720h > token
  nightporter token create --name dashboard --policy viewer --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n.DisplayName == "" {
				return usage("which program is it for?").hint("%s --name ci", cmd.CommandPath())
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			made, err := api.CreateToken(cmd.Context(), n)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(made)
			}
			// Alone on stdout, so that it can go straight into a file.
			c.printf("%s\n", made.Token)
			c.sayf("Accessor %s, %s. Revoke it with: nightporter token revoke %s", clean(made.Accessor), c.until(made.ExpiresAt), clean(made.Accessor))
			return nil
		},
	}
	cmd.Flags().StringVar(&n.DisplayName, "name", "", "the program that gets it, as the audit log will name it")
	cmd.Flags().StringArrayVarP(&n.Policies, "policy", "p", nil, "a `policy` that rules it; may be repeated")
	cmd.Flags().DurationVar(&n.TTL, "ttl", 0, "how `long` it lives (default: the server's)")
	c.flagNames(cmd, "policy", policyNames)
	return cmd
}

func (c *CLI) until(t time.Time) string {
	if t.IsZero() {
		return "never expires"
	}
	return "expires " + c.stamp(t)
}

func (c *CLI) tokenRevoke() *cobra.Command {
	var ask consent
	self := false
	cmd := &cobra.Command{
		Use: "revoke ACCESSOR", Short: "End a token and everything that was made with it",
		Example: `  nightporter token revoke 7QX4M2
  nightporter token revoke --self`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if self == (len(args) == 1) {
				return usage("which token?").hint("nightporter token revoke ACCESSOR, or --self")
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			plan, accessor := "", ""
			if self {
				me, err := api.Whoami(cmd.Context())
				if err != nil {
					return err
				}
				accessor, plan = me.Accessor, "Your own token ends, with every token and login that was made with it."
			} else {
				accessor = args[0]
				plan = "The token " + accessor + " ends, with every token and login that was made with it."
			}
			if err := c.agree(ask, plan); err != nil {
				return err
			}
			if err := api.RevokeToken(cmd.Context(), accessor); err != nil {
				return err
			}
			c.sayf("Revoked %s.", clean(accessor))
			return nil
		},
	}
	cmd.Flags().BoolVar(&self, "self", false, "the token that this command uses")
	ask.flag(cmd)
	return cmd
}

func (c *CLI) tokenWhoami() *cobra.Command {
	return &cobra.Command{
		Use: "whoami", Short: "Who the server takes you for",
		Example: "  nightporter token whoami\n  nightporter token whoami --json",
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			me, err := api.Whoami(cmd.Context())
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(me)
			}
			_, source, _ := c.token()
			pairs(c.cfg.Stdout, c.out,
				[2]string{"Name", clean(me.Name)}, [2]string{"Kind", clean(string(me.Kind))},
				[2]string{"Roles", clean(strings.Join(me.Roles, ", "))}, [2]string{"Policies", clean(strings.Join(me.Policies, ", "))},
				[2]string{"Accessor", clean(me.Accessor)}, [2]string{"Expires", first(c.stamp(me.ExpiresAt), "never")},
				[2]string{"Token from", source}, [2]string{"Server", api.Address()})
			return nil
		},
	}
}
