package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

// ending is when a wish ends, as the flag says it. The server reads times of day,
// in the environment's zone and by the schedules' clock, which may be a demo's.
func ending(s string) (until, span string) {
	if _, err := time.ParseDuration(s); err == nil {
		return "", s
	}
	return s, ""
}

const untilHelp = "the end: a `time` of day where the environment is, a date and time, or how long"

func (c *CLI) envUp() *cobra.Command {
	var wait patience
	until, reason := "", ""
	cmd := &cobra.Command{
		Use: "up ENVIRONMENT", Short: "Bring an environment up now; one that is up is repaired",
		Example: `  nightporter env up dev
  nightporter env up dev --until 23:00 --reason "late release" --detach`,
		Args: takes(1, 1), ValidArgsFunction: c.names(environmentNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			p := client.Press{Reason: reason}
			p.Until, p.For = ending(until)
			run, err := api.Up(cmd.Context(), args[0], p)
			if err != nil {
				return err
			}
			return c.arrive(cmd.Context(), api, arrival{args[0], "up", run}, wait)
		},
	}
	cmd.Flags().StringVar(&until, "until", "", untilHelp+" (default 2h)")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for everybody to read")
	wait.flags(cmd)
	return cmd
}

func (c *CLI) envDown() *cobra.Command {
	var wait patience
	var ask consent
	until, reason, destroy := "", "", 0
	cmd := &cobra.Command{
		Use: "down ENVIRONMENT", Short: "Tear an environment down now",
		Example: `  nightporter env down dev
  nightporter env down dev --until "2026-12-28 07:00" --reason "holidays" --yes`,
		Args: takes(1, 1), ValidArgsFunction: c.names(environmentNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if destroy < 0 {
				return usage("--destroy must not be negative")
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			d, err := api.Environment(ctx, args[0])
			if err != nil {
				return err
			}
			if d.Kind == nightporter.Production {
				ask.name = d.Name
			}
			if err := c.agree(ask, c.downPlan(d, until)...); err != nil {
				return err
			}
			p := client.Press{Reason: reason, Destroy: destroy}
			p.Until, p.For = ending(until)
			run, err := api.Down(ctx, args[0], p)
			if err != nil {
				return err
			}
			return c.arrive(ctx, api, arrival{args[0], "down", run}, wait)
		},
	}
	cmd.Flags().StringVar(&until, "until", "", untilHelp+" (default the next time its schedule has it on)")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for everybody to read")
	cmd.Flags().IntVar(&destroy, "destroy", 0, "allow so `many` resources to go, this once, although the configuration allows fewer")
	ask.flag(cmd)
	wait.flags(cmd)
	return cmd
}

// downPlan says what a tear-down does.
func (c *CLI) downPlan(d *client.EnvironmentDetail, until string) []string {
	plan := []string{fmt.Sprintf("%s is %s. What it runs is torn down, after what must be kept was captured.", d.Name, first(d.State, "not managed"))}
	switch {
	case until != "":
		plan = append(plan, "It stays down until "+until+"; then its schedule decides.")
	case d.Schedule == "":
		plan = append(plan, "It has no schedule: it stays down for a week, unless somebody brings it up.")
	default:
		for i := range d.Edges {
			if d.Edges[i].State == "on" {
				return append(plan, "It comes back "+c.moment(d.Edges[i].At, d.Timezone)+".")
			}
		}
	}
	return plan
}

// arrival is where a run should bring an environment.
type arrival struct {
	environment string
	state       string // up or down
	run         string
}

// arrive stays until the environment is where it should be. A run that went the
// other way turns round after its step, and another one begins: that is followed
// too.
func (c *CLI) arrive(ctx context.Context, api *client.Client, to arrival, wait patience) error {
	if wait.detach || to.run == "" {
		return c.stay(ctx, api, to.run, wait, 0)
	}
	ctx, cancel := within(ctx, wait.timeout)
	defer cancel()
	for {
		work, err := c.follow(ctx, api, to.run, 0, 0)
		if err != nil {
			return outOfTime(ctx, err, wait, to.run)
		}
		if !work.Over() || runError(work, "") != nil {
			return c.ended(ctx, api, work)
		}
		d, err := c.settled(ctx, api, to)
		if err != nil {
			return err
		}
		if d.Run != "" && d.Run != to.run {
			to.run = d.Run
			continue
		}
		if c.json {
			if err := c.printJSON(work); err != nil {
				return err
			}
		}
		if d.State != to.state {
			return failed("run %s is over, and %s is %s", work.ID, to.environment, d.State).hint("nightporter env status %s", to.environment)
		}
		if !c.json {
			c.printf("%s is %s.\n", clean(to.environment), to.state)
		}
		return nil
	}
}

func within(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, timeout)
}

// outOfTime says that the time ran out, which follow itself does not know when
// several runs share it.
func outOfTime(ctx context.Context, err error, wait patience, run string) error {
	if ctx.Err() != context.DeadlineExceeded {
		return err
	}
	return (&exit{code: exitTimedOut, message: fmt.Sprintf("not over after %s; the work goes on", wait.timeout)}).
		hint("follow it again with: nightporter run follow %s", run)
}

// settled looks at an environment whose run is over until it is where it should
// be, or another run begins. The server takes a moment for that.
func (c *CLI) settled(ctx context.Context, api *client.Client, to arrival) (*client.EnvironmentDetail, error) {
	for polls := settle; ; polls-- {
		d, err := api.Environment(ctx, to.environment)
		if err != nil || d.State == to.state || d.Run != "" && d.Run != to.run || polls <= 0 {
			return d, err
		}
		select {
		case <-ctx.Done():
			return d, nil
		case <-time.After(c.cfg.Poll):
		}
	}
}

func (c *CLI) envKeep() *cobra.Command {
	until, span, reason, state, off := "", "", "", "on", false
	cmd := &cobra.Command{
		Use: "keep ENVIRONMENT --until TIME --reason WHY", Short: "Keep an environment on, or off, whatever its schedule says",
		Example: `  nightporter env keep dev --until 23:00 --reason "load test"
  nightporter env keep dev --for 48h --off --reason "nobody is in"`,
		Args: takes(1, 1), ValidArgsFunction: c.names(environmentNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case until != "" && span != "":
				return usage("say --until or --for, not both")
			case until == "" && span == "":
				return usage("until when?").hint("%s %s --until 23:00", cmd.CommandPath(), args[0])
			case state != "on" && state != "off":
				return usage("an environment is kept on or off, not %q", state)
			}
			if off {
				state = "off"
			}
			if err := needsReason(cmd, reason); err != nil {
				return err
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			k := client.Keep{State: state, Reason: reason}
			k.Until, k.For = ending(first(until, span))
			o, err := api.Keep(cmd.Context(), args[0], k)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(o)
			}
			c.sayf("%s is kept %s until %s. End it with: nightporter env unkeep %s", clean(args[0]), clean(o.State), c.moment(o.Until, ""), clean(args[0]))
			return nil
		},
	}
	cmd.Flags().StringVar(&until, "until", "", untilHelp)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for everybody to read")
	cmd.Flags().StringVar(&span, "for", "", "how `long`, instead of --until: 2h")
	cmd.Flags().StringVar(&state, "state", state, "on or off")
	cmd.Flags().BoolVar(&off, "off", false, "the same as --state off")
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions([]string{"on", "off"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (c *CLI) envUnkeep() *cobra.Command {
	return &cobra.Command{
		Use: "unkeep ENVIRONMENT", Short: "Let the schedule of an environment decide again",
		Example: "  nightporter env unkeep dev",
		Args:    takes(1, 1), ValidArgsFunction: c.names(environmentNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			if err := api.Unkeep(cmd.Context(), args[0]); err != nil {
				return err
			}
			c.sayf("The schedule of %s decides again. See what it does with: nightporter env status %s", clean(args[0]), clean(args[0]))
			return nil
		},
	}
}
