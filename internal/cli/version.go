package cli

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

// NextVersion says what a repository's next merge would be called.
type NextVersion struct {
	Repo nightporter.Repo `json:"repo"`
	// Current is the newest version; "" when there is none.
	Current string `json:"current,omitempty"`
	// Next is the version by label: major, minor, patch.
	Next map[nightporter.Bump]string `json:"next"`
}

var bumps = []nightporter.Bump{nightporter.Major, nightporter.Minor, nightporter.PatchBump}

func (c *CLI) versionCommands() *cobra.Command {
	cmd := noun("version", "The version of this program; with a verb, those of repositories",
		`  nightporter version
  nightporter version next github/ledger
  nightporter version list github/ledger
  nightporter version check github/ledger --pull 42`,
		c.versionNext(), c.versionList(), c.versionCheck())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(cmd, args[0])
		}
		if c.json {
			return c.printJSON(struct {
				Version string `json:"version"`
			}{c.cfg.Version})
		}
		c.printf("nightporter %s\n", c.cfg.Version)
		return nil
	}
	return cmd
}

func (c *CLI) versionNext() *cobra.Command {
	label, config, local := "", "", false
	cmd := &cobra.Command{
		Use: "next REPO", Short: "What the next merge would be called, by label",
		Example: `  nightporter version next github/ledger
  nightporter version next github/ledger --label minor`,
		Args: takes(1, 1), ValidArgsFunction: c.names(repoNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			repo, err := parseRepo(args[0])
			if err != nil {
				return err
			}
			var next NextVersion
			if local {
				path, _ := c.configPath(config)
				next, err = c.cfg.LocalVersionNext(cmd.Context(), LocalOptions{Config: path}, repo)
			} else {
				next, err = c.versionNextOf(cmd, repo)
			}
			if err != nil {
				return err
			}
			return c.printNext(next, nightporter.Bump(label))
		},
	}
	cmd.Flags().StringVar(&label, "label", "", "print only the version for this `label`: major, minor or patch")
	if c.cfg.LocalVersionNext != nil {
		cmd.Flags().BoolVar(&local, "local", false, "without a server: from the configuration and the forge")
		cmd.Flags().StringVar(&config, "config", "", "the configuration `file` for --local")
	}
	return cmd
}

// versionNextOf asks the server, which knows the forge's tags and the rules.
func (c *CLI) versionNextOf(cmd *cobra.Command, repo nightporter.Repo) (NextVersion, error) {
	var next NextVersion
	api, err := c.api()
	if err != nil {
		return next, err
	}
	err = api.Get(cmd.Context(), "/api/versions/next", url.Values{"repo": {repo.String()}}, &next)
	return next, err
}

func (c *CLI) printNext(next NextVersion, label nightporter.Bump) error {
	if label != "" && next.Next[label] == "" {
		return usage("there is no label %q", label).hint("use major, minor or patch")
	}
	switch {
	case c.json:
		return c.printJSON(next)
	case label != "":
		c.printf("%s\n", clean(next.Next[label]))
		return nil
	}
	for _, b := range bumps {
		c.printf("%s  %s\n", c.out.paint(quiet, fmt.Sprintf("%-5s", b)), clean(next.Next[b]))
	}
	if c.out.terminal {
		c.sayf("%s", c.talk.paint(quiet, clean(next.Repo.String()+" is at "+first(next.Current, "no version yet")+".")))
	}
	return nil
}

func parseRepo(s string) (nightporter.Repo, error) {
	repo, err := nightporter.ParseRepo(s)
	if err != nil {
		return repo, usage("%s", nightporter.MessageOf(err)).hint("%s", nightporter.HintOf(err))
	}
	return repo, nil
}

func (c *CLI) versionList() *cobra.Command {
	limit := 0
	cmd := &cobra.Command{
		Use: "list REPO", Short: "The ledger of a repository: every merge and its version, newest first",
		Example: `  nightporter version list github/ledger
  nightporter version list github/ledger --limit 5 --json`,
		Args: takes(1, 1), ValidArgsFunction: c.names(repoNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			repo, err := parseRepo(args[0])
			if err != nil {
				return err
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := client.First(api.VersionsPaged(cmd.Context(), repo, limit), limit)
			if err != nil {
				return err
			}
			columns := []column{{head: "Version"}, {head: "Label"}, {head: "Pull request"}, {head: "Title"}, {head: "Commit", spare: 1}, {head: "Merged", right: true}, {head: "Look at", spare: 2}}
			return printList(c, list, "No merges yet.", columns, func(v client.Version) []cell {
				number := "–"
				if v.Merge.PullRequest > 0 {
					number = fmt.Sprintf("#%d", v.Merge.PullRequest)
				}
				name := cell{clean(v.Version), strong}
				if v.Version == "" {
					name = dim("with the next")
				}
				return []cell{name, text(first(v.Bump, "–")), text(number), text(v.Merge.Title), dim(shortCommit(v.Commit)), text(c.ago(v.Merge.MergedAt)), {clean(v.Flag), needs}}
			})
		},
	}
	limitFlag(cmd, &limit, 20)
	return cmd
}
