package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

func (c *CLI) securityScan() *cobra.Command {
	all, full := false, false
	var wait patience
	cmd := &cobra.Command{
		Use: "scan [REPO]", Short: "Look for secrets in a repository's history",
		Long: "Without a repository: how the last scan of each one went. What is pushed is scanned by\n" +
			"itself, and everything once a day.",
		Example: "  nightporter security scan\n  nightporter security scan github/ledger\n  nightporter security scan github/ledger --full\n  nightporter security scan --all --detach",
		Args:    takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			if len(args) == 0 && !all {
				return c.listScans(cmd, api)
			}
			repo := ""
			if len(args) == 1 {
				if all {
					return usage("name a repository, or --all")
				}
				r, err := nightporter.ParseRepo(args[0])
				if err != nil {
					return usage("%q is no repository", args[0]).hint("write it as the configuration does: github/ledger")
				}
				repo = r.String()
			}
			runs, err := api.Scan(cmd.Context(), repo, full)
			if err != nil {
				return err
			}
			if len(runs) == 0 {
				c.sayf("Everything is being scanned already.")
			}
			for _, id := range runs {
				if err := c.stay(cmd.Context(), api, id, wait, 0); err != nil {
					return err
				}
			}
			if !wait.detach && !c.json {
				c.sayf("%s", c.talk.paint(quiet, "what is wrong: nightporter security findings --check C1"))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every repository that something is built from")
	cmd.Flags().BoolVar(&full, "full", false, "from its beginning, not only what is new")
	wait.flags(cmd)
	return cmd
}

func (c *CLI) listScans(cmd *cobra.Command, api *client.Client) error {
	list, err := client.Collect(api.Scans(cmd.Context()))
	if err != nil {
		return err
	}
	columns := []column{{head: "Repository"}, {head: "Scanned", right: true}, {head: "State"}, {head: "Up to"}, {head: "Last read", spare: 1}, {head: "Whole", right: true, spare: 2}}
	return printList(c, list, "Nothing was scanned yet. Begin with: nightporter security scan --all", columns, func(s client.RepoScan) []cell {
		state := cell{clean(first(s.State, "waits")), good}
		if s.State == "failed" {
			state = cell{"failed", bad}
		}
		return []cell{{clean(s.Repo), strong}, text(c.ago(s.ScannedAt)), state, dim(s.Head[:min(8, len(s.Head))]), text(s.Message), text(c.ago(s.FullAt))}
	})
}

func (c *CLI) findingTest() *cobra.Command {
	var wait patience
	cmd := &cobra.Command{
		Use: "test FINDING", Short: "Try a found password on the databases that are known here",
		Long:    "It is tried on the databases that are mounted here and nowhere else. Only their refusal\ncloses the finding.",
		Example: "  nightporter security finding test fnd_0b1c2d3e4f5061728394",
		Args:    takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			id, err := api.TestLeak(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.stay(cmd.Context(), api, id, wait, 0)
		},
	}
	wait.flags(cmd)
	return cmd
}

func (c *CLI) findingRepair() *cobra.Command {
	var wait patience
	var ask consent
	cmd := &cobra.Command{
		Use: "repair FINDING", Short: "Make a found password worthless, and lease logins instead",
		Long: "The account gets a new password, which is kept in a static role; a role leases logins with\n" +
			"the same rights; and the old password is tried again. Whatever still uses the old one stops\n" +
			"working: give it the role first, or its new password after.",
		Example: "  nightporter security finding repair fnd_0b1c2d3e4f5061728394",
		Args:    takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			l, err := api.Leak(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			var plan []string
			for _, t := range l.Tried {
				if t.State == "live" {
					plan = append(plan, fmt.Sprintf("%s gets a new password at %s. What still uses the old one stops working.", t.User, t.Database))
				}
			}
			if len(plan) > 0 { // the server says why not
				if err := c.agree(ask, plan...); err != nil {
					return err
				}
			}
			id, err := api.RepairLeak(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := c.stay(cmd.Context(), api, id, wait, 0); err != nil || wait.detach || c.json {
				return err
			}
			if l, err = api.Leak(cmd.Context(), args[0]); err != nil {
				return err
			}
			for _, r := range l.Repaired {
				pairs(c.cfg.Stdout, c.out, [2]string{"Account", clean(r.User + " at " + r.Database)}, [2]string{"Leased at", clean(r.Role)},
					[2]string{"Its own password", clean(r.Static)}, [2]string{"Note", clean(r.Warning)})
			}
			return nil
		},
	}
	ask.flag(cmd)
	wait.flags(cmd)
	return cmd
}
