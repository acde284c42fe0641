package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter/client"
)

func (c *CLI) serviceDora() *cobra.Command {
	window := ""
	cmd := &cobra.Command{
		Use: "dora SERVICE", Short: "How a service was delivered: DORA's five metrics",
		Long: "Each figure comes from what was deployed here. --json has the definition of each,\nand every row that it was computed from.",
		Example: `  nightporter service dora ledger
  nightporter service dora ledger --window 90d
  nightporter service dora ledger --json | jq .change_fail_rate`,
		Args: takes(1, 1), ValidArgsFunction: c.names(serviceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			d, err := api.Dora(cmd.Context(), args[0], window)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(d)
			}
			c.drawDora(d)
			return nil
		},
	}
	cmd.Flags().StringVar(&window, "window", "30d", "how far back: `30d`, 2w, 24h")
	return cmd
}

func (c *CLI) drawDora(d *client.Dora) {
	c.printf("%s\n\n", c.out.paint(strong, clean(fmt.Sprintf("%s, %s to %s", d.Service, c.minute(d.From), c.minute(d.To)))))
	t := table{columns: []column{{head: "Metric"}, {head: "Value", right: true}, {head: "From"}}}
	rate := func(name string, f client.Figure, value func(float64) string, of string) {
		t.add(text(name), cell{figure(f.Value, value), strong}, dim(of))
	}
	percent := func(v float64) string { return strconv.FormatFloat(100*v, 'f', 0, 64) + " %" }
	daily := func(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) + " a day" }
	share := func(f client.Figure) string {
		return fmt.Sprintf("%.0f of %s", f.Numerator, count(int(f.Denominator), "deployment"))
	}
	rate("Deployment frequency", d.DeploymentFrequency, daily, count(int(d.DeploymentFrequency.Numerator), "deployment"))
	rate("Change lead time", d.ChangeLeadTime, lasting, middleOf(d.ChangeLeadTime, "change"))
	rate("Change fail rate", d.ChangeFailRate, percent, share(d.ChangeFailRate))
	rate("Failed deployment recovery time", d.RecoveryTime, lasting, middleOf(d.RecoveryTime, "failed deployment"))
	rate("Deployment rework rate", d.ReworkRate, percent, share(d.ReworkRate))
	t.write(c.cfg.Stdout, c.out)
}

// figure is a value for people: one that nobody can know is not 0.
func figure(v *float64, write func(float64) string) string {
	if v == nil {
		return "–"
	}
	return write(*v)
}

func middleOf(f client.Figure, what string) string {
	of := count(int(f.Denominator), what)
	if f.P90 != nil {
		of = fmt.Sprintf("median of %s; nine of ten within %s", of, lasting(*f.P90))
	}
	return of
}

// lasting is a time in seconds as people say it: "3 h 20 min".
func lasting(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second)).Round(time.Second)
	parts := []struct {
		unit string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}}
	for i, p := range parts {
		if d < p.size && i < len(parts)-1 {
			continue
		}
		out := fmt.Sprintf("%d %s", d/p.size, p.unit)
		if i < len(parts)-1 {
			if rest := d % p.size / parts[i+1].size; rest > 0 {
				out += fmt.Sprintf(" %d %s", rest, parts[i+1].unit)
			}
		}
		return out
	}
	return ""
}

func (c *CLI) serviceIncidents() *cobra.Command {
	limit := 0
	list := &cobra.Command{
		Use: "list SERVICE", Short: "The incidents of a service, newest first",
		Example: "  nightporter service incident list ledger",
		Args:    takes(1, 1), ValidArgsFunction: c.names(serviceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := client.First(api.Incidents(cmd.Context(), args[0], limit), limit)
			if err != nil {
				return err
			}
			columns := []column{{head: "Incident"}, {head: "Opened"}, {head: "Closed"}, {head: "Cause", spare: 1}, {head: "Title"}}
			return printList(c, list, "No incidents.", columns, func(i client.Incident) []cell {
				closed := "open"
				if !i.ClosedAt.IsZero() {
					closed = c.minute(i.ClosedAt)
				}
				return []cell{dim(i.ID), text(c.minute(i.OpenedAt)), text(closed), dim(i.Cause), text(i.Title)}
			})
		},
	}
	limitFlag(list, &limit, 30)
	deployment := ""
	open := &cobra.Command{
		Use: "open SERVICE TITLE", Short: "Say that a service does not do what it should in production",
		Long: "It counts for the change fail rate and the recovery time of the deployment that\ncaused it: the newest one, unless you name another, or none.",
		Example: `  nightporter service incident open ledger "totals are wrong"
  nightporter service incident open ledger "the data centre is dark" --deployment none`,
		Args: takes(2, 2), ValidArgsFunction: c.names(serviceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			i, err := api.OpenIncident(cmd.Context(), args[0], args[1], deployment)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(i)
			}
			c.printf("%s\n", clean(i.ID))
			c.sayf("When it is over: nightporter service incident close %s %s", clean(args[0]), clean(i.ID))
			return nil
		},
	}
	open.Flags().StringVar(&deployment, "deployment", "", "the `id` of the deployment or release that caused it, or none (default the newest)")
	closing := &cobra.Command{
		Use: "close SERVICE ID", Short: "Say that the service does what it should again",
		Example: "  nightporter service incident close ledger inc_0660e007b2e256331ee0",
		Args:    takes(2, 2), ValidArgsFunction: c.names(serviceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			i, err := api.CloseIncident(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(i)
			}
			c.sayf("Closed after %s.", lasting(i.ClosedAt.Sub(i.OpenedAt).Seconds()))
			return nil
		},
	}
	return noun("incident", "When a service does not do what it should in production",
		"  nightporter service incident open ledger \"totals are wrong\"\n  nightporter service incident list ledger", list, open, closing)
}
