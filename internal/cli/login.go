package cli

import (
	"github.com/spf13/cobra"
)

func (c *CLI) loginCommand() *cobra.Command {
	var secret secretInput
	link, show := false, false
	cmd := &cobra.Command{
		Use: "login NAME", Short: "Sign in, and keep the token for the next commands",
		Long: `The token goes to ~/.vault-token, where vault looks for one too. With --link a
browser on this machine is signed in instead: the link works once, for a minute.`,
		Example: `  nightporter login ana
  pass ana | nightporter login ana --password-stdin
  nightporter login ana --link`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, name := cmd.Context(), args[0]
			if link {
				api, err := c.api()
				if err != nil {
					return err
				}
				code, err := api.LoginCode(ctx, name)
				if err != nil {
					return err
				}
				if c.json {
					return c.printJSON(code)
				}
				c.printf("%s\n", clean(code.URL))
				return nil
			}
			password, err := c.readSecret(secret, "password")
			if err != nil {
				return err
			}
			api, err := c.apiWith("") // the old token has nothing to do with it
			if err != nil {
				return err
			}
			made, err := api.Login(ctx, name, password)
			if err != nil {
				return err
			}
			switch {
			case c.json:
				return c.printJSON(made)
			case show:
				c.printf("%s\n", made.Token)
				return nil
			}
			path, err := c.saveToken(made.Token)
			if err != nil {
				return err
			}
			c.sayf("Signed in as %s at %s; the token is in %s and %s.", clean(name), api.Address(), path, c.until(made.ExpiresAt))
			for _, variable := range []string{"NIGHTPORTER_TOKEN", "VAULT_TOKEN"} {
				if c.cfg.Env(variable) != "" {
					c.sayf("%s %s is set and comes before it.", c.talk.paint(needs, "warning:"), variable)
				}
			}
			return nil
		},
	}
	secret.flags(cmd, "password")
	cmd.Flags().BoolVar(&link, "link", false, "print a link that signs a browser in as NAME")
	cmd.Flags().BoolVar(&show, "print", false, "print the token instead of keeping it")
	return cmd
}
