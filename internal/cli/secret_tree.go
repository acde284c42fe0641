package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter/client"
)

func (c *CLI) leaseTree() *cobra.Command {
	mine := false
	cmd := &cobra.Command{
		Use: "tree [ACCESSOR|LEASE]", Short: "Who holds what: tokens, their children, and their logins",
		Long: `Everything ends with what is above it at the latest, and is taken away when that
is revoked. Without an argument, every login and the tokens above it; with one, the
way down to that token or login, and everything below it.`,
		Example: `  nightporter secret lease tree
  nightporter secret lease tree --mine
  nightporter secret lease tree database/creds/ledger/7QX4M2`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			of, whose := "", client.Everybodys
			if len(args) == 1 {
				of = args[0]
			}
			if mine {
				whose = client.Own
			}
			list, err := api.LeaseTree(cmd.Context(), of, whose)
			if err != nil {
				return err
			}
			marks := branches(list)
			i := -1
			return printList(c, list, "Nobody has a login.",
				[]column{{head: "Holder"}, {head: "Kind"}, {head: "Owner", spare: 2}, {head: "State"}, {head: "Ends"}, {head: "Path", spare: 3}},
				func(h client.Holder) []cell {
					i++
					name, kind := h.ID, h.Kind
					if h.Username != "" {
						name, kind = h.Username+" in "+h.Database, "login as "+h.Role
					}
					state := cell{clean(h.State), plain}
					if h.State == "doomed" {
						state.meaning = needs
					}
					return []cell{
						{marks[i] + clean(name), strong},
						text(kind), text(h.Owner), state, text(first(c.stamp(h.EndsAt), "never")),
						dim(h.Path),
					}
				})
		},
	}
	cmd.Flags().BoolVar(&mine, "mine", false, "only what you hold yourself")
	return cmd
}

// branches are the lines before each name, for a list with parents before their
// children.
func branches(list []client.Holder) []string {
	marks := make([]string, len(list))
	// open has, for each depth, whether another sibling follows further down.
	var open []bool
	for i := len(list) - 1; i >= 0; i-- {
		depth := min(max(list[i].Depth, 0), 64)
		for len(open) <= depth {
			open = append(open, false)
		}
		// Read backwards, what is deeper than this belongs to another parent.
		open = open[:depth+1]
		var b strings.Builder
		for d := 1; d < depth; d++ {
			if open[d] {
				b.WriteString("│ ")
			} else {
				b.WriteString("  ")
			}
		}
		if depth > 0 {
			if open[depth] {
				b.WriteString("├ ")
			} else {
				b.WriteString("└ ")
			}
		}
		marks[i] = b.String()
		open[depth] = true
	}
	return marks
}
