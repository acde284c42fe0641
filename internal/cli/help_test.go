package cli_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
	"nightporter.dev/nightporter/internal/cli"
)

// whole has every function, so that every command exists.
func whole() cli.Config {
	return cli.Config{
		Server:   func(context.Context, cli.ServerOptions) error { return nil },
		Init:     func(context.Context, cli.InitOptions) (cli.InitResult, error) { return cli.InitResult{}, nil },
		Validate: func(context.Context, string) ([]string, error) { return nil, nil },
		Schema:   func() ([]byte, error) { return nil, nil },
		LocalBoard: func(context.Context, cli.LocalOptions) (cli.LocalBoard, error) {
			return cli.LocalBoard{}, nil
		},
		LocalVersionNext: func(context.Context, cli.LocalOptions, nightporter.Repo) (cli.NextVersion, error) {
			return cli.NextVersion{}, nil
		},
		VerifyAudit:  func(context.Context, cli.VerifyOptions) (client.Report, error) { return client.Report{}, nil },
		ScheduleNext: func(context.Context, cli.ScheduleOptions) ([]cli.ScheduleItem, error) { return nil, nil },
	}
}

// commands finds every command by asking help, as a person would.
func commands(t *testing.T, path ...string) [][]string {
	t.Helper()
	r := newPorter(t).run(piped, whole(), append(path, "--help")...)
	if r.code != 0 {
		t.Fatalf("%v --help: %+v", path, r)
	}
	all := [][]string{path}
	_, list, ok := strings.Cut(r.stdout, "\nCommands\n")
	if !ok {
		return all
	}
	list, _, _ = strings.Cut(list, "\n\n")
	for line := range strings.SplitSeq(list, "\n") {
		name := strings.Fields(line)[0]
		if name == "completion" || name == "help" { // cobra's own
			continue
		}
		all = append(all, commands(t, append(append([]string{}, path...), name)...)...)
	}
	return all
}

func TestHelp(t *testing.T) {
	t.Parallel()
	p := newPorter(t)
	golden(t, "help", p.run(piped, whole(), "--help").stdout)
	golden(t, "help-release", p.run(piped, whole(), "release", "--help").stdout)
	golden(t, "help-approve", p.run(piped, whole(), "release", "approve", "--help").stdout)
	golden(t, "help-variables", p.run(piped, whole(), "help", "variables").stdout)
	for _, code := range []string{"0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "6 ", "130 "} {
		if r := p.run(piped, whole(), "help", "exit-codes"); !strings.Contains(r.stdout, "\n  "+code) {
			t.Errorf("exit code %s is not in help:\n%s", code, r.stdout)
		}
	}
	if r := p.run(piped, whole()); r.code != 0 || !strings.Contains(r.stdout, "Examples") {
		t.Errorf("nightporter alone: %+v", r)
	}
}

func TestEveryCommandLeadsWithExamplesThatParse(t *testing.T) {
	t.Parallel()
	all := commands(t)
	if len(all) < 50 {
		t.Errorf("only %d commands were found: %q", len(all), all)
	}
	for _, path := range all {
		r := newPorter(t).run(piped, whole(), append(path, "--help")...)
		if !strings.Contains(r.stdout, "0 done") && len(path) > 0 {
			t.Errorf("%v --help does not list the exit codes", path)
		}
		_, examples, ok := strings.Cut(r.stdout, "\nExamples\n")
		if !ok || strings.Index(r.stdout, "Examples") > strings.Index(r.stdout, "Usage") {
			t.Errorf("%v --help does not lead with examples", path)
			continue
		}
		examples, _, _ = strings.Cut(examples, "\n\n")
		for line := range strings.SplitSeq(examples, "\n") {
			args := words(line)
			if args == nil {
				t.Errorf("%v: no command of ours in the example %q", path, line)
				continue
			}
			// --help after the arguments, and before the command of somebody else
			// that may follow them, checks the flags without acting.
			end := len(args)
			if i := slices.Index(args, "--"); i >= 0 {
				end = i
			}
			if r := newPorter(t).run(piped, whole(), slices.Insert(args, end, "--help")...); r.code != 0 {
				t.Errorf("%v: the example %q does not parse: %s", path, line, r.stderr)
			}
		}
	}
}

// words takes an example apart as a shell does: quotes, and no pipes or files.
func words(line string) (args []string) {
	_, rest, ok := strings.Cut(line, "nightporter ")
	if !ok {
		return nil
	}
	word, quoted := "", false
	for _, r := range rest + " " {
		switch {
		case r == '"':
			quoted = !quoted
		case r == ' ' && !quoted:
			if word == "|" || word == ">" || word == "<" {
				return args
			}
			if word != "" {
				args = append(args, word)
			}
			word = ""
		default:
			word += string(r)
		}
	}
	return args
}

func TestManPages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newPorter(t).run(piped, whole(), "man", dir)
	if r.code != 0 {
		t.Fatalf("%+v", r)
	}
	b, err := os.ReadFile(filepath.Join(dir, "nightporter-release-approve.1"))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "man-approve", string(b))
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(pages) < 50 {
		t.Errorf("%d pages, %v", len(pages), err)
	}
	if r := newPorter(t).run(piped, whole(), "man"); !strings.HasPrefix(r.stdout, `.TH "NIGHTPORTER" "1"`) || !strings.Contains(r.stdout, ".SH EXIT STATUS") {
		t.Errorf("%+v", r)
	}
}

func TestCompletionKnowsLiveNames(t *testing.T) {
	t.Parallel()
	p := library(t)
	for args, want := range map[string]string{
		"release approve ":              "ledger\t1.4.0 waits",
		"release hold ":                 "affordability\tteam-lending\nledger\tteam-payments",
		"release hold l":                "ledger\tteam-payments",
		"release show rel_3":            "rel_3\tledger 1.3.1 healthy",
		"release freeze p":              "preprod\tstaging\nprod\tproduction",
		"release promote ledger --to d": "dev\tdevelopment",
		"policy read d":                 "default\ndeveloper",
		"version list github/l":         "github/ledger",
		"release hold ledger ":          "",
	} {
		r := p.run(piped, whole(), append([]string{"__complete"}, strings.Split(args, " ")...)...)
		got, _, _ := strings.Cut(r.stdout, ":")
		if strings.TrimSpace(got) != want {
			t.Errorf("complete %q = %q, want %q", args, got, want)
		}
	}
	p.server.Close()
	if r := p.run(piped, whole(), "__complete", "release", "hold", ""); strings.TrimSpace(strings.Split(r.stdout, ":")[0]) != "" || r.code != 0 {
		t.Errorf("without a server: %+v", r)
	}
	if r := p.run(piped, whole(), "completion", "bash"); r.code != 0 || !strings.Contains(r.stdout, "bash completion") {
		t.Errorf("completion bash: exit %d", r.code)
	}
}
