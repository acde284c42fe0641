package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter/client"
)

func (c *CLI) envSavings() *cobra.Command {
	from, to := "", ""
	cmd := &cobra.Command{
		Use: "savings ENVIRONMENT", Short: "What the dark hours of an environment spared",
		Long: "Hours are observed, not read off the schedule. Money is counted by your own price\nlist; without one there are hours only.",
		Example: `  nightporter env savings dev
  nightporter env savings dev --from 2026-11-01 --to 2026-12-01 --json`,
		Args: takes(1, 1), ValidArgsFunction: c.names(environmentNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			begin, err := c.parseInstant("from", from)
			if err != nil {
				return err
			}
			end, err := c.parseInstant("to", to)
			if err != nil {
				return err
			}
			if !begin.IsZero() && !end.IsZero() && !begin.Before(end) {
				return usage("--from must be before --to")
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			s, err := api.Savings(cmd.Context(), args[0], begin, end)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(s)
			}
			c.drawSavings(s)
			return nil
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "the first `time` that counts: a date, a date and time, or RFC 3339 (default 30 days before the end)")
	cmd.Flags().StringVar(&to, "to", "", "the end (default now)")
	return cmd
}

func (c *CLI) drawSavings(s *client.Savings) {
	money := func(v float64) string {
		if s.Currency == "" {
			return ""
		}
		return fmt.Sprintf("%.2f %s", v, clean(s.Currency))
	}
	pairs(c.cfg.Stdout, c.out,
		[2]string{"From", c.stamp(s.From)}, [2]string{"To", c.stamp(s.To)},
		[2]string{"Dark", fmt.Sprintf("%.1f h in %s", s.Hours, count(s.Nights, "night"))},
		[2]string{"Scheduled", fmt.Sprintf("%.1f h", s.ScheduledHours)},
		[2]string{"At list price", money(s.AtListPrice)}, [2]string{"Cash, estimated", money(s.Cash)},
		[2]string{"Priced", fmt.Sprintf("%d of %s", s.Priced, count(s.Resources, "resource"))})
	if len(s.Items) > 0 {
		c.printf("\n")
		t := table{columns: []column{{head: "Item"}, {head: "Unit hours", right: true}, {head: "At list price", right: true}, {head: "Cash", right: true}, {head: "Price from", spare: 1}}}
		for _, i := range s.Items {
			price := text(strings.TrimSpace(i.Source + " " + i.AsOf))
			if i.Source == "" {
				price = cell{"no price", needs}
			}
			t.add(text(i.Key), text(fmt.Sprintf("%.1f", i.UnitHours)), text(money(i.AtListPrice)), text(money(i.Cash)), price)
		}
		t.write(c.cfg.Stdout, c.out)
	}
	if len(s.Notes) > 0 {
		c.printf("\n")
	}
	for _, n := range s.Notes {
		c.printf("%s\n", c.out.paint(quiet, clean(n)))
	}
}
