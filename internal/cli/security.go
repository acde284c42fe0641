package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

func (c *CLI) securityCommands() *cobra.Command {
	return noun("security", "What each service may claim, what is wrong, and what people live with", `  nightporter security posture
  nightporter security posture ledger
  nightporter security findings --service ledger
  nightporter security risks`,
		c.securityPosture(), c.securityFindings(), c.securityFinding(), c.securityScan(), c.securityRisks(), c.securityRisk(), c.securitySARIF(), c.securityAccess())
}

func (c *CLI) securityPosture() *cobra.Command {
	return &cobra.Command{
		Use: "posture [SERVICE]", Short: "What services may claim about their security, with the proof",
		Long: "A letter for each pillar says the worst that fails: A nothing, B low, C medium, D high,\n" +
			"E critical; ? while nothing fails but something is stale or unknown. Beside it: how many\nchecks have fresh proof.",
		Example: "  nightporter security posture\n  nightporter security posture ledger\n  nightporter security posture ledger --json | jq '.[0].pillars[].cells[] | select(.state == \"fail\")'",
		Args:    takes(0, 1), ValidArgsFunction: c.names(serviceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := client.Collect(api.Postures(cmd.Context(), strings.Join(args, "")))
			if err != nil {
				return err
			}
			if len(args) == 1 && !c.json && len(list) == 1 {
				c.drawPosture(list[0])
				return nil
			}
			columns := []column{{head: "Service"}, {head: "Owner", spare: 1}, {head: "Confidentiality"}, {head: "Integrity"}, {head: "Availability"}, {head: "Misuse"}}
			return printList(c, list, "No services yet. Write the first one into nightporter.yaml, under services.", columns, func(p client.Posture) []cell {
				row := []cell{{clean(p.Service), strong}, text(p.Owner)}
				for _, pillar := range p.Pillars {
					row = append(row, cell{fmt.Sprintf("%s  %d of %d fresh", clean(pillar.Letter), pillar.Proven, pillar.Of), letterMeaning(pillar.Letter)})
				}
				for len(row) < len(columns) {
					row = append(row, text(""))
				}
				return row[:len(columns)]
			})
		},
	}
}

func letterMeaning(letter string) meaning {
	switch letter {
	case "A":
		return good
	case "D", "E":
		return bad
	}
	return needs
}

func (c *CLI) drawPosture(p client.Posture) {
	c.printf("%s  of %s\n", c.out.paint(strong, clean(p.Service)), clean(p.Owner))
	for _, pillar := range p.Pillars {
		c.printf("\n%s\n", c.out.paint(letterMeaning(pillar.Letter), fmt.Sprintf("%s  %s  (%d of %d fresh)", clean(pillar.Letter), clean(pillar.Pillar), pillar.Proven, pillar.Of)))
		t := table{columns: []column{{head: "Check"}, {head: "State"}, {head: "Age"}, {head: "Fresh for", spare: 2}, {head: "What was seen"}, {head: "By", spare: 1}}}
		for _, cl := range pillar.Cells {
			state := c.out.state(cl.State)
			if cl.State == "fail" {
				state.text += " (" + clean(string(cl.Severity)) + ")"
			}
			t.add(text(cl.ID), state, text(cl.Age), dim(cl.FreshFor), text(cl.Proof), dim(cl.Event))
		}
		t.write(c.cfg.Stdout, c.out)
	}
}

func (c *CLI) securityFindings() *cobra.Command {
	q, limit := client.FindingQuery{}, 0
	cmd := &cobra.Command{
		Use: "findings", Short: "What is wrong, the first due first",
		Example: "  nightporter security findings\n  nightporter security findings --service ledger --state all\n  nightporter security findings --json",
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := client.First(api.Findings(cmd.Context(), q, limit), limit)
			if err != nil {
				return err
			}
			columns := []column{{head: "Finding"}, {head: "Severity"}, {head: "State"}, {head: "Due"}, {head: "Service"}, {head: "Owner", spare: 2}, {head: "What"}, {head: "Where", spare: 1}}
			return printList(c, list, "Nothing is open. Add --state all to see what was.", columns, func(f client.Finding) []cell {
				state := text(f.State)
				if f.Suspect {
					state = dim(f.State + ", to be looked at")
				}
				return []cell{dim(f.ID), severity(f.Severity), state, c.dueCell(f), text(first(f.Service, f.Repo)), text(f.Owner), text(f.Title), dim(f.Evidence)}
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&q.Service, "service", "", "of this `service`")
	flags.StringVar(&q.Repo, "repo", "", "of this `repository`: github/ledger")
	flags.StringVar(&q.Owner, "owner", "", "of this `team` or person")
	flags.StringVar(&q.Check, "check", "", "that count for this `check`: C1")
	flags.StringVar(&q.State, "state", "standing", "open, triaged, accepted, fixed, standing (open or triaged) or all")
	limitFlag(cmd, &limit, 50)
	return cmd
}

func severity(s nightporter.Severity) cell {
	switch s {
	case nightporter.Critical, nightporter.High:
		return cell{clean(string(s)), bad}
	case nightporter.Medium:
		return cell{clean(string(s)), needs}
	}
	return text(string(s))
}

func (c *CLI) dueCell(f client.Finding) cell {
	switch {
	case f.State == "fixed":
		return dim("fixed " + c.since(f.FixedAt))
	case f.Accepted != nil:
		return dim("accepted until " + f.Accepted.Until.Format(time.DateOnly))
	case f.Due.Before(c.cfg.Now()):
		return cell{"overdue " + c.ago(f.Due), bad}
	}
	return text("in " + brief(f.Due.Sub(c.cfg.Now())))
}

func (c *CLI) securityFinding() *cobra.Command {
	show := &cobra.Command{
		Use: "show FINDING", Short: "One finding in full",
		Example: "  nightporter security finding show fnd_0b1c2d3e4f5061728394",
		Args:    takes(1, 1),
		RunE: c.onFinding(func(cmd *cobra.Command, api *client.Client, id string) (*client.Finding, error) {
			return api.Finding(cmd.Context(), id)
		}),
	}
	owner, note := "", ""
	triage := &cobra.Command{
		Use: "triage FINDING", Short: "Say that a finding is real, and whose it is",
		Example: "  nightporter security finding triage fnd_0b1c2d3e4f5061728394 --owner ana",
		Args:    takes(1, 1),
		RunE: c.onFinding(func(cmd *cobra.Command, api *client.Client, id string) (*client.Finding, error) {
			return api.TriageFinding(cmd.Context(), id, owner, note)
		}),
	}
	triage.Flags().StringVar(&owner, "owner", "", "the `team` or person who repairs it (default as it is)")
	triage.Flags().StringVar(&note, "note", "", "what you saw")
	until, why := "", ""
	accept := &cobra.Command{
		Use: "accept FINDING", Short: "Live with a finding until a day; it opens by itself then",
		Example: "  nightporter security finding accept fnd_0b1c2d3e4f5061728394 --until 2027-01-31 --reason \"test data, no login has it\"",
		Args:    takes(1, 1),
		RunE: c.onFinding(func(cmd *cobra.Command, api *client.Client, id string) (*client.Finding, error) {
			if until == "" || why == "" {
				return nil, usage("--until and --reason are needed").hint(`--until 2027-01-31 --reason "test data"`)
			}
			at, err := parseUntil(until, c.cfg.Now())
			if err != nil {
				return nil, err
			}
			return api.AcceptFinding(cmd.Context(), id, at, why)
		}),
	}
	accept.Flags().StringVar(&until, "until", "", "the `day` on which it opens again")
	accept.Flags().StringVar(&why, "reason", "", "why you live with it")
	reopen := &cobra.Command{
		Use: "reopen FINDING", Short: "Take an acceptance or a triage back",
		Example: "  nightporter security finding reopen fnd_0b1c2d3e4f5061728394",
		Args:    takes(1, 1),
		RunE: c.onFinding(func(cmd *cobra.Command, api *client.Client, id string) (*client.Finding, error) {
			return api.ReopenFinding(cmd.Context(), id)
		}),
	}
	return noun("finding", "Something that is wrong, and whose it is", "  nightporter security finding show fnd_0b1c2d3e4f5061728394", show, triage, accept, reopen, c.findingTest(), c.findingRepair())
}

func (c *CLI) onFinding(do func(*cobra.Command, *client.Client, string) (*client.Finding, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		api, err := c.api()
		if err != nil {
			return err
		}
		f, err := do(cmd, api, args[0])
		if err != nil {
			return err
		}
		if c.json {
			return c.printJSON(f)
		}
		accepted, state := "", f.State
		if f.Accepted != nil {
			accepted = fmt.Sprintf("until %s by %s: %s", f.Accepted.Until.Format(time.DateOnly), f.Accepted.By, f.Accepted.Why)
		}
		if f.Suspect && f.State == "open" {
			state += ", to be looked at: is it real?"
		}
		if f.Reopened > 0 {
			state += ", opened again " + count(f.Reopened, "time")
		}
		c.printf("%s  %s\n\n", c.painted(severity(f.Severity)), c.out.paint(strong, clean(f.Title)))
		pairs(c.cfg.Stdout, c.out,
			[2]string{"Finding", clean(f.ID)}, [2]string{"State", clean(state)}, [2]string{"Where", clean(f.Evidence)}, [2]string{"Service", clean(f.Service)},
			[2]string{"Repository", clean(f.Repo)}, [2]string{"Owner", clean(f.Owner)}, [2]string{"Due", c.stamp(f.Due)}, [2]string{"Rule", clean(f.Rule)},
			[2]string{"Check", clean(f.Check)}, [2]string{"Found by", clean(f.Source)}, [2]string{"First seen", c.stamp(f.FirstSeenAt)},
			[2]string{"Last seen", c.stamp(f.LastSeenAt)}, [2]string{"Note", clean(f.Note)}, [2]string{"Accepted", clean(accepted)},
			[2]string{"Fixed", c.stamp(f.FixedAt)}, [2]string{"Proof", clean(f.Proof)})
		return nil
	}
}

func (c *CLI) securitySARIF() *cobra.Command {
	return &cobra.Command{
		Use: "sarif SERVICE FILE", Short: "Send the report of your own scanner: its results become findings",
		Long:    "FILE is SARIF 2.1.0, or - for standard input. What the same tool found before and\ndoes not find any more is fixed.",
		Example: "  nightporter security sarif ledger report.sarif\n  nightporter security sarif ledger - < report.sarif",
		Args:    takes(2, 2), ValidArgsFunction: c.names(serviceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			in := c.cfg.Stdin
			if args[1] != "-" {
				f, err := os.Open(args[1])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			report, err := io.ReadAll(io.LimitReader(in, 16<<20))
			if err != nil {
				return err
			}
			if !json.Valid(report) {
				return usage("%s is not JSON", args[1])
			}
			r, err := api.SendSARIF(cmd.Context(), args[0], report)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(r)
			}
			c.printf("%s: %d new, %d opened again, %d known, %d fixed\n", clean(strings.Join(r.Tools, ", ")), r.New, r.Reopened, r.Known, r.Fixed)
			return nil
		},
	}
}

func (c *CLI) securityAccess() *cobra.Command {
	capability, person := "", ""
	cmd := &cobra.Command{
		Use: "access [PATH]", Short: "Which people may do what, computed from the policies",
		Long: "Without a path: who can read the credentials of production. With --person refusals are\nlisted too, each with the policy and the reason.",
		Example: `  nightporter security access
  nightporter security access api/releases/ledger/prod/approve --capability update
  nightporter security access api/releases/ledger/prod/approve --capability update --person ana`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := client.Collect(api.Access(cmd.Context(), strings.Join(args, ""), capability, person))
			if err != nil {
				return err
			}
			columns := []column{{head: "Person"}, {head: "May"}, {head: "Path"}, {head: "Policy", spare: 1}, {head: "Because", spare: 2}}
			return printList(c, list, "Nobody may.", columns, func(a client.Access) []cell {
				may := cell{clean(a.Capability), good}
				if !a.Allowed {
					may = cell{"not " + clean(a.Capability), bad}
				}
				return []cell{{clean(a.Person), strong}, may, text(a.Path), text(a.Policy), dim(first(a.Reason, a.Pattern))}
			})
		},
	}
	cmd.Flags().StringVar(&capability, "capability", "read", "read, list, create, update or delete")
	cmd.Flags().StringVar(&person, "person", "", "of this `person` alone, with refusals")
	return cmd
}
