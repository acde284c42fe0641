package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter"
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

func (c *CLI) releaseFreeze() *cobra.Command {
	var ask consent
	until, reason := "", ""
	cmd := &cobra.Command{
		Use: "freeze ENVIRONMENT --until TIME --reason WHY", Short: "Keep everything out of an environment until a time",
		Example: `  nightporter release freeze prod --until "2026-12-28 08:00" --reason "holidays"
  nightporter release freeze prod --until 2h --reason "load test" --yes`,
		Args: takes(1, 1), ValidArgsFunction: c.names(environmentNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needsReason(cmd, reason); err != nil {
				return err
			}
			if until == "" {
				return usage("until when?").hint("%s %s --until 18:00", cmd.CommandPath(), args[0])
			}
			end, err := parseUntil(until, c.cfg.Now())
			if err != nil {
				return err
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := api.Environments(cmd.Context())
			if err != nil {
				return err
			}
			for _, e := range list {
				if e.Name == args[0] && e.Kind == nightporter.Production {
					ask.name = e.Name
				}
			}
			when := end.In(c.cfg.Now().Location()).Format("Mon 2 Jan 2006 15:04 MST")
			if err := c.agree(ask, fmt.Sprintf("Nothing new enters %s until %s. Releases wait; a rollback is still possible.", args[0], when)); err != nil {
				return err
			}
			if err := api.Freeze(cmd.Context(), args[0], end, reason); err != nil {
				return err
			}
			c.sayf("%s is frozen until %s. End it with: nightporter release unfreeze %s", clean(args[0]), when, clean(args[0]))
			return nil
		},
	}
	cmd.Flags().StringVar(&until, "until", "", "the end: a `time` of day, a date and time, or how long")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for everybody to read")
	ask.flag(cmd)
	return cmd
}

func (c *CLI) releaseUnfreeze() *cobra.Command {
	return &cobra.Command{
		Use: "unfreeze ENVIRONMENT", Short: "End a freeze",
		Example: `  nightporter release unfreeze prod`,
		Args:    takes(1, 1), ValidArgsFunction: c.names(environmentNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			if err := api.Unfreeze(cmd.Context(), args[0]); err != nil {
				return err
			}
			c.sayf("%s is not frozen any more. What waits goes on by itself.", clean(args[0]))
			return nil
		},
	}
}
