package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

func (c *CLI) releaseFreeze() *cobra.Command {
	var ask consent
	until, reason := "", ""
	cmd := &cobra.Command{
		Use: "freeze ENVIRONMENT --until TIME --reason WHY", Short: "Let no deployment to an environment start until a time",
		Long: "Releases that are on their way wait, visibly, and go on by themselves when the\nfreeze ends. An approval and a rollback are still possible.",
		Example: `  nightporter release freeze prod --until "2026-12-28 08:00" --reason "holidays"
  nightporter release freeze prod --until 2h --reason "load test" --yes
  nightporter release freeze list`,
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
	cmd.AddCommand(c.releaseFreezes())
	return cmd
}

func (c *CLI) releaseFreezes() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "The freezes in force, and those that the configuration has for later",
		Example: `  nightporter release freeze list
  nightporter release freeze list --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := api.Freezes(cmd.Context())
			if err != nil {
				return err
			}
			columns := []column{{head: "Environment"}, {head: "State"}, {head: "From", spare: 1}, {head: "Until"}, {head: "By", spare: 2}, {head: "Reason"}}
			return printList(c, list, "Nothing is frozen.", columns, func(f client.Freeze) []cell {
				state := text("later")
				if f.InForce {
					state = text("frozen")
				}
				return []cell{{clean(f.Environment), strong}, state, dim(c.minute(f.From)), text(c.minute(f.Until)), dim(first(f.Person, "the configuration")), text(f.Reason)}
			})
		},
	}
}

// minute is a time to the minute, where people are.
func (c *CLI) minute(t time.Time) string {
	return t.In(c.cfg.Now().Location()).Format("2006-01-02 15:04")
}

// passing is the flag of the verbs that can pass a freeze.
type passing struct{ reason string }

func (p *passing) flag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.reason, "override-freeze", "", "deploy although the environment is frozen, for this `reason`; it is audited")
}

func (p *passing) with(ctx context.Context, cmd *cobra.Command) (context.Context, error) {
	if !cmd.Flags().Changed("override-freeze") {
		return ctx, nil
	}
	if strings.TrimSpace(p.reason) == "" {
		return ctx, usage("passing a freeze needs a reason").hint(`%s … --override-freeze "why it cannot wait"`, cmd.CommandPath())
	}
	return client.WithFreezeOverride(ctx, p.reason), nil
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

// frozenLine says that an environment is frozen.
func frozenLine(c *CLI, f client.Freeze) string {
	return fmt.Sprintf("%s is frozen until %s by %s: %s", f.Environment, c.minute(f.Until), first(f.Person, "the configuration"), f.Reason)
}
