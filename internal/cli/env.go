package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

func (c *CLI) envCommands() *cobra.Command {
	cmd := noun("env", "Where services run", `  nightporter env status
  nightporter env up dev
  nightporter env keep dev --until 23:00 --reason "load test"`,
		c.envStatus(), c.envSchedule(), c.envUp(), c.envDown(), c.envKeep(), c.envUnkeep(), c.envDrill(), c.envDrills(), c.envRuns(), c.envSavings(), c.envPrices())
	cmd.Aliases = []string{"environment"}
	return cmd
}

func (c *CLI) envStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status [ENVIRONMENT]", Aliases: []string{"list"}, Short: "What the environments are, should be, and do next",
		Example: "  nightporter env status\n  nightporter env status dev\n  nightporter env status --json",
		Args:    takes(0, 1), ValidArgsFunction: c.names(environmentNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				d, err := api.Environment(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if c.json {
					return c.printJSON(d)
				}
				c.drawEnvironment(d)
				return nil
			}
			list, err := api.Environments(cmd.Context())
			if err != nil {
				return err
			}
			return printList(c, list, "No environments yet. Write the first one into nightporter.yaml, under environments.",
				[]column{{head: "Environment"}, {head: "Kind", spare: 2}, {head: "State"}, {head: "Schedule", spare: 3}, {head: "Next"}, {head: "Kept", spare: 1}},
				c.environmentRow)
		},
	}
}

func (c *CLI) environmentRow(e client.Environment) []cell {
	schedule := dim("always on")
	if e.Schedule != "" {
		schedule = text(e.Schedule + " " + e.Timezone)
	}
	kind := text(string(e.Kind))
	if e.Kind == nightporter.Production {
		kind.meaning = strong
	}
	return []cell{{clean(e.Name), strong}, kind, c.environmentState(e), schedule, text(c.edge(e.Next, e.Timezone)), text(c.kept(e.Override, e.Timezone))}
}

// environmentState is what was last seen. What nobody manages has no state, which
// is not the same as an unknown one.
func (c *CLI) environmentState(e client.Environment) cell {
	if e.State == "" {
		return dim("not managed")
	}
	return c.out.state(e.State)
}

func (c *CLI) edge(e *client.Edge, zone string) string {
	if e == nil {
		return ""
	}
	return e.State + " " + c.moment(e.At, zone)
}

func (c *CLI) kept(o *client.Override, zone string) string {
	if o == nil {
		return ""
	}
	return fmt.Sprintf("%s until %s by %s", o.State, c.moment(o.Until, zone), o.Person)
}

// moment is a time where an environment is, because its schedule is written in
// that zone; where the reader is when the zone is unknown here.
func (c *CLI) moment(t time.Time, zone string) string {
	if t.IsZero() {
		return ""
	}
	where := c.cfg.Now().Location()
	if zone != "" {
		if l, err := time.LoadLocation(zone); err == nil {
			where = l
		}
	}
	return t.In(where).Format("Mon 2 Jan 15:04 MST")
}

func (c *CLI) drawEnvironment(d *client.EnvironmentDetail) {
	c.printf("%s  %s\n\n", c.out.paint(strong, clean(d.Name)), c.painted(c.environmentState(d.Environment)))
	wants := d.Desired
	if d.Because != "" {
		wants += ", because " + d.Because
	}
	next := make([]string, len(d.Edges))
	for i := range d.Edges {
		next[i] = c.edge(&d.Edges[i], d.Timezone)
		if s := d.Edges[i].StartsAt; !s.IsZero() {
			next[i] += " (begins " + c.moment(s, d.Timezone) + ")"
		}
	}
	kept := c.kept(d.Override, d.Timezone)
	if kept != "" {
		kept += ": " + d.Override.Reason
	}
	failures := ""
	if d.Failures > 0 {
		failures = count(d.Failures, "time") + " in a row"
	}
	pairs(c.cfg.Stdout, c.out,
		[2]string{"Kind", clean(string(d.Kind))}, [2]string{"Message", clean(d.Message)}, [2]string{"Since", c.moment(d.Since, d.Timezone)},
		[2]string{"Observed", c.observed(d.ObservedAt)}, [2]string{"Should be", clean(wants)}, [2]string{"Kept", clean(kept)},
		[2]string{"Schedule", clean(first(strings.TrimSpace(d.Schedule+" "+d.Timezone), "always on"))}, [2]string{"Next", clean(strings.Join(next, "; "))},
		[2]string{"Code", clean(strings.TrimSpace(d.Repo + " " + d.Dir))}, [2]string{"Commit", clean(d.Commit)}, [2]string{"Last good", clean(d.GoodCommit)},
		[2]string{"Run", clean(d.Run)}, [2]string{"Failed", failures}, [2]string{"Tried again", c.stamp(d.NotBefore)},
		[2]string{"Rehearsed", c.moment(d.RehearsedAt, d.Timezone)}, [2]string{"Spared until", c.moment(d.SparedUntil, d.Timezone)},
		[2]string{"Recovery", clean(c.recovery(d.Recovery))})
	if d.Work != nil {
		c.printf("\n")
		c.drawSteps(d.Work)
	}
}

func (c *CLI) observed(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return c.since(t)
}

// recovery sums up the last rebuilds; nothing when there were none.
func (c *CLI) recovery(r client.Recovery) string {
	if r.Drills == 0 {
		return ""
	}
	text := fmt.Sprintf("%d of the last %s came back", r.Passed, count(r.Drills, "rebuild"))
	if r.P50 != "" {
		text += ", half of them within " + r.P50
	}
	if r.P95 != "" {
		text += ", 95 % within " + r.P95
	}
	if r.Budget != "" {
		text += ", allowed are " + r.Budget
	}
	return text
}

func (c *CLI) envSchedule() *cobra.Command {
	after, n := "", 10
	cmd := &cobra.Command{
		Use: "schedule ENVIRONMENT", Short: "When an environment goes on and off next",
		Example: `  nightporter env schedule dev
  nightporter env schedule dev --after 2026-12-24 --count 4 --json`,
		Args: takes(1, 1), ValidArgsFunction: c.names(environmentNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if n < 1 || n > 1000 {
				return usage("--count must be a number from 1 to 1000")
			}
			from, err := c.parseInstant("after", after)
			if err != nil {
				return err
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := api.Schedule(cmd.Context(), args[0], from, n)
			if err != nil {
				return err
			}
			zone := ""
			if !c.json {
				d, err := api.Environment(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				zone = d.Timezone
			}
			return printList(c, list, "It never switches after that.", []column{{head: "At"}, {head: "State"}, {head: "Rebuild begins"}},
				func(e client.Edge) []cell {
					return []cell{text(c.moment(e.At, zone)), c.out.state(e.State), dim(c.moment(e.StartsAt, zone))}
				})
		},
	}
	cmd.Flags().StringVar(&after, "after", "", "only later than this `time`: a date, a date and time, or RFC 3339 (default now)")
	cmd.Flags().IntVar(&n, "count", n, "how `many`")
	return cmd
}

// parseInstant reads a time that may have passed; "" is the zero time.
func (c *CLI) parseInstant(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, c.cfg.Now().Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usage("--%s: %q is not a time", flag, s).hint(`write 2026-12-24, "2026-12-24 18:00" or 2026-12-24T18:00:00Z`)
}

func (c *CLI) envRuns() *cobra.Command {
	limit := 20
	cmd := &cobra.Command{
		Use: "runs ENVIRONMENT", Short: "The nights and mornings of an environment, newest first",
		Example: "  nightporter env runs dev\n  nightporter env runs dev --limit 5 --json",
		Args:    takes(1, 1), ValidArgsFunction: c.names(environmentNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 || limit > 50 {
				return usage("--limit must be a number from 1 to 50")
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := api.Nights(cmd.Context(), args[0], limit)
			if err != nil {
				return err
			}
			return printList(c, list, clean(args[0])+" has no runs yet.",
				[]column{{head: "Run"}, {head: "Kind", spare: 2}, {head: "State"}, {head: "Began"}, {head: "Took", right: true}, {head: "By", spare: 3}, {head: "Message", spare: 1}},
				func(n client.Night) []cell {
					took := ""
					if !n.StartedAt.IsZero() && !n.FinishedAt.IsZero() {
						took = clockwise(n.FinishedAt.Sub(n.StartedAt))
					}
					message := n.Message
					if message == "" && n.Drill != nil {
						message = n.Drill.Reason
					}
					return []cell{{clean(n.ID), strong}, text(n.Kind), c.out.state(n.State), text(c.stamp(n.StartedAt)), text(took), text(n.Cause), dim(message)}
				})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "how `many`, 50 at most")
	return cmd
}
