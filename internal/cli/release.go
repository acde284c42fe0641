package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

func (c *CLI) releaseCommands() *cobra.Command {
	return noun("release", "Versions on their way to production",
		`  nightporter release board
  nightporter release approve ledger --comment "checked in preprod"
  nightporter release rollback ledger --reason "payments are slow"`,
		c.boardCommand(), c.releaseList(), c.releaseShow(),
		c.releaseApprove(), c.releaseReject(), c.releaseRetry(), c.releasePromote(), c.releaseRollback(),
		c.releaseHold(), c.releaseUnhold(), c.releaseFreeze(), c.releaseUnfreeze(),
	)
}

func (c *CLI) releaseList() *cobra.Command {
	var f client.ReleaseFilter
	limit := 0
	cmd := &cobra.Command{
		Use: "list", Short: "Releases, newest first",
		Example: `  nightporter release list --service ledger
  nightporter release list --state waiting --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			f.PageSize = limit
			list, err := client.First(api.Releases(cmd.Context(), f), limit)
			if err != nil {
				return err
			}
			columns := []column{{head: "Release"}, {head: "Service"}, {head: "Version"}, {head: "State"}, {head: "Kind", spare: 2}, {head: "Age", right: true}, {head: "Message", spare: 1}}
			return printList(c, list, "No releases.", columns, func(r client.Release) []cell {
				kind := r.Kind
				if r.Target != "" {
					kind += " to " + r.Target
				}
				return []cell{dim(r.ID), {clean(r.Service), strong}, text(r.Version), c.out.state(r.State), dim(kind), text(c.ago(r.CreatedAt)), dim(r.Message)}
			})
		},
	}
	cmd.Flags().StringVar(&f.Service, "service", "", "only of this `service`")
	cmd.Flags().StringVar(&f.State, "state", "", "only in this `state`: building, deploying, waiting, held, healthy, rolled_back, failed, rejected, superseded, cancelled")
	limitFlag(cmd, &limit, 30)
	c.flagNames(cmd, "service", serviceNames)
	return cmd
}

func limitFlag(cmd *cobra.Command, limit *int, standard int) {
	cmd.Flags().IntVarP(limit, "limit", "n", standard, "at most this `many`")
}

func (c *CLI) releaseShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID|SERVICE", Short: "One release: its steps, votes and changes",
		Example: `  nightporter release show ledger
  nightporter release show rel_0198c0ffee00 --json`,
		Args: takes(1, 1), ValidArgsFunction: c.names(releaseNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			id, err := newestRelease(cmd.Context(), api, args[0])
			if err != nil {
				return err
			}
			d, err := api.Release(cmd.Context(), id)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(d)
			}
			c.drawRelease(d)
			return nil
		},
	}
}

func (c *CLI) drawRelease(d *client.ReleaseDetail) {
	c.printf("%s  %s\n", c.out.paint(strong, clean(d.Service+" "+d.Version)), c.painted(c.out.state(d.State)))
	if d.Message != "" {
		c.printf("%s\n", clean(d.Message))
	}
	c.printf("\n")
	waits := ""
	if d.WaitsFor != "" {
		waits = fmt.Sprintf("%s, for %s", d.WaitsFor, first(c.ago(d.WaitingSince), "now"))
	}
	target := d.Target
	if target != "" {
		target = d.Kind + " to " + target
	}
	pairs(c.cfg.Stdout, c.out,
		[2]string{"Release", clean(d.ID)},
		[2]string{"Commit", clean(shortCommit(d.Commit))},
		[2]string{"Kind", clean(target)},
		[2]string{"Opened", fmt.Sprintf("%s by %s", c.since(d.CreatedAt), clean(first(d.Cause, "nightporter")))},
		[2]string{"Waits for", clean(waits)},
		[2]string{"May approve", clean(strings.Join(d.Approvers, ", "))},
		[2]string{"Marked bad", clean(d.Bad)},
	)
	for _, v := range d.Votes {
		word := "approved"
		if !v.Approved {
			word = "rejected"
		}
		c.printf("%s\n", clean(strings.TrimSuffix(fmt.Sprintf("%s by %s %s: %s", word, v.Person, c.since(v.At), v.Comment), ": ")))
	}
	for _, f := range d.Freezes {
		c.printf("%s\n", clean(frozenLine(c, f)))
	}
	for _, o := range d.Overrides {
		c.printf("%s\n", clean(fmt.Sprintf("%s let it pass the freeze of %s %s: %s", o.Person, o.Environment, c.since(o.At), o.Reason)))
	}
	if len(d.Changes) > 0 {
		c.printf("\n%s\n", c.out.paint(strong, "Changes"))
		t := table{columns: []column{{head: "Pull request"}, {head: "Title"}, {head: "By"}, {head: "Merged", right: true}}}
		for _, ch := range d.Changes {
			number := "–"
			if ch.PullRequest > 0 {
				number = fmt.Sprintf("#%d", ch.PullRequest)
			}
			t.add(text(number), text(ch.Title), dim(strings.Join(ch.Authors, ", ")), text(c.ago(ch.MergedAt)))
		}
		t.write(c.cfg.Stdout, c.out)
	}
	if d.Work != nil {
		c.printf("\n%s\n", c.out.paint(strong, "Steps"))
		c.drawSteps(d.Work)
	}
}

func (c *CLI) painted(k cell) string { return c.out.paint(k.meaning, k.text) }

func shortCommit(s string) string {
	if len(s) > 10 {
		return s[:10]
	}
	return s
}

// isReleaseID tells an id from a service's name.
func isReleaseID(s string) bool { return strings.HasPrefix(s, "rel_") }

// newestRelease is the release that an argument means: an id, or the newest one
// of a service.
func newestRelease(ctx context.Context, api *client.Client, arg string) (string, error) {
	if isReleaseID(arg) {
		return arg, nil
	}
	list, err := client.First(api.Releases(ctx, client.ReleaseFilter{Service: arg, PageSize: 1}), 1)
	if err != nil {
		return "", err
	}
	if len(list) == 0 {
		if _, err := api.Service(ctx, arg); err != nil {
			return "", err
		}
		return "", nightporter.E(nightporter.NotFound, "%s has no release yet", arg)
	}
	return list[0].ID, nil
}

// waitingRelease is the release that an argument means: an id, or the one of a
// service that waits for a decision.
func waitingRelease(ctx context.Context, api *client.Client, arg string) (string, error) {
	if isReleaseID(arg) {
		return arg, nil
	}
	for _, state := range []string{"waiting", "held"} {
		list, err := client.First(api.Releases(ctx, client.ReleaseFilter{Service: arg, State: state, PageSize: 1}), 1)
		if err != nil {
			return "", err
		}
		if len(list) > 0 {
			return list[0].ID, nil
		}
	}
	if _, err := api.Service(ctx, arg); err != nil {
		return "", err
	}
	return "", nightporter.E(nightporter.Conflict, "no release of %s waits for an approval", arg).
		WithHint("nightporter release list --service %s", arg)
}
