package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter/client"
)

func (c *CLI) metricsDashboard() *cobra.Command {
	return noun("dashboard", "Pages of graphs over a workspace, in Grafana's JSON",
		`  nightporter metrics dashboard list payments
  nightporter metrics dashboard import payments node-exporter.json
  nightporter metrics dashboard report payments rYdddlPWk
  nightporter metrics dashboard export payments rYdddlPWk > node-exporter.json`,
		c.dashboardList(), c.dashboardShow(), c.dashboardImport(), c.dashboardExport(), c.dashboardReport(), c.dashboardDelete())
}

func (c *CLI) dashboardList() *cobra.Command {
	return &cobra.Command{
		Use: "list [WORKSPACE]", Short: "The dashboards of a workspace, or of all that you may see",
		Example: "  nightporter metrics dashboard list\n  nightporter metrics dashboard list payments",
		Args:    takes(0, 1), ValidArgsFunction: c.names(workspaceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				if args, err = workspaceNames(cmd.Context(), api); err != nil {
					return err
				}
			}
			var list []client.Dashboard
			for _, workspace := range args {
				some, err := api.Dashboards(cmd.Context(), workspace)
				if err != nil {
					return err
				}
				list = append(list, some...)
			}
			return printList(c, list, "No dashboards. Bring one from Grafana:\n  nightporter metrics dashboard import WORKSPACE FILE.json",
				[]column{{head: "Workspace"}, {head: "UID"}, {head: "Title"}, {head: "Panels", right: true}, {head: "As data", right: true, spare: 1}, {head: "From", spare: 2}},
				func(d client.Dashboard) []cell {
					missing := cell{strconv.Itoa(d.Missing), plain}
					if d.Missing > 0 {
						missing.meaning = bad
					}
					return []cell{dim(d.Workspace), {clean(d.UID), strong}, text(d.Title), text(strconv.Itoa(d.Panels)), missing, dim(d.Source)}
				})
		},
	}
}

// dashboardNames completes a workspace, and then its dashboards.
func (c *CLI) dashboardNames() func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	workspaces := c.names(workspaceNames)
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return workspaces(cmd, args, typed)
		}
		workspace := args[0]
		return c.names(func(ctx context.Context, api *client.Client) ([]string, error) {
			list, err := api.Dashboards(ctx, workspace)
			return mapped(list, func(d client.Dashboard) string { return d.UID }), err
		})(cmd, nil, typed)
	}
}

func (c *CLI) dashboardShow() *cobra.Command {
	return &cobra.Command{
		Use: "show WORKSPACE UID", Short: "What a dashboard holds",
		Example: "  nightporter metrics dashboard show payments rYdddlPWk",
		Args:    takes(2, 2), ValidArgsFunction: c.dashboardNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := c.readDashboard(cmd, args)
			if err != nil || c.json {
				return err
			}
			c.drawDashboard(d)
			return nil
		},
	}
}

func (c *CLI) readDashboard(cmd *cobra.Command, args []string) (*client.DashboardDetail, error) {
	api, err := c.api()
	if err != nil {
		return nil, err
	}
	d, err := api.Dashboard(cmd.Context(), args[0], args[1])
	if err == nil && c.json {
		err = c.printJSON(d)
	}
	return d, err
}

func (c *CLI) drawDashboard(d *client.DashboardDetail) {
	c.printf("%s\n", c.out.paint(strong, clean(d.Title)))
	c.printf("%d panels, %d variables, %s", d.Panels, len(d.Variables), clean(d.Source))
	if d.Version > 0 {
		c.printf(", version %d", d.Version)
		if d.SavedBy != "" {
			c.printf(" by %s", clean(d.SavedBy))
		}
	}
	c.printf("\n%s\n", summary(d))
}

// summary says in one line how much of a dashboard is drawn as in Grafana.
func summary(d *client.DashboardDetail) string {
	if d.Missing == 0 && d.Changed == 0 {
		return "Every panel is drawn."
	}
	return fmt.Sprintf("%d of %d panels are drawn as in Grafana; %d are simplified, %d are shown as data or words.", d.Panels-d.Missing-d.Changed, d.Panels, d.Changed, d.Missing)
}

func (c *CLI) dashboardReport() *cobra.Command {
	return &cobra.Command{
		Use: "report WORKSPACE UID", Short: "What of a dashboard is not drawn as in Grafana, panel by panel",
		Example: "  nightporter metrics dashboard report payments rYdddlPWk",
		Args:    takes(2, 2), ValidArgsFunction: c.dashboardNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := c.readDashboard(cmd, args)
			if err != nil || c.json {
				return err
			}
			c.printReport(d)
			return nil
		},
	}
}

func (c *CLI) printReport(d *client.DashboardDetail) {
	c.printf("%s\n", summary(d))
	if len(d.Issues) == 0 {
		return
	}
	c.printf("\n")
	t := table{columns: []column{{head: "Panel"}, {head: "Effect"}, {head: "What"}}}
	for _, i := range d.Issues {
		effect := dim("simplified")
		if i.Severity == "missing" {
			effect = cell{"as data", bad}
		}
		name := i.Title
		if name == "" {
			name = i.Panel
		}
		if name == "" {
			name = "(dashboard)"
		}
		t.add(text(name), effect, text(i.Message))
	}
	t.write(c.cfg.Stdout, c.out)
}

func (c *CLI) dashboardImport() *cobra.Command {
	var how client.DashboardImport
	cmd := &cobra.Command{
		Use: "import WORKSPACE FILE", Short: "Keep a dashboard's JSON as it is, and draw it; - reads stdin",
		Example: "  nightporter metrics dashboard import payments node-exporter.json\n  nightporter metrics dashboard import payments node-exporter.json --dry-run",
		Args:    takes(2, 2), ValidArgsFunction: c.names(workspaceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			raw, err := c.readFileOrStdin(args[1])
			if err != nil {
				return err
			}
			d, err := api.ImportDashboard(cmd.Context(), args[0], raw, how)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(d)
			}
			c.printReport(d)
			if how.DryRun {
				c.sayf("Nothing was stored.")
				return nil
			}
			c.sayf("%s is there as %s:\n  %s/metrics/%s/dashboards/%s", clean(d.Title), clean(d.UID), api.Address(), clean(args[0]), clean(d.UID))
			return nil
		},
	}
	cmd.Flags().StringVar(&how.UID, "uid", "", "the `name` to keep it under; the file's own without it")
	cmd.Flags().BoolVar(&how.Replace, "replace", false, "keep it as a new version of one that is there")
	cmd.Flags().BoolVar(&how.DryRun, "dry-run", false, "say what would not be drawn, and store nothing")
	return cmd
}

func (c *CLI) dashboardExport() *cobra.Command {
	version := int64(0)
	cmd := &cobra.Command{
		Use: "export WORKSPACE UID", Short: "The dashboard's JSON, byte for byte as it was imported",
		Example: "  nightporter metrics dashboard export payments rYdddlPWk > node-exporter.json",
		Args:    takes(2, 2), ValidArgsFunction: c.dashboardNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			raw, err := api.ExportDashboard(cmd.Context(), args[0], args[1], version)
			if err != nil {
				return err
			}
			_, err = c.cfg.Stdout.Write(raw)
			return err
		},
	}
	cmd.Flags().Int64Var(&version, "version", 0, "a former `number`; the newest without it")
	return cmd
}

func (c *CLI) dashboardDelete() *cobra.Command {
	var k consent
	cmd := &cobra.Command{
		Use: "delete WORKSPACE UID", Short: "Delete a dashboard with its former versions",
		Example: "  nightporter metrics dashboard delete payments rYdddlPWk",
		Args:    takes(2, 2), ValidArgsFunction: c.dashboardNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			d, err := api.Dashboard(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			k.name = d.UID
			if err := c.agree(k, fmt.Sprintf("This deletes the dashboard %s of %s with its former versions. Export it first to keep it.", clean(d.Title), clean(args[0]))); err != nil {
				return err
			}
			if err := api.DeleteDashboard(cmd.Context(), args[0], args[1]); err != nil {
				return err
			}
			c.sayf("Dashboard %s is gone.", clean(d.UID))
			return nil
		},
	}
	k.flag(cmd)
	return cmd
}
