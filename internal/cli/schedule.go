package cli

import (
	"time"

	"github.com/spf13/cobra"
)

func (c *CLI) scheduleCommands() *cobra.Command {
	if c.cfg.ScheduleNext == nil {
		return nil
	}
	var o ScheduleOptions
	after := ""
	next := &cobra.Command{
		Use: "next --windows WINDOWS --timezone ZONE", Short: "When a schedule switches, without a server",
		Example: `  nightporter schedule next --windows "Mon-Fri 07:00-21:00" --timezone Europe/London --count 4
  nightporter schedule next --windows "Mon-Fri 07:00-21:00" --timezone Europe/London --except 2026-12-25 --also "2026-12-19 09:00-17:00" --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.Windows == "":
				return usage("which windows?").hint(`--windows "Mon-Fri 07:00-21:00"`)
			case o.Timezone == "":
				return usage("in which time zone?").hint("--timezone Europe/London")
			case o.Count < 1 || o.Count > 10000:
				return usage("--count must be a number from 1 to 10000")
			}
			o.After = c.cfg.Now()
			if after != "" {
				t, err := time.Parse(time.RFC3339, after)
				if err != nil {
					return usage("%q is not a time", after).hint("--after 2026-03-29T00:00:00Z")
				}
				o.After = t
			}
			list, err := c.cfg.ScheduleNext(cmd.Context(), o)
			if err != nil {
				return err
			}
			zone, err := time.LoadLocation(o.Timezone)
			if err != nil {
				zone = time.UTC
			}
			return printList(c, list, "It never switches after that.", []column{{head: "At"}, {head: "State"}}, func(i ScheduleItem) []cell {
				return []cell{text(i.At.In(zone).Format("Mon 2006-01-02 15:04 MST")), c.out.state(i.State)}
			})
		},
	}
	next.Flags().SortFlags = false
	next.Flags().StringVar(&o.Windows, "windows", "", `when it is on: "Mon-Fri 07:00-21:00"`)
	next.Flags().StringVar(&o.Timezone, "timezone", "", "the time `zone` of the windows: Europe/London")
	next.Flags().StringArrayVar(&o.Except, "except", nil, "a `date` or calendar without windows; may be repeated")
	next.Flags().StringArrayVar(&o.Also, "also", nil, `a window of its own: "2026-12-19 09:00-17:00"; may be repeated`)
	next.Flags().StringVar(&after, "after", "", "only later than this `time`, in RFC 3339 (default now)")
	next.Flags().IntVar(&o.Count, "count", 10, "how `many`")
	return noun("schedule", "When environments are on", "  nightporter schedule next --windows \"Mon-Fri 07:00-21:00\" --timezone Europe/London", next)
}
