package cli

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter/client"
)

func (c *CLI) metricsCommands() *cobra.Command {
	return noun("metrics", "Workspaces of metrics, and what they say",
		`  nightporter metrics workspace list
  nightporter metrics query nightporter 'sum(rate(nightporter_http_requests_total[5m]))' --last 1h`,
		c.metricsWorkspace(), c.metricsQuery(), c.metricsDashboard(), c.metricsRules(), c.metricsAlerts())
}

func workspaceNames(ctx context.Context, api *client.Client) ([]string, error) {
	list, err := api.Workspaces(ctx)
	return mapped(list, func(w client.Workspace) string { return w.Name }), err
}

func (c *CLI) metricsWorkspace() *cobra.Command {
	return noun("workspace", "Isolated stores of metrics, each with its limits",
		`  nightporter metrics workspace list
  nightporter metrics workspace create search --retention 30d --limit active_series=200000
  nightporter metrics workspace show search`,
		c.workspaceList(), c.workspaceShow(), c.workspaceCreate(), c.workspaceSet(), c.workspaceDelete())
}

func (c *CLI) workspaceList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "The workspaces",
		Example: "  nightporter metrics workspace list",
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := api.Workspaces(cmd.Context())
			if err != nil {
				return err
			}
			return printList(c, list, "No workspaces that you may see.",
				[]column{{head: "Workspace"}, {head: "Keeps"}, {head: "Series", right: true}, {head: "Samples/s", right: true}, {head: "From", spare: 1}},
				func(w client.Workspace) []cell {
					return []cell{{clean(w.Name), strong}, text(w.Retention), text(limit(int64(w.Limits.ActiveSeries))), text(limit(int64(w.Limits.SamplesPerSecond))), dim(w.Source)}
				})
		},
	}
}

// limit is a limit for people.
func limit(n int64) string {
	if n == 0 {
		return "no limit"
	}
	return grouped(n)
}

// grouped writes 1234567 as 1,234,567.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func (c *CLI) workspaceShow() *cobra.Command {
	return &cobra.Command{
		Use: "show WORKSPACE", Short: "What a workspace uses of each limit, and what it refused",
		Example: "  nightporter metrics workspace show payments",
		Args:    takes(1, 1), ValidArgsFunction: c.names(workspaceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			w, err := api.Workspace(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(w)
			}
			c.drawWorkspace(w)
			return nil
		},
	}
}

func (c *CLI) drawWorkspace(w *client.Workspace) {
	c.printf("%s\n\n", c.out.paint(strong, clean(w.Name)))
	u := w.Usage
	if u == nil {
		u = &client.WorkspaceUsage{}
	}
	t := table{columns: []column{{head: "What"}, {head: "Now", right: true}, {head: "Limit", right: true}, {head: "Setting", spare: 1}}}
	row := func(what, now string, limit, setting string) { t.add(text(what), text(now), text(limit), dim(setting)) }
	l := w.Limits
	series := "closed"
	if u.Open {
		series = grouped(int64(u.ActiveSeries))
	}
	row("Active series", series, limit(int64(l.ActiveSeries)), "active_series")
	row("Samples a second", strconv.FormatFloat(u.SamplesPerSecond, 'f', 1, 64), limit(int64(l.SamplesPerSecond)), "samples_per_second")
	row("Bytes on disk", grouped(u.Bytes), limit(l.Bytes), "bytes")
	row("Queries", strconv.Itoa(u.Queries), limit(int64(l.QueryConcurrency)), "query_concurrency")
	row("Samples of a query", "", limit(int64(l.QuerySamples)), "query_samples")
	row("Time of a query", "", clean(l.QueryTimeout), "query_timeout")
	row("Labels of a series", "", limit(int64(l.Labels)), "labels")
	row("Kept", c.oldest(u.Oldest), clean(w.Retention), "retention")
	t.write(c.cfg.Stdout, c.out)
	if len(u.Refused) == 0 {
		c.printf("\nNothing was refused since the server started.\n")
		return
	}
	c.printf("\nRefused since the server started\n\n")
	r := table{columns: []column{{head: "Samples", right: true}, {head: "Reason"}, {head: "Sender"}, {head: "Newest", spare: 1}, {head: "What to do"}}}
	for _, refused := range u.Refused {
		r.add(text(grouped(int64(refused.Count))), cell{clean(refused.Reason), bad}, text(refused.Sender), dim(c.stamp(refused.At)), text(refused.Message))
	}
	r.write(c.cfg.Stdout, c.out)
}

func (c *CLI) oldest(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return "since " + c.minute(t)
}

// changeFlags are the flags that set a workspace's retention and limits.
func changeFlags(cmd *cobra.Command, retention *string, limits *[]string) {
	cmd.Flags().StringVar(retention, "retention", "", "how `long` samples are kept: 30d")
	cmd.Flags().StringArrayVar(limits, "limit", nil, "a `name=value`, such as active_series=200000; 0 is none; may be repeated")
}

func changeOf(retention string, limits []string) (client.WorkspaceChange, error) {
	change := client.WorkspaceChange{Retention: retention}
	for _, l := range limits {
		name, value, ok := strings.Cut(l, "=")
		if !ok {
			return change, usage("%q is not a limit", l).hint("--limit active_series=200000")
		}
		if change.Limits == nil {
			change.Limits = map[string]any{}
		}
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && name != "query_timeout" {
			change.Limits[name] = n
		} else {
			change.Limits[name] = value
		}
	}
	return change, nil
}

func (c *CLI) workspaceCreate() *cobra.Command {
	retention, limits := "", []string(nil)
	cmd := &cobra.Command{
		Use: "create WORKSPACE", Short: "Make a workspace",
		Example: "  nightporter metrics workspace create search\n  nightporter metrics workspace create search --retention 30d --limit active_series=200000",
		Args:    takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := changeOf(retention, limits)
			if err != nil {
				return err
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			w, err := api.CreateWorkspace(cmd.Context(), args[0], change)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(w)
			}
			c.sayf("Workspace %s is there. Make a token for its senders:\n  nightporter token create --name %s-agent --policy workspace-%s-write", clean(w.Name), clean(w.Name), clean(w.Name))
			return nil
		},
	}
	changeFlags(cmd, &retention, &limits)
	return cmd
}

func (c *CLI) workspaceSet() *cobra.Command {
	retention, limits := "", []string(nil)
	cmd := &cobra.Command{
		Use: "set WORKSPACE", Short: "Change how long it keeps samples, and its limits, at once",
		Example: "  nightporter metrics workspace set search --limit active_series=400000",
		Args:    takes(1, 1), ValidArgsFunction: c.names(workspaceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := changeOf(retention, limits)
			if err != nil {
				return err
			}
			if change.Retention == "" && change.Limits == nil {
				return usage("what should change?").hint("%s %s --limit active_series=400000", cmd.CommandPath(), args[0])
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			w, err := api.ChangeWorkspace(cmd.Context(), args[0], change)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(w)
			}
			c.sayf("Workspace %s has changed. See it: nightporter metrics workspace show %s", clean(w.Name), clean(w.Name))
			return nil
		},
	}
	changeFlags(cmd, &retention, &limits)
	return cmd
}

func (c *CLI) workspaceDelete() *cobra.Command {
	var k consent
	cmd := &cobra.Command{
		Use: "delete WORKSPACE", Short: "Delete a workspace with all its samples",
		Example: "  nightporter metrics workspace delete search",
		Args:    takes(1, 1), ValidArgsFunction: c.names(workspaceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			w, err := api.Workspace(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			k.name = w.Name
			plan := fmt.Sprintf("This deletes the workspace %s with all its samples. Nothing brings them back.", w.Name)
			if err := c.agree(k, plan); err != nil {
				return err
			}
			if err := api.DeleteWorkspace(cmd.Context(), w.Name); err != nil {
				return err
			}
			c.sayf("Workspace %s is gone.", clean(w.Name))
			return nil
		},
	}
	k.flag(cmd)
	return cmd
}

func (c *CLI) metricsQuery() *cobra.Command {
	last, step := time.Duration(0), time.Duration(0)
	cmd := &cobra.Command{
		Use: "query WORKSPACE EXPRESSION", Short: "Evaluate a PromQL expression",
		Long: "Without --last it is evaluated now. With it, a terminal gets a line of each series,\nand everything else every value.",
		Example: `  nightporter metrics query payments 'up'
  nightporter metrics query payments 'sum by (service) (rate(http_requests_total[5m]))' --last 6h
  nightporter metrics query payments 'up' --json | jq -r '.items[].labels.instance'`,
		Args: takes(2, 2), ValidArgsFunction: c.names(workspaceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			if last <= 0 {
				list, err := api.QueryMetrics(cmd.Context(), args[0], args[1], time.Time{})
				if err != nil {
					return err
				}
				return printList(c, list, noSeries, []column{{head: "Series"}, {head: "Value", right: true}}, func(s client.MetricSeries) []cell {
					return []cell{text(seriesName(s.Labels)), {value(s.Points[0].Value), strong}}
				})
			}
			width := c.chartWidth()
			if step <= 0 {
				step = max(last/time.Duration(width), time.Second)
			}
			end := time.Now().Truncate(time.Second)
			list, err := api.QueryMetricsRange(cmd.Context(), args[0], args[1], end.Add(-last), end, step)
			if err != nil {
				return err
			}
			if c.json || !c.out.terminal {
				return printList(c, list, noSeries, []column{{head: "Series"}, {head: "Values"}}, func(s client.MetricSeries) []cell {
					values := make([]string, len(s.Points))
					for i, p := range s.Points {
						values[i] = value(p.Value)
					}
					return []cell{text(seriesName(s.Labels)), text(strings.Join(values, " "))}
				})
			}
			if len(list) == 0 {
				c.sayf("%s", noSeries)
			}
			for _, s := range list {
				c.drawSeries(s, end.Add(-last), step, width)
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&last, "last", 0, "evaluate over this `time` until now: 6h")
	cmd.Flags().DurationVar(&step, "step", 0, "`time` between two values (default: one for each column)")
	return cmd
}

const noSeries = "No series. See what there is: nightporter metrics query WORKSPACE 'count by (__name__) ({__name__!=\"\"})'"

func (c *CLI) chartWidth() int {
	if !c.out.terminal {
		return 60
	}
	return min(max(c.out.width-2, 20), 120)
}

// seriesName writes labels as Prometheus does.
func seriesName(labels map[string]string) string {
	var pairs []string
	for name, value := range labels {
		if name != "__name__" {
			pairs = append(pairs, name+"="+strconv.Quote(value))
		}
	}
	slices.Sort(pairs)
	if len(pairs) == 0 && labels["__name__"] != "" {
		return labels["__name__"]
	}
	return labels["__name__"] + "{" + strings.Join(pairs, ", ") + "}"
}

func value(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

var bars = []rune("▁▂▃▄▅▆▇█")

// drawSeries draws a series as a line of bars, with its lowest, highest and last
// value. A time without a value is a space.
func (c *CLI) drawSeries(s client.MetricSeries, start time.Time, step time.Duration, width int) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range s.Points {
		if !math.IsNaN(p.Value) && !math.IsInf(p.Value, 0) {
			low, high = min(low, p.Value), max(high, p.Value)
		}
	}
	line := []rune(strings.Repeat(" ", width))
	for _, p := range s.Points {
		i := int(p.At.Sub(start) / step)
		if i >= width {
			i = width - 1
		}
		if i < 0 || math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
			continue
		}
		level := 0
		if high > low {
			level = int((p.Value - low) / (high - low) * float64(len(bars)-1))
		}
		line[i] = bars[level]
	}
	c.printf("%s\n%s\n", c.out.paint(strong, clean(seriesName(s.Labels))), string(line))
	if len(s.Points) > 0 {
		c.printf("%s\n\n", c.out.paint(quiet, fmt.Sprintf("min %s · max %s · last %s", value(low), value(high), value(s.Points[len(s.Points)-1].Value))))
	}
}
