package cli

import (
	"encoding/json"
	"io"
	"os"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

// maxEvent bounds the file that CI describes a pull request with.
const maxEvent = 8 << 20

func (c *CLI) versionCheck() *cobra.Command {
	var p client.PullToCheck
	config, event, body, local := "", "", "", false
	cmd := &cobra.Command{
		Use: "check REPO", Short: "Whether a pull request may be merged, for CI without webhooks",
		Long: "Whether a pull request may be merged: exactly one version label, and a\ndescription as the configuration demands. It exits 1 when not. What the pull\nrequest says comes from the forge (--pull), from the file in which GitHub's or\nGitea's CI describes it (--event), or from the other flags.",
		Example: `  nightporter version check github/ledger --pull 42
  nightporter version check github/ledger --event "$GITHUB_EVENT_PATH"
  nightporter version check github/ledger --label minor --title "Add a field" --body-file description.md`,
		Args: takes(1, 1), ValidArgsFunction: c.names(repoNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			repo, err := parseRepo(args[0])
			if err != nil {
				return err
			}
			if event != "" {
				if p, err = readEvent(event); err != nil {
					return err
				}
			}
			if body != "" {
				text, err := readFew(body)
				if err != nil {
					return err
				}
				p.Body = string(text)
			}
			if p.Number == 0 && p.Title == "" && len(p.Labels) == 0 && event == "" {
				return usage("which pull request?").hint("name it by --pull, --event, or --label and --title")
			}
			if p.Labels == nil {
				p.Labels = []string{}
			}
			v, err := c.judge(cmd, repo, p, local, config)
			if err != nil {
				return err
			}
			if c.json {
				if err := c.printJSON(v); err != nil {
					return err
				}
			}
			if v.OK {
				if !c.json {
					c.printf("%s\n", clean(v.Says))
				}
				return nil
			}
			if c.json {
				return &exit{code: exitFailed}
			}
			for _, problem := range v.Problems {
				c.printf("%s\n", clean(problem))
			}
			return &exit{code: exitFailed, message: "the pull request cannot be merged yet"}
		},
	}
	cmd.Flags().IntVar(&p.Number, "pull", 0, "the `number` of the pull request: the forge is asked")
	cmd.Flags().StringVar(&event, "event", "", "the `file` in which CI describes the pull request: $GITHUB_EVENT_PATH")
	cmd.Flags().StringSliceVar(&p.Labels, "label", nil, "a `label` of it; may be repeated")
	cmd.Flags().StringVar(&p.Title, "title", "", "its `title`")
	cmd.Flags().StringVar(&body, "body-file", "", "a `file` with its description")
	if c.cfg.LocalVersionCheck != nil {
		cmd.Flags().BoolVar(&local, "local", false, "without a server: from the configuration and the forge")
		cmd.Flags().StringVar(&config, "config", "", "the configuration `file` for --local")
	}
	return cmd
}

func (c *CLI) judge(cmd *cobra.Command, repo nightporter.Repo, p client.PullToCheck, local bool, config string) (client.VersionVerdict, error) {
	if local {
		path, _ := c.configPath(config)
		return c.cfg.LocalVersionCheck(cmd.Context(), LocalOptions{Config: path}, repo, p)
	}
	api, err := c.api()
	if err != nil {
		return client.VersionVerdict{}, err
	}
	return api.CheckVersion(cmd.Context(), repo, p)
}

// readFew reads a file that somebody else wrote.
func readFew(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usage("%v", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxEvent+1))
	if err == nil && len(text) > maxEvent {
		err = usage("%s is larger than 8 MiB", path)
	}
	return text, err
}

// readEvent reads the pull request of an event, as GitHub Actions and Gitea Actions
// describe it. Its labels are those at the event, which is what CI is about.
func readEvent(path string) (client.PullToCheck, error) {
	text, err := readFew(path)
	if err != nil {
		return client.PullToCheck{}, err
	}
	var event struct {
		Pull *struct {
			Title, Body string
			Labels      []struct{ Name string }
		} `json:"pull_request"`
	}
	if err := json.Unmarshal(text, &event); err != nil {
		return client.PullToCheck{}, usage("%s is not the JSON of an event: %v", path, err)
	}
	if event.Pull == nil {
		return client.PullToCheck{}, usage("%s is about no pull request", path).hint("run it on the event pull_request")
	}
	p := client.PullToCheck{Title: event.Pull.Title, Body: event.Pull.Body}
	for _, l := range event.Pull.Labels {
		p.Labels = append(p.Labels, l.Name)
	}
	return p, nil
}
