package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

func (c *CLI) releaseHold() *cobra.Command {
	reason := ""
	cmd := &cobra.Command{
		Use: "hold SERVICE --reason WHY", Short: "Keep a service's releases before production",
		Long:    "A hold is the only exception to \"on main means in production\". The board shows it\nuntil somebody ends it.",
		Example: `  nightporter release hold ledger --reason "migration waits for the auditors"`,
		Args:    takes(1, 1), ValidArgsFunction: c.names(serviceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needsReason(cmd, reason); err != nil {
				return err
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			if err := api.Hold(cmd.Context(), args[0], reason); err != nil {
				return err
			}
			c.sayf("%s is on hold. End it with: nightporter release unhold %s", clean(args[0]), clean(args[0]))
			return nil
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for everybody to read")
	return cmd
}

func needsReason(cmd *cobra.Command, reason string) error {
	if strings.TrimSpace(reason) != "" {
		return nil
	}
	return usage("this needs a reason").hint(`%s … --reason "why"`, cmd.CommandPath())
}

func (c *CLI) releaseUnhold() *cobra.Command {
	return &cobra.Command{
		Use: "unhold SERVICE", Short: "Let a service's releases go on",
		Example: `  nightporter release unhold ledger`,
		Args:    takes(1, 1), ValidArgsFunction: c.names(serviceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			if err := api.Unhold(cmd.Context(), args[0]); err != nil {
				return err
			}
			c.sayf("%s is not on hold any more. What waits goes on by itself.", clean(args[0]))
			return nil
		},
	}
}
