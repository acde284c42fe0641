package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter/client"
)

func (c *CLI) repoCommands() *cobra.Command {
	return noun("repo", "Every repository the same, with a plan and a price", `  nightporter repo list
  nightporter repo plan
  nightporter repo apply
  nightporter repo undo
  nightporter repo adopt`,
		c.repoList(), c.repoPlan(), c.repoApply(), c.repoUndo(), c.repoPlans(), c.repoHistory(), c.repoExceptions(), c.repoAdopt(), c.repoForges())
}

func (c *CLI) repoForges() *cobra.Command {
	return &cobra.Command{
		Use: "forges", Short: "How the forges were when they were last asked",
		Example: "  nightporter repo forges",
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := api.Forges(cmd.Context())
			if err != nil {
				return err
			}
			return printList(c, list, "No forges yet. Write the first one into nightporter.yaml, under forges.",
				forgeTable().columns, c.forgeRow)
		},
	}
}

func (c *CLI) repoList() *cobra.Command {
	explain := false
	cmd := &cobra.Command{
		Use: "list", Short: "The repositories and how they stand to the standard",
		Example: `  nightporter repo list
  nightporter repo list --explain     # each rule, and which section asks for it`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows, err := c.repoRows(cmd.Context())
			if err != nil {
				return err
			}
			const none = "Nothing was looked at yet. Begin with: nightporter repo plan"
			if !explain || c.json {
				return printList(c, rows, none, []column{{head: "Repository"}, {head: "Holds"}, {head: "Drift"}, {head: "Exempt", spare: 1}, {head: "Unknown", spare: 2}, {head: "Seen", right: true, spare: 3}}, c.repoRow)
			}
			return printList(c, explained(rows), none,
				[]column{{head: "Repository"}, {head: "Rule"}, {head: "State"}, {head: "Has"}, {head: "Should have"}, {head: "Because of"}},
				func(x explanation) []cell {
					return []cell{{clean(x.repo), strong}, text(x.Rule), c.ruleState(x.RuleCell), text(x.Have), text(x.Want), dim(first(x.From, x.Note))}
				})
		},
	}
	cmd.Flags().BoolVar(&explain, "explain", false, "each rule, and which section of the configuration asks for it")
	return cmd
}

func (c *CLI) repoRows(ctx context.Context) ([]client.RepoRow, error) {
	api, err := c.api()
	if err != nil {
		return nil, err
	}
	return client.Collect(api.Repos(ctx))
}

func (c *CLI) repoRow(r client.RepoRow) []cell {
	by := map[string][]string{}
	for _, k := range r.Cells {
		by[k.State] = append(by[k.State], k.Rule)
	}
	list := func(state string, m meaning) cell {
		if len(by[state]) == 0 {
			return dim("–")
		}
		return cell{clean(strings.Join(by[state], ", ")), m}
	}
	seen := text(c.ago(r.LookedAt))
	if r.Error != "" {
		seen = cell{clean(r.Error), bad}
	}
	return []cell{{clean(r.Repo.String()), strong}, text(fmt.Sprintf("%d of %d", len(by["ok"]), len(r.Cells))), list("drift", bad), list("exempt", quiet), list("unknown", quiet), seen}
}

// explanation is one rule of one repository.
type explanation struct {
	repo string
	client.RuleCell
}

func explained(rows []client.RepoRow) []explanation {
	var out []explanation
	for _, r := range rows {
		for _, k := range r.Cells {
			out = append(out, explanation{r.Repo.String(), k})
		}
	}
	return out
}

// ruleState is a rule's state in words; of an exception, until when.
func (c *CLI) ruleState(k client.RuleCell) cell {
	switch k.State {
	case "drift":
		return cell{"drift", bad}
	case "exempt":
		return dim("exempt until " + k.Until)
	case "unknown":
		return c.out.state("unknown")
	}
	return cell{clean(k.State), good}
}

func (c *CLI) repoExceptions() *cobra.Command {
	return &cobra.Command{
		Use: "exceptions", Short: "What may differ, until when and why",
		Example: "  nightporter repo exceptions",
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows, err := c.repoRows(cmd.Context())
			if err != nil {
				return err
			}
			list := slices.DeleteFunc(explained(rows), func(x explanation) bool { return x.State != "exempt" })
			slices.SortStableFunc(list, func(a, b explanation) int { return strings.Compare(a.Until, b.Until) })
			if c.json {
				return c.printJSON(struct {
					Items []exceptionJSON `json:"items"`
				}{exceptionsJSON(list)})
			}
			return printList(c, list, "There are no exceptions.",
				[]column{{head: "Until"}, {head: "Repository"}, {head: "Rule"}, {head: "Has"}, {head: "Should have", spare: 1}, {head: "Because"}},
				func(x explanation) []cell {
					return []cell{{clean(x.Until), strong}, text(x.repo), text(x.Rule), text(x.Have), text(x.Want), dim(x.Note)}
				})
		},
	}
}

type exceptionJSON struct {
	Repo string `json:"repo"`
	client.RuleCell
}

func exceptionsJSON(list []explanation) []exceptionJSON {
	out := []exceptionJSON{}
	for _, x := range list {
		out = append(out, exceptionJSON{x.repo, x.RuleCell})
	}
	return out
}

// planFlags are what a plan is made of.
type planFlags struct{ forge, only string }

func (f *planFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.forge, "forge", "", "the `forge` of the configuration; not needed when there is one")
	cmd.Flags().StringVar(&f.only, "only", "", "keep to one `rule or repository`")
}

func (c *CLI) repoPlan() *cobra.Command {
	var f planFlags
	config, local := "", false
	cmd := &cobra.Command{
		Use: "plan", Short: "What differs from the standard, and what putting it right costs",
		Long: "What differs from the standard, and what putting it right costs. It changes\nnothing. It exits 3 when there are differences.",
		Example: `  nightporter repo plan
  nightporter repo plan --only signed_commits
  nightporter repo plan --only ledger --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := c.planRepos(cmd.Context(), f, config, local)
			if err != nil {
				return err
			}
			if c.json {
				if err := c.printJSON(p); err != nil {
					return err
				}
			} else {
				c.printPlan(p)
			}
			if p.Differs() {
				return &exit{code: exitDiffers}
			}
			return nil
		},
	}
	f.flags(cmd)
	if c.cfg.LocalRepoPlan != nil {
		cmd.Flags().BoolVar(&local, "local", false, "without a server: from the configuration and the forge")
		cmd.Flags().StringVar(&config, "config", "", "the configuration `file` for --local")
	}
	return cmd
}

func (c *CLI) planRepos(ctx context.Context, f planFlags, config string, local bool) (*client.RepoPlan, error) {
	if local {
		path, _ := c.configPath(config)
		return c.cfg.LocalRepoPlan(ctx, LocalOptions{Config: path}, f.forge, f.only)
	}
	api, err := c.api()
	if err != nil {
		return nil, err
	}
	return api.PlanRepos(ctx, f.forge, f.only)
}

// printPlan writes a plan like a diff: what goes after a minus, what comes after
// a plus.
func (c *CLI) printPlan(p *client.RepoPlan) {
	same, skipped := 0, 0
	for _, r := range p.Repos {
		switch {
		case r.Skipped != "":
			skipped++
		case !c.printPlanned(r):
			same++
		}
	}
	looked := len(p.Repos) - skipped
	for _, w := range p.Writes {
		if w.Repo == "" {
			c.printf("%s rules of the organisation for %s\n", c.out.paint(needs, "~"), clean(strings.Join(w.For, ", ")))
		}
	}
	for _, note := range p.Notes {
		c.printf("%s\n", c.out.paint(quiet, "note: "+clean(note)))
	}
	if same < looked {
		c.printf("\n")
	}
	c.printf("%s of %d hold to the standard.", several(same, "repository", "repositories"), looked)
	if skipped > 0 {
		c.printf(" %d skipped: archived, forks, and those that the standard names.", skipped)
	}
	if p.Counts["unknown"] > 0 {
		c.printf(" %s cannot be seen.", several(p.Counts["unknown"], "rule", "rules"))
	}
	c.printf("\nLooking took %s and %s.\n", several(p.Survey.Requests, "request", "requests"), several(p.Survey.Points, "point", "points"))
	if len(p.Writes) > 0 {
		c.printf("An apply makes %s in %s, about %s.\n", several(p.Price.Changes, "change", "changes"),
			several(p.Price.Requests, "write request", "write requests"), clockwise(time.Duration(p.Price.Duration)))
		if c.out.terminal && p.ID != "" {
			c.sayf("%s", c.talk.paint(quiet, "Apply it with: nightporter repo apply "+clean(p.ID)))
		}
	}
}

// printPlanned writes what differs in one repository, and says whether anything
// does.
func (c *CLI) printPlanned(r client.PlannedRepo) bool {
	any := false
	for _, k := range r.Cells {
		if k.State == "ok" || k.State == "exempt" {
			continue
		}
		if !any {
			c.printf("%s\n", c.out.paint(strong, clean(r.Repo)))
			any = true
		}
		if k.State == "unknown" {
			c.printf("  %s\n", c.out.paint(quiet, "? "+clean(k.Rule)+": "+clean(k.Note)))
			continue
		}
		line := "  ~ " + clean(k.Rule)
		if who := blame(k, c); who != "" {
			line += "  " + c.out.paint(quiet, who)
		}
		c.printf("%s\n", line)
		if k.Have != "" {
			c.printf("      %s\n", c.out.paint(bad, "- "+clean(k.Have)))
		}
		if k.Want != "" {
			c.printf("      %s\n", c.out.paint(good, "+ "+clean(k.Want)))
		}
		if k.Note != "" {
			c.printf("      %s\n", c.out.paint(quiet, clean(k.Note)))
		}
	}
	return any
}

func blame(k client.RuleCell, c *CLI) string {
	if k.Who == "" {
		return ""
	}
	return "changed by " + clean(k.Who) + " " + c.ago(k.WhoAt) + " ago"
}

func several(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func (c *CLI) repoApply() *cobra.Command {
	var f planFlags
	var k consent
	var wait patience
	cmd := &cobra.Command{
		Use: "apply [PLAN]", Short: "Bring repositories to the standard",
		Long: "Bring repositories to the standard. Without a plan it makes one, shows it and\nasks. When the forge's quota ends it exits 6 and goes on by itself later.",
		Example: `  nightporter repo apply
  nightporter repo apply plan_0660e05fb3da7 --yes
  nightporter repo apply --only wiki --yes --detach`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			var p *client.RepoPlan
			if len(args) == 1 {
				p, err = api.RepoPlan(cmd.Context(), args[0])
			} else {
				p, err = api.PlanRepos(cmd.Context(), f.forge, f.only)
			}
			if err != nil {
				return err
			}
			if len(p.Writes) == 0 {
				c.sayf("There is nothing to write.")
				return nil
			}
			if !k.yes && c.canAsk() {
				c.printPlan(p)
			}
			return c.applyPlan(cmd.Context(), api, p, k, wait)
		},
	}
	f.flags(cmd)
	k.flag(cmd)
	wait.flags(cmd)
	return cmd
}

// applyPlan asks, applies and follows.
func (c *CLI) applyPlan(ctx context.Context, api *client.Client, p *client.RepoPlan, k consent, wait patience) error {
	err := c.agree(k, fmt.Sprintf("This makes %s on %s, about %s.", several(p.Price.Changes, "change", "changes"), p.Forge, clockwise(time.Duration(p.Price.Duration))))
	if err != nil {
		return err
	}
	id, err := api.ApplyRepos(ctx, p.ID)
	if err != nil {
		return err
	}
	if wait.detach {
		c.printf("%s\n", clean(id))
		return nil
	}
	return c.followApply(ctx, api, id, wait.timeout)
}

// followApply follows an apply until it is over or waits for the forge's quota,
// which can take an hour: then the work goes on without us.
func (c *CLI) followApply(ctx context.Context, api *client.Client, id string, timeout time.Duration) error {
	ctx, quota := context.WithCancelCause(ctx)
	defer quota(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(4 * c.cfg.Poll):
			}
			run, err := api.Run(ctx, id)
			if err != nil || run.State != "waiting" {
				continue
			}
			if s := current(run); s != nil {
				quota((&exit{code: exitTimedOut, message: s.Message + "; the run " + id}).hint("follow it with: nightporter run follow %s", id))
				return
			}
		}
	}()
	run, err := c.follow(ctx, api, id, timeout, 0)
	cause := context.Cause(ctx)
	quota(nil)
	<-done
	if e, ok := cause.(*exit); ok {
		return e
	}
	if err != nil {
		return err
	}
	if err := runError(run, "the apply"); err != nil {
		return err
	}
	if s := run.Steps[len(run.Steps)-1]; s.Message != "" {
		c.printf("%s\n", clean(s.Message))
	}
	return nil
}

func (c *CLI) repoAdopt() *cobra.Command {
	forge, config, local := "", "", false
	cmd := &cobra.Command{
		Use: "adopt", Short: "Write down the standard that most repositories have already",
		Long: "Write down the standard that most repositories have already, with those that\ndiffer as exceptions to review. It changes nothing: put the output into\nnightporter.yaml.",
		Example: `  nightporter repo adopt >> nightporter.yaml
  nightporter repo plan       # has no differences now`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := c.adoptRepos(cmd.Context(), forge, config, local)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(a)
			}
			c.printf("%s", cleanLines(a.YAML))
			c.sayf("Looked at %s; %s to review.", several(a.Looked, "repository", "repositories"), several(a.Exceptions, "exception", "exceptions"))
			return nil
		},
	}
	cmd.Flags().StringVar(&forge, "forge", "", "the `forge` of the configuration; not needed when there is one")
	if c.cfg.LocalRepoAdopt != nil {
		cmd.Flags().BoolVar(&local, "local", false, "without a server: from the configuration and the forge")
		cmd.Flags().StringVar(&config, "config", "", "the configuration `file` for --local")
	}
	return cmd
}

func (c *CLI) adoptRepos(ctx context.Context, forge, config string, local bool) (*client.Adoption, error) {
	if local {
		path, _ := c.configPath(config)
		return c.cfg.LocalRepoAdopt(ctx, LocalOptions{Config: path}, forge)
	}
	api, err := c.api()
	if err != nil {
		return nil, err
	}
	return api.AdoptRepos(ctx, forge)
}
