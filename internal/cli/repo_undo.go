package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

func (c *CLI) repoUndo() *cobra.Command {
	var k consent
	var wait patience
	cmd := &cobra.Command{
		Use: "undo PLAN", Short: "Take back what an apply of a plan wrote",
		Long: "Take back what an apply of a plan wrote. It looks at the forge, shows what it\nwould write and asks. What somebody changed since stays as it is.",
		Example: `  nightporter repo plans
  nightporter repo undo plan_0660e05fb3da7`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			p, err := api.UndoRepos(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if len(p.Writes) == 0 {
				for _, note := range p.Notes {
					c.sayf("%s", clean(note))
				}
				c.sayf("There is nothing to take back.")
				return nil
			}
			if !k.yes && c.canAsk() {
				c.printUndo(p)
			}
			return c.applyPlan(cmd.Context(), api, p, k, wait)
		},
	}
	k.flag(cmd)
	wait.flags(cmd)
	return cmd
}

// printUndo writes the way back like a diff.
func (c *CLI) printUndo(p *client.RepoPlan) {
	for _, r := range p.Repos {
		c.printPlanned(r)
	}
	for _, w := range p.Writes {
		if w.Repo == "" {
			c.printf("%s rules of the organisation for %s\n", c.out.paint(needs, "~"), clean(strings.Join(w.For, ", ")))
		}
	}
	for _, note := range p.Notes {
		c.printf("%s\n", c.out.paint(quiet, "note: "+clean(note)))
	}
}

func (c *CLI) repoPlans() *cobra.Command {
	limit := 0
	cmd := &cobra.Command{
		Use: "plans", Short: "The plans that were made, and what came of them",
		Example: "  nightporter repo plans --limit 5",
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := client.Collect(api.RepoPlans(cmd.Context(), limit))
			if err != nil {
				return err
			}
			return printList(c, list, "No plan was made yet. Make one with: nightporter repo plan",
				[]column{{head: "Plan"}, {head: "Made", right: true}, {head: "Kept to", spare: 2}, {head: "Changes", right: true}, {head: "Made of them", right: true}, {head: "Run", spare: 1}},
				func(p client.PlanSummary) []cell {
					kept := first(p.Only, strings.Join(p.Rules, ", "))
					if p.Undoes != "" {
						kept = "undoes " + p.Undoes
					}
					return []cell{{clean(p.ID), strong}, text(c.ago(p.MadeAt)), text(first(kept, "everything")), text(fmt.Sprint(p.Price.Changes)), text(fmt.Sprint(p.Applied)), dim(first(p.Run, "not applied"))}
				})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "how `many` at most")
	return cmd
}

func (c *CLI) repoHistory() *cobra.Command {
	limit := 0
	cmd := &cobra.Command{
		Use: "history REPO", Short: "What became of a repository's rules, and who did it",
		Example: "  nightporter repo history github/ledger",
		Args:    takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			repo, err := nightporter.ParseRepo(args[0])
			if err != nil {
				return err
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := client.Collect(api.RepoHistory(cmd.Context(), repo, limit))
			if err != nil {
				return err
			}
			return printList(c, list, "Nothing is known of "+repo.String()+" yet. Begin with: nightporter repo plan",
				[]column{{head: "When", right: true}, {head: "Rule"}, {head: "Became"}, {head: "Was", spare: 2}, {head: "Has", spare: 1}, {head: "By"}},
				func(h client.RepoChange) []cell {
					return []cell{text(c.ago(h.At)), {clean(h.Rule), strong}, c.ruleState(client.RuleCell{State: h.State}), dim(first(h.Was, "not seen")), text(h.Have), text(first(h.Who, "–"))}
				})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "how `many` at most")
	return cmd
}
