package cli

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

// Config is what a [CLI] is made from: the outside of a process, and the
// functions that need the house without a server.
type Config struct {
	// Args are the arguments without the program's name.
	Args []string
	// Stdin, Stdout and Stderr default to nothing to read and to discarding.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Env reads an environment variable. Default: none is set.
	Env func(string) string
	// Environ lists the environment variables that a child process starts with.
	// Default: those of this process.
	Environ func() []string
	// Version is what `nightporter version` says. Default: "unknown".
	Version string

	// Terminal says whether a stream is a terminal, and how wide. Default: it
	// is when it is an *os.File that is one.
	Terminal func(stream any) (width int, ok bool)
	// HTTP is the client for requests to the server. Default: one of its own.
	HTTP *http.Client
	// Now is the clock for ages and times of day. Default: time.Now.
	Now func() time.Time
	// Poll is the pause between two looks at work that is followed. Default:
	// 500 ms.
	Poll time.Duration

	// The functions below need the house itself. A command whose function is
	// nil does not exist.

	// Server runs the server until ctx ends.
	Server func(ctx context.Context, o ServerOptions) error
	// Init makes a new house. An existing one is a conflict.
	Init func(ctx context.Context, o InitOptions) (InitResult, error)
	// Validate checks a configuration file.
	Validate func(ctx context.Context, path string) (warnings []string, err error)
	// Schema returns the JSON Schema of the configuration.
	Schema func() ([]byte, error)
	// LocalBoard is the board from the configuration and the forge alone.
	LocalBoard func(ctx context.Context, o LocalOptions) (LocalBoard, error)
	// LocalRepoPlan and LocalRepoAdopt are `repo plan --local` and `repo adopt
	// --local`; nil leaves the flag out.
	LocalRepoPlan  func(ctx context.Context, o LocalOptions, forge, only string) (*client.RepoPlan, error)
	LocalRepoAdopt func(ctx context.Context, o LocalOptions, forge string) (*client.Adoption, error)
	// LocalVersionCheck is `version check --local`; nil leaves the flag out.
	LocalVersionCheck func(ctx context.Context, o LocalOptions, repo nightporter.Repo, p client.PullToCheck) (client.VersionVerdict, error)
	// LocalVersionNext is `version next` from the forge alone.
	LocalVersionNext func(ctx context.Context, o LocalOptions, repo nightporter.Repo) (NextVersion, error)
	// VerifyAudit verifies a copy of the audit log.
	VerifyAudit func(ctx context.Context, o VerifyOptions) (client.Report, error)
	// ImportPrices reads a public price file, from a path or an https address,
	// and returns a price list.
	ImportPrices func(ctx context.Context, o PriceOptions) ([]byte, error)
	// ScheduleNext computes when a schedule switches.
	ScheduleNext func(ctx context.Context, o ScheduleOptions) ([]ScheduleItem, error)
}

// ServerOptions are the flags of `nightporter server`. Empty ones were not given.
type ServerOptions struct {
	Config         string // path; "" when Dev is set and no file was named
	Dev            bool   // in memory, unsealed, not safe
	DevRootToken   string
	Listen         string
	AddressFile    string // where to write the address once it listens
	Store          string
	DemoClock      string // URL of a demo's clock, on loopback
	ConfigExplicit bool   // Config was named by flag or variable
}

// InitOptions are the arguments of `nightporter init`.
type InitOptions struct {
	Dir string // default "."
}

// InitResult is what `nightporter init` made. The root token is shown once.
type InitResult struct {
	Config        string `json:"config"`
	RootToken     string `json:"root_token"`
	UnsealKeyFile string `json:"unseal_key_file"`
}

// LocalOptions are what a command with --local works from.
type LocalOptions struct {
	Config string // path
}

// LocalBoard is a board that was made without a server. What only a server
// knows has the state "unknown".
type LocalBoard struct {
	Environments []string // in the order of the pipeline
	Rows         []client.BoardRow
}

// VerifyOptions name a copy of an audit log: one of Store and File.
type VerifyOptions struct {
	Store   string   // URL of a store
	File    string   // an export
	Anchors []string // notes of checkpoints that were kept elsewhere
}

// ScheduleOptions are the flags of `nightporter schedule next`.
type ScheduleOptions struct {
	Windows  string   // "Mon-Fri 07:00-21:00"
	Timezone string   // an IANA name
	Except   []string // dates, or calendars
	Also     []string // "2026-12-19 09:00-17:00"
	After    time.Time
	Count    int
}

// ScheduleItem is one switch of a schedule.
type ScheduleItem struct {
	At    time.Time `json:"at"`
	State string    `json:"state"` // on or off
}

// CLI is the command line of one process. Make it with [New], [CLI.Run] it once.
type CLI struct {
	cfg  Config
	root *cobra.Command

	out, talk style // of stdout and stderr

	address   string
	tokenFile string
	json      bool
	noColour  bool
	began     bool // a command's own code, after cobra's checks
}

// New makes a command line.
func New(cfg Config) *CLI {
	if cfg.Stdin == nil {
		cfg.Stdin = http.NoBody
	}
	if cfg.Stdout == nil {
		cfg.Stdout = io.Discard
	}
	if cfg.Stderr == nil {
		cfg.Stderr = io.Discard
	}
	if cfg.Env == nil {
		cfg.Env = func(string) string { return "" }
	}
	if cfg.Environ == nil {
		cfg.Environ = os.Environ
	}
	if cfg.Version == "" {
		cfg.Version = "unknown"
	}
	if cfg.Terminal == nil {
		cfg.Terminal = terminal
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Poll <= 0 {
		cfg.Poll = 500 * time.Millisecond
	}
	c := &CLI{cfg: cfg}
	c.root = c.newRoot()
	return c
}

func terminal(stream any) (width int, ok bool) {
	f, isFile := stream.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width = 0
	}
	return width, true
}

// Run does what the arguments say and returns the exit code.
func (c *CLI) Run(ctx context.Context) int {
	// Before the flags are read too, for their errors.
	c.setStyles()
	err := c.root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	var own *exit
	if !c.began && !errors.As(err, &own) {
		err = usage("%s", lowerFirst(err.Error()))
	}
	c.report(ctx, err)
	return exitCode(ctx, err)
}

func (c *CLI) newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "nightporter",
		Short: "Nightporter does the recurring operations work of a software team.",
		Example: `  nightporter server --dev
  nightporter release board
  nightporter release approve ledger`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
		PersistentPreRun: func(*cobra.Command, []string) { c.setStyles() },
	}
	root.SetArgs(append([]string{}, c.cfg.Args...))
	root.SetIn(c.cfg.Stdin)
	root.SetOut(c.cfg.Stdout)
	root.SetErr(c.cfg.Stderr)
	root.SetHelpFunc(c.help)
	root.SetUsageFunc(func(cmd *cobra.Command) error { c.help(cmd, nil); return nil })
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		// A verb that was misspelt comes before the flags that it would have had.
		if words := cmd.Flags().Args(); cmd.HasSubCommands() && len(words) > 0 {
			return unknownCommand(cmd, words[0])
		}
		return usage("%s", lowerFirst(err.Error())).hint("%s --help", cmd.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.SortFlags = false
	flags.StringVar(&c.address, "address", "", "the server's `URL` (default $NIGHTPORTER_ADDR, $VAULT_ADDR, "+client.DefaultAddress+")")
	flags.StringVar(&c.tokenFile, "token-file", "", "`file` with the token (default $NIGHTPORTER_TOKEN, $VAULT_TOKEN, ~/.vault-token)")
	flags.BoolVar(&c.json, "json", false, "print JSON, with stable fields")
	flags.BoolVar(&c.noColour, "no-color", false, "no colour; NO_COLOR=1 does the same")

	for _, cmd := range []*cobra.Command{
		c.initCommand(), c.serverCommand(), c.validateCommand(), c.configCommand(),
		c.statusCommand(), c.versionCommands(), c.loginCommand(), c.doctorCommand(),
		c.releaseCommands(), c.serviceCommands(), c.envCommands(), c.repoCommands(), c.metricsCommands(), c.secretCommands(), c.securityCommands(), c.runCommands(),
		c.auditCommands(), c.tokenCommands(), c.policyCommands(), c.userCommands(), c.scheduleCommands(),
		c.manCommand(),
	} {
		if cmd != nil {
			root.AddCommand(cmd)
		}
	}
	root.AddCommand(topics()...)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	c.noteStart(root)
	return root
}

// noteStart has every command note that it began. What cobra refuses before that
// is wrong usage.
func (c *CLI) noteStart(cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			c.began = true
			return run(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		c.noteStart(sub)
	}
}

// noun groups verbs.
func noun(use, short, example string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			cmd.SetOut(cmd.ErrOrStderr())
			_ = cmd.Help()
			return &exit{code: exitUsage}
		},
	}
	for _, v := range verbs {
		if v != nil {
			cmd.AddCommand(v)
		}
	}
	return cmd
}

func unknownCommand(cmd *cobra.Command, word string) error {
	err := usage("there is no command %q", cmd.CommandPath()+" "+word)
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		return err.hint("did you mean: %s %s", cmd.CommandPath(), near[0])
	}
	return err.hint("%s --help", cmd.CommandPath())
}

// takes checks how many arguments a verb got.
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usage("%s needs more words", cmd.CommandPath()).hint("%s", cmd.UseLine())
		case len(args) > most:
			return usage("%s does not know what to do with %q", cmd.CommandPath(), args[most]).hint("%s", cmd.UseLine())
		}
		return nil
	}
}
