package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// repoFileName is the file in which a repository speaks for itself.
const repoFileName = ".nightporter.yaml"

// newService is what `service new` was told or found out.
type newService struct {
	Name   string   `json:"name"`
	Repo   string   `json:"repo"` // forge/name
	Owner  string   `json:"owner"`
	Build  []string `json:"build,omitempty"`
	Run    []string `json:"run"`
	Health string   `json:"health"`
}

// serviceName is what the configuration accepts as a name.
var serviceName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)

func (c *CLI) serviceNew() *cobra.Command {
	var s newService
	forge, build, run := "", "", ""
	dry := false
	cmd := &cobra.Command{
		Use: "new [DIR]", Short: "Make a repository deployable: its own file, and its entry for the server's",
		Long: "Finds out what the repository in DIR (default: here) is, asks for the rest at a\nterminal, writes " + repoFileName + " into it, and prints the entry for services in the\n" +
			"server's nightporter.yaml: only that says who owns a service and where it runs.\nIt asks no server, and never overwrites.",
		Example: `  nightporter service new
  nightporter service new ../ledger --owner payments --name ledger --health /healthz
  nightporter service new --owner payments --dry-run --json`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			if info, err := os.Stat(dir); err != nil || !info.IsDir() {
				return failed("there is no folder %s", dir)
			}
			path := filepath.Join(dir, repoFileName)
			if _, err := os.Lstat(path); err == nil {
				return failed("%s is there already", path).hint("change it by hand; nothing was written")
			} else if !errors.Is(err, fs.ErrNotExist) {
				return failed("%s cannot be read: %v", path, err)
			}
			s.Build, s.Run = strings.Fields(build), strings.Fields(run)
			found := detect(dir)
			if err := c.complete(cmd, &s, forge, found); err != nil {
				return err
			}
			return c.writeService(s, path, dry)
		},
	}
	cmd.Flags().StringVar(&s.Name, "name", "", "the service's `name` (default: the repository's)")
	cmd.Flags().StringVar(&s.Owner, "owner", "", "the `team` that owns it")
	cmd.Flags().StringVar(&s.Health, "health", "", "the `path` that answers 2xx when it is well (default /healthz)")
	cmd.Flags().StringVar(&s.Repo, "repo", "", "the repository, as `forge/name` (default: the remote origin's)")
	cmd.Flags().StringVar(&forge, "forge", "github", "the forge's `name` in the server's configuration, when --repo is not given")
	cmd.Flags().StringVar(&build, "build", "", "the `command` that builds it, its arguments separated by spaces (default: what the folder looks like)")
	cmd.Flags().StringVar(&run, "run", "", "the `command` that starts it")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "write nothing, only print")
	return cmd
}

// complete fills in what no flag said: by asking at a terminal, else with what was
// found.
func (c *CLI) complete(cmd *cobra.Command, s *newService, forge string, found newService) error {
	ask := func(flag, question, standard string, value *string) {
		if cmd.Flags().Changed(flag) {
			return
		}
		*value = standard
		if !c.canAsk() {
			return
		}
		if standard != "" {
			question += " [" + clean(standard) + "]"
		}
		_, _ = fmt.Fprint(c.cfg.Stderr, question+": ")
		*value = first(strings.TrimSpace(c.readLine()), standard)
	}
	ask("name", "What is the service called?", found.Name, &s.Name)
	ask("owner", "Which team owns it?", "", &s.Owner)
	ask("health", "Which path answers 2xx when it is well?", "/healthz", &s.Health)
	switch {
	case !serviceName.MatchString(s.Name):
		return usage("%q cannot name a service", s.Name).hint("use lower-case letters, digits, dots, hyphens and underscores: --name ledger")
	case !serviceName.MatchString(s.Owner):
		return usage("which team owns it?").hint("--owner payments")
	case !strings.HasPrefix(s.Health, "/"):
		return usage("the health check is a path on the service itself").hint("--health /healthz")
	}
	if s.Repo == "" {
		s.Repo = forge + "/" + first(found.Repo, s.Name)
	}
	if f, name, ok := strings.Cut(s.Repo, "/"); !ok || f == "" || name == "" || strings.ContainsAny(s.Repo, " \t\n\"") {
		return usage("%q does not name a repository", s.Repo).hint("--repo github/%s", s.Name)
	}
	if len(s.Run) == 0 {
		s.Run = commandOf(found.Run, s.Name)
		if len(s.Build) == 0 {
			s.Build = commandOf(found.Build, s.Name)
		}
	}
	if len(s.Run) == 0 {
		return usage("nothing here says how to start it").hint(`--run "./bin/%s"`, s.Name)
	}
	return nil
}

// named stands for the service's name in a command that was found out.
const named = "{name}"

func commandOf(args []string, name string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = strings.ReplaceAll(a, named, name)
	}
	return out
}

var originURL = regexp.MustCompile(`(?s)\[remote "origin"\][^\[]*?\n\s*url\s*=\s*(\S+)`)

// detect finds out what a folder says about itself. It runs nothing.
func detect(dir string) newService {
	var s newService
	there := func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	}
	if text, err := os.ReadFile(filepath.Join(dir, ".git", "config")); err == nil {
		if m := originURL.FindSubmatch(text); m != nil {
			url := strings.TrimSuffix(strings.TrimSuffix(string(m[1]), "/"), ".git")
			s.Repo = url[strings.LastIndexAny(url, "/:")+1:]
		}
	}
	s.Name = strings.ToLower(s.Repo)
	if abs, err := filepath.Abs(dir); err == nil && s.Name == "" {
		s.Name = strings.ToLower(filepath.Base(abs))
	}
	switch {
	case there("go.mod"):
		pkg := "."
		if there(filepath.Join("cmd", s.Name)) {
			pkg = "./cmd/" + s.Name
		}
		s.Build, s.Run = []string{"go", "build", "-o", "bin/" + named, pkg}, []string{"./bin/" + named}
	case there("package.json"):
		s.Build, s.Run = []string{"npm", "ci"}, []string{"npm", "start"}
	case there("Cargo.toml"):
		s.Build, s.Run = []string{"cargo", "build", "--release", "--locked"}, []string{"./target/release/" + named}
	}
	return s
}

func (c *CLI) writeService(s newService, path string, dry bool) error {
	file := ""
	if len(s.Build) > 0 {
		file += "build: " + flow(s.Build) + "\n"
	}
	file += "run: " + flow(s.Run) + "\nhealth: {http: " + scalar(s.Health) + "}\n"
	entry := fmt.Sprintf("  - {name: %s, repo: %s, owner: %s, deploy: {kind: process}}\n", scalar(s.Name), scalar(s.Repo), scalar(s.Owner))
	if !dry {
		// O_EXCL: somebody may have written it while we asked.
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err == nil {
			_, err = f.WriteString(file)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return failed("%s cannot be written: %v", path, err)
		}
	}
	if c.json {
		return c.printJSON(struct {
			newService
			File    string `json:"file"`    // the path
			Text    string `json:"text"`    // what it says
			Entry   string `json:"entry"`   // for the server's file, under services
			Written bool   `json:"written"` // false with --dry-run
		}{s, path, file, entry, !dry})
	}
	if dry {
		c.sayf("%s would say:", clean(path))
		c.printf("%s", file)
		c.sayf("")
	} else {
		c.sayf("Wrote %s. Commit it.", clean(path))
	}
	c.sayf("In the server's nightporter.yaml, under services:")
	c.printf("%s", entry)
	c.sayf("%s", c.talk.paint(quiet, "then: nightporter validate, and a SIGHUP to the server"))
	return nil
}

// bare is what YAML reads as the same text without quotes.
var bare = regexp.MustCompile(`^[A-Za-z./_-][A-Za-z0-9./_-]*$`)

func scalar(s string) string {
	if bare.MatchString(s) && s != "-" {
		return s
	}
	b, err := json.Marshal(s) // JSON is YAML
	if err != nil {
		return `""` // a text always can
	}
	return string(b)
}

func flow(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = scalar(s)
	}
	return "[" + strings.Join(out, ", ") + "]"
}
