package cli

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter/client"
)

// farewell bounds the revocation at the end. What it does not reach ends by
// itself when the lease does.
const farewell = 30 * time.Second

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// onChange is what happens when a login is replaced by another.
type onChange string

const (
	// changeRestarts ends the command and starts it again: the environment of a
	// process cannot be changed from outside.
	changeRestarts onChange = "restart"
	changeSignals  onChange = "signal" // writes the file anew and sends a signal
	changeWrites   onChange = "file"   // writes the file anew, which the command watches
)

// sendable are the signals of --signal.
var sendable = map[string]syscall.Signal{
	"HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "WINCH": syscall.SIGWINCH, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM,
}

func (c *CLI) secretExec() *cobra.Command {
	x := execution{c: c, prefix: "DATABASE_", format: "env", overlap: 10 * time.Second, grace: 10 * time.Second}
	mount, change, signalName := "", string(changeRestarts), "HUP"
	cmd := &cobra.Command{
		Use: "exec ROLE -- COMMAND [ARGUMENT]...", Short: "Run a command with a login to a database that ends with it",
		Long: `The login is in the command's environment, as DATABASE_USERNAME and
DATABASE_PASSWORD, or in a file with --file, whose name is in DATABASE_FILE. It is
renewed while the command runs and revoked when it ends. The command gets the
signals that this one gets, and not the token. The exit code is the command's own;
128 and the signal when one ended it.

When the login cannot be renewed any further, or was revoked, there is a new one:
  restart   the command is ended (SIGTERM, then SIGKILL) and started again with it
  signal    the file is replaced, and the command gets --signal
  file      the file is replaced, and the command sees that for itself
The old one is revoked when the command is back, or after --overlap.`,
		Example: `  nightporter secret exec ledger -- ./ledger --port 8080
  nightporter secret exec ledger --env-prefix PG_ -- ./migrate up
  nightporter secret exec ledger --on-change signal --file login.env -- ./ledger
  nightporter secret exec ledger --on-change file --file login.json --format json -- ./ledger`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.ArgsLenAtDash() != 1 || len(args) < 2 {
				return usage("%s needs a role, two hyphens and a command", cmd.CommandPath()).hint("%s ledger -- ./ledger", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: c.names(c.roleNames(&mount)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			x.change = onChange(change)
			var known bool
			x.signal, known = sendable[strings.TrimPrefix(strings.ToUpper(signalName), "SIG")]
			switch {
			case !envName.MatchString(x.prefix + "USERNAME"):
				return usage("--env-prefix %q makes no name of a variable", x.prefix)
			case x.change != changeRestarts && x.change != changeSignals && x.change != changeWrites:
				return usage("--on-change must be restart, signal or file")
			case x.change != changeRestarts && x.file == "":
				return usage("--on-change %s needs a file to write the login to", x.change).hint("add --file login.env")
			case x.format != "env" && x.format != "json":
				return usage("--format must be env or json")
			case !known:
				return usage("--signal must be one of %s", strings.Join(slices.Sorted(maps.Keys(sendable)), ", "))
			case x.overlap < 0 || x.grace < 0:
				return usage("--overlap and --grace cannot be negative")
			}
			if x.file != "" {
				if x.file, err = filepath.Abs(x.file); err != nil {
					return usage("--file: %v", err)
				}
				if info, err := os.Lstat(x.file); err == nil && !info.Mode().IsRegular() {
					return usage("%s is there, and is no file", x.file)
				}
			}
			// Before a login is made that nobody would use.
			if x.program, err = exec.LookPath(args[1]); err != nil {
				return usage("there is no command %q that can be run", args[1])
			}
			x.args, x.path = args[1:], c.path(mount, "creds", args[0])
			if x.api, err = c.api(); err != nil {
				return err
			}
			return x.run(cmd.Context())
		},
	}
	c.flagMount(cmd, &mount)
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&x.prefix, "env-prefix", x.prefix, "what the variables' names `begin` with, instead of DATABASE_")
	f.StringVar(&x.file, "file", "", "write the login to this `file`, for its owner only, and not into the environment")
	f.StringVar(&x.format, "format", x.format, "how the file is written: `env or json`")
	f.StringVar(&change, "on-change", change, "what a new login does: `restart, signal or file`")
	f.StringVar(&signalName, "signal", signalName, "the `signal` of --on-change signal")
	f.DurationVar(&x.overlap, "overlap", x.overlap, "how `long` an old login stays valid after the file was replaced")
	f.DurationVar(&x.grace, "grace", x.grace, "how `long` a command that is restarted may take to end")
	for flag, words := range map[string][]string{"on-change": {"restart", "signal", "file"}, "format": {"env", "json"}, "signal": slices.Sorted(maps.Keys(sendable))} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
	return cmd
}

// childEnv is our environment without our token, and without the variables that
// are set for the child.
func (c *CLI) childEnv(without ...string) []string {
	without = append(without, "NIGHTPORTER_TOKEN", "VAULT_TOKEN")
	return slices.DeleteFunc(c.cfg.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(without, name)
	})
}

// keepLease renews a lease, and returns why it needs a successor, or "" when ctx
// ended first.
func (c *CLI) keepLease(ctx context.Context, api *client.Client, s *client.Secret) (why string) {
	if s.LeaseID == "" || s.LeaseDuration <= 0 {
		<-ctx.Done()
		return ""
	}
	k := keeper{
		life: s.TTL(), fixed: !s.Renewable,
		renew: func(ctx context.Context) (*client.Secret, error) { return api.RenewLease(ctx, s.LeaseID, s.TTL()) },
		look:  func(ctx context.Context) error { _, err := api.LookupLease(ctx, s.LeaseID); return err },
		warn:  func(text string) { c.warn([]string{text}) },
	}
	return k.run(ctx)
}

// endLease revokes at the end, also after an interrupt.
func (c *CLI) endLease(ctx context.Context, api *client.Client, id string) {
	if id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if err := api.RevokeLease(ctx, id); err != nil {
		c.sayf("%s the login could not be revoked, and ends with its lease: %s", c.talk.paint(needs, "warning:"), cleanLines(err.Error()))
		c.sayf("%s  nightporter secret lease revoke %s", c.talk.paint(strong, "hint:"), clean(id))
	}
}
