package cli

import (
	"time"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter/client"
)

func (c *CLI) envDrill() *cobra.Command {
	var wait patience
	of := "head"
	cmd := &cobra.Command{
		Use: "drill ENVIRONMENT", Short: "Build an environment beside itself, prove that it comes back, and clear it away",
		Long: "Builds an environment from its code under another name, with what was last captured of it, proves it good and takes the time. " +
			"Then it is cleared away. The environment itself is not touched. It has no services and no logins.",
		Example: `  nightporter env drill dev
  nightporter env drill dev --of good --detach`,
		Args: takes(1, 1), ValidArgsFunction: c.names(environmentNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if of != "head" && of != "good" {
				return usage("--of is head, which the next morning builds, or good, which last came up; not %q", of)
			}
			ctx := cmd.Context()
			api, err := c.api()
			if err != nil {
				return err
			}
			id, err := api.Drill(ctx, args[0], of)
			if err != nil {
				return err
			}
			if wait.detach {
				return c.stay(ctx, api, id, wait, 0)
			}
			work, err := c.follow(ctx, api, id, wait.timeout, 0)
			if err != nil {
				return err
			}
			if c.json || runError(work, "") != nil {
				return c.ended(ctx, api, work)
			}
			d, err := api.Environment(ctx, args[0])
			if err != nil {
				return err
			}
			for _, one := range d.Drills {
				if one.Run == work.ID {
					return c.drillSaid(d, one)
				}
			}
			return c.ended(ctx, api, work)
		},
	}
	cmd.Flags().StringVar(&of, "of", of, "which code: `head`, or good")
	_ = cmd.RegisterFlagCompletionFunc("of", cobra.FixedCompletions([]string{"head", "good"}, cobra.ShellCompDirectiveNoFileComp))
	wait.flags(cmd)
	return cmd
}

// drillSaid says what a drill showed. One that took too long has failed, although
// its run has not.
func (c *CLI) drillSaid(d *client.EnvironmentDetail, one client.Drill) error {
	if !one.Passed {
		return failed("%s would not come back: %s", d.Name, one.Failure).hint("nightporter run show %s", one.Run)
	}
	c.printf("%s comes back in %s. Nothing of the drill is left.\n", clean(d.Name), tookTo(one))
	return nil
}

func tookTo(d client.Drill) string {
	took := d.FinishedAt.Sub(d.StartedAt)
	if took < time.Minute {
		return took.Round(100 * time.Millisecond).String()
	}
	return took.Round(time.Second).String()
}

func (c *CLI) envDrills() *cobra.Command {
	return &cobra.Command{
		Use: "drills ENVIRONMENT", Short: "The last rebuilds of an environment and what they proved, newest first",
		Example: "  nightporter env drills dev\n  nightporter env drills dev --json",
		Args:    takes(1, 1), ValidArgsFunction: c.names(environmentNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			d, err := api.Environment(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return printList(c, d.Drills, clean(args[0])+" was not rebuilt yet. Try it beside itself with: nightporter env drill "+clean(args[0]),
				[]column{{head: "Ended"}, {head: "State"}, {head: "Took", right: true}, {head: "Commit"}, {head: "Where", spare: 2}, {head: "Message", spare: 1}, {head: "Run", spare: 3}},
				func(one client.Drill) []cell {
					state, where, message := "passed", "itself", one.Reason
					if !one.Passed {
						state, message = "failed", one.Failure
					}
					if one.Scratch != "" {
						where = one.Scratch
					}
					return []cell{text(c.stamp(one.FinishedAt)), c.out.state(state), text(tookTo(one)), text(one.Commit[:min(7, len(one.Commit))]), text(where), dim(message), dim(one.Run)}
				})
		},
	}
}
