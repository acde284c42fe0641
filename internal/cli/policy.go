package cli

import (
	"github.com/spf13/cobra"

	"nightporter.dev/nightporter/client"
)

func (c *CLI) policyCommands() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "The policies",
		Example: "  nightporter policy list",
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := api.Policies(cmd.Context())
			if err != nil {
				return err
			}
			return printList(c, list, "No policies.", []column{{head: "Policy"}, {head: "From"}}, func(p client.Policy) []cell {
				from := "people"
				if p.Generated {
					from = "the configuration"
				}
				return []cell{{clean(p.Name), strong}, dim(from)}
			})
		},
	}
	read := &cobra.Command{
		Use: "read NAME", Short: "The text of a policy",
		Example: "  nightporter policy read developer",
		Args:    takes(1, 1), ValidArgsFunction: c.names(policyNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			p, err := api.Policy(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(p)
			}
			c.printf("%s", p.Text)
			return nil
		},
	}
	write := &cobra.Command{
		Use: "write NAME FILE", Short: "Write a policy from a file, or from stdin with -",
		Example: `  nightporter policy write night-crew night-crew.hcl
  nightporter policy write night-crew - < night-crew.hcl`,
		Args: takes(2, 2), ValidArgsFunction: c.names(policyNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := c.readFileOrStdin(args[1])
			if err != nil {
				return err
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			if err := api.PutPolicy(cmd.Context(), args[0], string(b)); err != nil {
				return err
			}
			c.sayf("Policy %s is written. It holds from the next request on.", clean(args[0]))
			return nil
		},
	}
	var ask consent
	remove := &cobra.Command{
		Use: "delete NAME", Short: "Delete a policy",
		Example: "  nightporter policy delete night-crew",
		Args:    takes(1, 1), ValidArgsFunction: c.names(policyNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			if _, err := api.Policy(cmd.Context(), args[0]); err != nil {
				return err
			}
			if err := c.agree(ask, "Policy "+args[0]+" is deleted. Whoever has it loses what it grants, at once."); err != nil {
				return err
			}
			if err := api.DeletePolicy(cmd.Context(), args[0]); err != nil {
				return err
			}
			c.sayf("Deleted policy %s.", clean(args[0]))
			return nil
		},
	}
	ask.flag(remove)
	return noun("policy", "Who may do what", "  nightporter policy list\n  nightporter policy read developer", list, read, write, remove)
}

func (c *CLI) userCommands() *cobra.Command {
	var secret secretInput
	var policies []string
	set := &cobra.Command{
		Use: "set NAME", Aliases: []string{"add"}, Short: "Write a local user with a password",
		Long: "A user whose name stands under people in the configuration acts as that person.",
		Example: `  nightporter user set ana
  pass ana | nightporter user set ana --password-stdin`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := c.readSecret(secret, "password")
			if err != nil {
				return err
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			if err := api.SetUser(cmd.Context(), args[0], password, policies); err != nil {
				return err
			}
			c.sayf("%s can sign in now: nightporter login %s", clean(args[0]), clean(args[0]))
			return nil
		},
	}
	secret.flags(set, "password")
	set.Flags().StringArrayVarP(&policies, "policy", "p", nil, "a `policy` beside those of the roles; may be repeated")
	return noun("user", "Local users, who sign in with a password", "  nightporter user set ana", set)
}
