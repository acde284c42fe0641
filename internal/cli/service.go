package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter/client"
)

func (c *CLI) serviceCommands() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "The services and who owns them",
		Example: "  nightporter service list\n  nightporter service list --json",
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := api.Services(cmd.Context())
			if err != nil {
				return err
			}
			return printList(c, list, "No services yet. Write the first one into nightporter.yaml, under services.",
				[]column{{head: "Service"}, {head: "Owner"}, {head: "Repository"}, {head: "Description", spare: 1}},
				func(s client.Service) []cell {
					return []cell{{clean(s.Name), strong}, text(s.Owner), text(s.Repo.String()), dim(s.Description)}
				})
		},
	}
	show := &cobra.Command{
		Use: "show SERVICE", Short: "One service: its owner, and what runs where",
		Example: "  nightporter service show ledger",
		Args:    takes(1, 1), ValidArgsFunction: c.names(serviceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			s, err := api.Service(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(s)
			}
			c.printf("%s\n", c.out.paint(strong, clean(s.Name)))
			if s.Description != "" {
				c.printf("%s\n", clean(s.Description))
			}
			c.printf("\n")
			pairs(c.cfg.Stdout, c.out,
				[2]string{"Owner", clean(s.Owner)}, [2]string{"Repository", clean(s.Repo.String())}, [2]string{"Deployed by", clean(s.Deploy)},
				[2]string{"Depends on", clean(strings.Join(s.DependsOn, ", "))}, [2]string{"On call", clean(s.OnCall)}, [2]string{"Runbook", clean(s.Runbook)})
			if s.Board != nil {
				c.printf("\n")
				c.drawBoard(c.cfg.Stdout, LocalBoard{Environments: pipeline([]client.Service{*s}), Rows: []client.BoardRow{*s.Board}})
			}
			return nil
		},
	}
	return noun("service", "What your teams build and run", "  nightporter service list\n  nightporter service show ledger\n  nightporter service dora ledger",
		list, show, c.serviceNew(), c.serviceDora(), c.serviceIncidents())
}

func forgeTable() *table {
	return &table{columns: []column{{head: "Forge"}, {head: "State"}, {head: "Last seen"}, {head: "Error"}}}
}

func (c *CLI) forgeRow(f client.Forge) []cell {
	return []cell{{clean(f.Name), strong}, c.forgeState(f), text(c.since(f.SweptAt)), {clean(f.Error), bad}}
}

// forgeState is what is known of a forge: while it does not answer, its
// repositories are unknown, not fine.
func (c *CLI) forgeState(f client.Forge) cell {
	switch {
	case !f.FailingSince.IsZero():
		k := c.out.state("unknown")
		k.text += " since " + c.stamp(f.FailingSince)
		return k
	case f.SweptAt.IsZero():
		return dim("not asked yet")
	}
	k := c.out.state("succeeded")
	k.text = lookOf("succeeded").icon + " answers"
	if !c.out.terminal {
		k.text = "answers"
	}
	return k
}
