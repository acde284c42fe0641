package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter/client"
)

func (c *CLI) securityRisks() *cobra.Command {
	q := client.RiskQuery{}
	cmd := &cobra.Command{
		Use: "risks", Short: "The risk register, the highest score first",
		Example: "  nightporter security risks\n  nightporter security risks --state open --json",
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := client.Collect(api.Risks(cmd.Context(), q))
			if err != nil {
				return err
			}
			columns := []column{
				{head: "Risk"},
				{head: "Score", right: true},
				{head: "State"},
				{head: "Review"},
				{head: "Asset"},
				{head: "Treatment", spare: 2},
				{head: "Owner", spare: 1},
				{head: "What"},
			}
			return printList(c, list, "No risks are written down. Add one: nightporter security risk add", columns, func(r client.Risk) []cell {
				state := text(r.State)
				switch {
				case r.State == "approved":
					state.meaning = good
				case r.State == "open":
					state.meaning = needs
				}
				score := fmt.Sprintf("%d", r.Score)
				if r.Proposal != nil {
					score += fmt.Sprintf(" → %d?", r.Proposal.Likelihood*r.Impact)
				}
				return []cell{dim(r.ID), text(score), state, text(r.Review.Format(time.DateOnly)), text(r.Asset), text(r.Treatment), text(r.Owner), text(r.Title)}
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&q.Asset, "asset", "", "of this `service` or other asset")
	flags.StringVar(&q.Owner, "owner", "", "of this `team` or person")
	flags.StringVar(&q.State, "state", "", "open, approved or closed")
	return cmd
}

func (c *CLI) securityRisk() *cobra.Command {
	d, review := client.RiskDraft{}, ""
	draft := func(cmd *cobra.Command) {
		flags := cmd.Flags()
		flags.StringVar(&d.Title, "title", "", "what may happen")
		flags.StringVar(&d.Asset, "asset", "", "the `service` or other asset that it would happen to")
		flags.StringVar(&d.Pillar, "pillar", "", "confidentiality, integrity, availability or misuse")
		flags.IntVar(&d.Likelihood, "likelihood", 0, "how likely it is, from `1` to 5")
		flags.IntVar(&d.Impact, "impact", 0, "how bad it would be, from `1` to 5")
		flags.StringVar(&d.Treatment, "treatment", "reduce", "avoid, reduce, share or accept")
		flags.StringVar(&d.Plan, "plan", "", "what is done about it")
		flags.StringVar(&d.Owner, "owner", "", "the `team` or person whose it is (default the owner of the service)")
		flags.StringVar(&review, "review", "", "the `day` on which it is decided about again")
		flags.StringArrayVar(&d.Findings, "finding", nil, "the `id` of a finding that belongs to it; repeat for more")
	}
	ready := func() error {
		if d.Title == "" || d.Asset == "" || d.Pillar == "" || d.Likelihood == 0 || d.Impact == 0 || review == "" {
			return usage("--title, --asset, --pillar, --likelihood, --impact and --review are needed")
		}
		at, err := parseUntil(review, c.cfg.Now())
		d.Review = at
		return err
	}
	add := &cobra.Command{
		Use: "add", Short: "Write a risk into the register",
		Example: `  nightporter security risk add --title "one person knows the payment provider" --asset ledger --pillar availability --likelihood 3 --impact 4 --treatment reduce --plan "pair on it" --review 2027-03-31`,
		Args:    takes(0, 0),
		RunE: c.onRisk(func(cmd *cobra.Command, api *client.Client, _ string) (*client.Risk, error) {
			if err := ready(); err != nil {
				return nil, err
			}
			return api.AddRisk(cmd.Context(), d)
		}),
	}
	draft(add)
	show := &cobra.Command{
		Use: "show RISK", Short: "One risk in full", Example: "  nightporter security risk show rsk_0b1c2d3e4f506172", Args: takes(1, 1),
		RunE: c.onRisk(func(cmd *cobra.Command, api *client.Client, id string) (*client.Risk, error) {
			return api.Risk(cmd.Context(), id)
		}),
	}
	revise := &cobra.Command{
		Use: "revise RISK", Short: "Say something else of a risk: it has to be approved again",
		Example: `  nightporter security risk revise rsk_0b1c2d3e4f506172 --title "two people know the payment provider" --asset ledger --pillar availability --likelihood 2 --impact 4 --treatment accept --review 2027-06-30`,
		Args:    takes(1, 1),
		RunE: c.onRisk(func(cmd *cobra.Command, api *client.Client, id string) (*client.Risk, error) {
			if err := ready(); err != nil {
				return nil, err
			}
			return api.ReviseRisk(cmd.Context(), id, d)
		}),
	}
	draft(revise)
	verb := func(name, short string) *cobra.Command {
		return &cobra.Command{
			Use: name + " RISK", Short: short, Example: "  nightporter security risk " + name + " rsk_0b1c2d3e4f506172", Args: takes(1, 1),
			RunE: c.onRisk(func(cmd *cobra.Command, api *client.Client, id string) (*client.Risk, error) {
				return api.DecideRisk(cmd.Context(), id, name)
			}),
		}
	}
	why := ""
	closing := &cobra.Command{
		Use: "close RISK", Short: "Say that a risk is gone", Example: "  nightporter security risk close rsk_0b1c2d3e4f506172 --reason \"the provider is not used any more\"",
		Args: takes(1, 1),
		RunE: c.onRisk(func(cmd *cobra.Command, api *client.Client, id string) (*client.Risk, error) {
			if why == "" {
				return nil, usage("--reason is needed")
			}
			return api.CloseRisk(cmd.Context(), id, why)
		}),
	}
	closing.Flags().StringVar(&why, "reason", "", "why it is gone")
	return noun("risk", "Something that may happen, and what people decided about it", "  nightporter security risk show rsk_0b1c2d3e4f506172\n  nightporter security risk approve rsk_0b1c2d3e4f506172",
		add, show, revise, verb("approve", "Agree to what is done about a risk that others own"),
		verb("confirm", "Take over the likelihood that its findings speak for"), closing)
}

func (c *CLI) onRisk(do func(*cobra.Command, *client.Client, string) (*client.Risk, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		api, err := c.api()
		if err != nil {
			return err
		}
		id := ""
		if len(args) > 0 {
			id = args[0]
		}
		r, err := do(cmd, api, id)
		if err != nil {
			return err
		}
		if c.json {
			return c.printJSON(r)
		}
		approved, proposal, findings := "", "", ""
		if r.Approver != "" {
			approved = fmt.Sprintf("by %s on %s", r.Approver, r.ApprovedAt.Format(time.DateOnly))
		}
		if r.Proposal != nil {
			proposal = fmt.Sprintf("likelihood %d: %s (nightporter security risk confirm %s)", r.Proposal.Likelihood, r.Proposal.Why, r.ID)
		}
		for _, f := range r.Findings {
			findings += f + " "
		}
		c.printf("%s\n\n", c.out.paint(strong, clean(r.Title)))
		pairs(c.cfg.Stdout, c.out,
			[2]string{"Risk", clean(r.ID)}, [2]string{"State", clean(r.State)}, [2]string{"Score", fmt.Sprintf("%d (likelihood %d, impact %d)", r.Score, r.Likelihood, r.Impact)},
			[2]string{"Proposed", clean(proposal)}, [2]string{"Asset", clean(r.Asset)}, [2]string{"Pillar", clean(r.Pillar)}, [2]string{"Treatment", clean(r.Treatment)},
			[2]string{"Plan", clean(r.Plan)}, [2]string{"Owner", clean(r.Owner)}, [2]string{"Review", r.Review.Format(time.DateOnly)},
			[2]string{"Approved", clean(approved)}, [2]string{"Note", clean(r.Reopened)}, [2]string{"Findings", clean(findings)})
		return nil
	}
}
