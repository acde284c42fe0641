package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

func (c *CLI) metricsRules() *cobra.Command {
	return noun("rules", "Recording and alerting rules, in Prometheus's YAML",
		`  nightporter metrics rules list payments
  nightporter metrics rules save payments rules/ledger.yaml`,
		c.rulesList(), c.rulesShow(), c.rulesSave(), c.rulesDelete())
}

func (c *CLI) rulesList() *cobra.Command {
	return &cobra.Command{
		Use: "list WORKSPACE", Short: "The files of rules of a workspace",
		Example: "  nightporter metrics rules list payments",
		Args:    takes(1, 1), ValidArgsFunction: c.names(workspaceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := api.Rules(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return printList(c, list, "No rules yet. Save some: nightporter metrics rules save "+clean(args[0])+" rules.yaml",
				[]column{{head: "File"}, {head: "Rules", right: true}, {head: "From"}, {head: "Changed", spare: 1}}, func(f client.RuleFile) []cell {
					changed := c.stamp(f.ChangedAt)
					if f.ChangedBy != "" {
						changed += " by " + f.ChangedBy
					}
					return []cell{{clean(f.Name), strong}, text(fmt.Sprint(f.Rules)), dim(f.Source), dim(changed)}
				})
		},
	}
}

func (c *CLI) rulesShow() *cobra.Command {
	return &cobra.Command{
		Use: "show WORKSPACE FILE", Short: "A file of rules, as it was saved",
		Example: "  nightporter metrics rules show payments ledger > ledger.yaml",
		Args:    takes(2, 2), ValidArgsFunction: c.names(workspaceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := api.Rules(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			for _, f := range list {
				if f.Name != args[1] {
					continue
				}
				if c.json {
					return c.printJSON(f)
				}
				c.printf("%s", f.Text)
				return nil
			}
			return nightporter.E(nightporter.NotFound, "%s has no rules %q", args[0], args[1]).WithHint("nightporter metrics rules list %s", args[0])
		},
	}
}

func (c *CLI) rulesSave() *cobra.Command {
	name := ""
	cmd := &cobra.Command{
		Use: "save WORKSPACE PATH", Short: "Save a file of rules; one that does not parse is refused",
		Long: "PATH is a file, or - for the standard input, which needs --name.",
		Example: `  nightporter metrics rules save payments rules/ledger.yaml
  nightporter metrics rules save payments - --name ledger < ledger.yaml`,
		Args: takes(2, 2), ValidArgsFunction: c.names(workspaceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := c.readFile(args[1])
			if err != nil {
				return err
			}
			if name == "" {
				if args[1] == "-" {
					return usage("what is it called?").hint("%s %s - --name ledger", cmd.CommandPath(), args[0])
				}
				name = strings.TrimSuffix(strings.TrimSuffix(filepath.Base(args[1]), ".yaml"), ".yml")
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			f, err := api.SaveRules(cmd.Context(), args[0], name, string(b))
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(f)
			}
			c.sayf("%s of %s are evaluated from now on. See what fires: nightporter metrics alerts %s", count(f.Rules, "rule"), clean(f.Name), clean(args[0]))
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "what it is `called` (default: the file's name)")
	return cmd
}

// readFile reads a small file, or the standard input for "-".
func (c *CLI) readFile(path string) ([]byte, error) {
	const most = 1 << 20
	in := c.cfg.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil, nightporter.E(nightporter.NotFound, "there is no file %s", path)
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, most+1))
	if err == nil && len(b) > most {
		err = nightporter.E(nightporter.Invalid, "%s is longer than a MiB", path)
	}
	return b, err
}

func (c *CLI) rulesDelete() *cobra.Command {
	var k consent
	cmd := &cobra.Command{
		Use: "delete WORKSPACE FILE", Short: "Remove a file of rules",
		Example: "  nightporter metrics rules delete payments ledger",
		Args:    takes(2, 2), ValidArgsFunction: c.names(workspaceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			if err := c.agree(k, fmt.Sprintf("This removes the rules %s of %s. What they recorded stays.", args[1], args[0])); err != nil {
				return err
			}
			if err := api.DeleteRules(cmd.Context(), args[0], args[1]); err != nil {
				return err
			}
			c.sayf("The rules %s are gone.", clean(args[1]))
			return nil
		},
	}
	k.flag(cmd)
	return cmd
}

func (c *CLI) metricsAlerts() *cobra.Command {
	return &cobra.Command{
		Use: "alerts WORKSPACE", Short: "The alerts that are pending or fire, and who was told",
		Example: "  nightporter metrics alerts payments\n  nightporter metrics alerts payments --json | jq '.items[] | select(.state == \"firing\")'",
		Args:    takes(1, 1), ValidArgsFunction: c.names(workspaceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := api.Alerts(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return printList(c, list, "Nothing fires.",
				[]column{{head: "Alert"}, {head: "State"}, {head: "Service"}, {head: "Environment"}, {head: "Since", spare: 1}, {head: "Told"}}, func(g client.AlertGroup) []cell {
					told := "nobody yet"
					switch {
					case g.Quiet != "":
						told = "quiet: " + g.Quiet
					case !g.ToldAt.IsZero():
						told = c.stamp(g.ToldAt)
					}
					state := text(g.State)
					if g.State == "firing" {
						state.meaning = bad
					}
					return []cell{{clean(g.Name), strong}, state, text(g.Service), text(g.Environment), dim(c.stamp(g.ActiveAt)), text(told)}
				})
		},
	}
}
