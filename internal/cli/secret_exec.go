package cli

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter/client"
)

// farewell bounds the revocation at the end. What it does not reach ends by
// itself when the lease does.
const farewell = 30 * time.Second

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (c *CLI) secretExec() *cobra.Command {
	mount, prefix := "", "DATABASE_"
	cmd := &cobra.Command{
		Use: "exec ROLE -- COMMAND [ARGUMENT]...", Short: "Run a command with a login to a database that ends with it",
		Long: `The login is in the command's environment, as DATABASE_USERNAME and
DATABASE_PASSWORD, and nowhere else. It is renewed while the command runs and
revoked when it ends. The command gets the signals that this one gets, and not
the token. The exit code is the command's own; 128 and the signal when one ended it.`,
		Example: `  nightporter secret exec ledger -- ./ledger --port 8080
  nightporter secret exec ledger --env-prefix PG_ -- ./migrate up`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.ArgsLenAtDash() != 1 || len(args) < 2 {
				return usage("%s needs a role, two hyphens and a command", cmd.CommandPath()).hint("%s ledger -- ./ledger", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !envName.MatchString(prefix + "USERNAME") {
				return usage("--env-prefix %q makes no name of a variable", prefix)
			}
			// Before a login is made that nobody would use.
			program, err := exec.LookPath(args[1])
			if err != nil {
				return usage("there is no command %q that can be run", args[1])
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			secret, err := api.ReadSecret(cmd.Context(), c.path(mount, "creds", args[0]))
			if err != nil {
				return err
			}
			defer c.endLease(cmd.Context(), api, secret.LeaseID)
			l, err := readLogin(secret)
			if err != nil {
				return err
			}
			child := exec.Command(program, args[2:]...)
			child.Args[0] = args[1]
			child.Env = append(c.childEnv(prefix+"USERNAME", prefix+"PASSWORD"), prefix+"USERNAME="+l.Username, prefix+"PASSWORD="+l.Password)
			return c.runChild(cmd.Context(), child, func(ctx context.Context) { c.keepLease(ctx, api, secret) })
		},
	}
	c.flagMount(cmd, &mount)
	cmd.Flags().StringVar(&prefix, "env-prefix", prefix, "what the variables' names `begin` with, instead of DATABASE_")
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

// runChild runs a command to its end, with our streams and the signals that we
// get, and beside until then. An interrupt of ours does not kill the child: it
// gets the signal, and decides.
func (c *CLI) runChild(ctx context.Context, child *exec.Cmd, beside func(context.Context)) error {
	child.Stdout, child.Stderr = c.cfg.Stdout, c.cfg.Stderr
	if f, ok := c.cfg.Stdin.(*os.File); ok {
		child.Stdin = f // itself: a copy would wait for input after the child's end
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, c.forwarded()...)
	defer signal.Stop(signals)
	if err := ctx.Err(); err != nil {
		return err // interrupted before there was somebody to send it on to
	}
	if err := child.Start(); err != nil {
		return failed("the command cannot be run: %v", err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wait sync.WaitGroup
	wait.Go(func() { beside(ctx) })
	wait.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-signals:
				_ = child.Process.Signal(s) // it may have ended
			}
		}
	})
	err := child.Wait()
	stop()
	wait.Wait()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &ended):
		return failed("waiting for the command: %v", err)
	}
	code := ended.ExitCode()
	if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = 128 + int(status.Signal()) // as shells say it
	}
	return &exit{code: code}
}

// forwarded are the signals that go on to a child. What a terminal's keys send
// reaches every process in front of it already, so sending it on would double it.
// Whoever runs us catches it to end our context, so that we outlive the child.
func (c *CLI) forwarded() []os.Signal {
	list := []os.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2}
	if _, terminal := c.cfg.Terminal(c.cfg.Stdin); !terminal {
		list = append(list, syscall.SIGINT, syscall.SIGQUIT)
	}
	return list
}

// keepLease renews a lease at half its life until ctx ends, or until it cannot
// last longer, which is said.
func (c *CLI) keepLease(ctx context.Context, api *client.Client, s *client.Secret) {
	if s.LeaseID == "" || s.LeaseDuration <= 0 {
		return
	}
	if !s.Renewable {
		c.sayf("%s the login ends in %s and cannot be renewed", c.talk.paint(needs, "warning:"), s.TTL())
		return
	}
	k := keeper{
		life:  s.TTL(),
		renew: func(ctx context.Context) (*client.Secret, error) { return api.RenewLease(ctx, s.LeaseID, s.TTL()) },
		warn:  func(text string) { c.sayf("%s %s", c.talk.paint(needs, "warning:"), clean(text)) },
	}
	k.run(ctx)
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
