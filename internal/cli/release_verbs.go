package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

func (c *CLI) releaseApprove() *cobra.Command {
	var wait patience
	var past passing
	comment := ""
	cmd := &cobra.Command{
		Use: "approve ID|SERVICE", Short: "Let a release that waits go on",
		Example: `  nightporter release approve ledger
  nightporter release approve rel_0198c0ffee00 --comment "checked in preprod" --detach
  nightporter release approve ledger --override-freeze "customers cannot pay"`,
		Args: takes(1, 1), ValidArgsFunction: c.names(waitingNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, err := past.with(cmd.Context(), cmd)
			if err != nil {
				return err
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			id, err := waitingRelease(ctx, api, args[0])
			if err != nil {
				return err
			}
			if _, err := api.Approve(ctx, id, comment); err != nil {
				return err
			}
			d, err := api.Release(ctx, id)
			if err != nil {
				return err
			}
			c.sayf("Approved %s.", clean(d.Service+" "+d.Version))
			return c.stay(ctx, api, d.Run, wait, settle)
		},
	}
	cmd.Flags().StringVarP(&comment, "comment", "m", "", "a `word` for those who read it later")
	past.flag(cmd)
	wait.flags(cmd)
	return cmd
}

func (c *CLI) releaseReject() *cobra.Command {
	var ask consent
	comment := ""
	cmd := &cobra.Command{
		Use: "reject ID|SERVICE", Short: "Say no to a release that waits: it ends",
		Example: `  nightporter release reject ledger --comment "the migration locks the table"
  nightporter release reject rel_0198c0ffee00 --yes`,
		Args: takes(1, 1), ValidArgsFunction: c.names(waitingNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			api, err := c.api()
			if err != nil {
				return err
			}
			id, err := waitingRelease(ctx, api, args[0])
			if err != nil {
				return err
			}
			d, err := api.Release(ctx, id)
			if err != nil {
				return err
			}
			if err := c.agree(ask,
				fmt.Sprintf("Release %s of %s %s ends. %s keeps what it runs.", d.ID, d.Service, d.Version, first(d.WaitsFor, "Production"))); err != nil {
				return err
			}
			if _, err := api.Reject(ctx, id, comment); err != nil {
				return err
			}
			if c.json {
				return c.printJSON(client.Accepted{Release: id})
			}
			c.sayf("Rejected %s. Its version can be tried again with: nightporter release retry %s", clean(d.Service+" "+d.Version), clean(id))
			return nil
		},
	}
	cmd.Flags().StringVarP(&comment, "comment", "m", "", "why, for the authors to read")
	ask.flag(cmd)
	return cmd
}

func (c *CLI) releaseRetry() *cobra.Command {
	var wait patience
	var past passing
	cmd := &cobra.Command{
		Use: "retry ID|SERVICE", Short: "Deploy the same version again where it does not run yet",
		Example: `  nightporter release retry ledger
  nightporter release retry rel_0198c0ffee00 --timeout 10m`,
		Args: takes(1, 1), ValidArgsFunction: c.names(releaseNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, err := past.with(cmd.Context(), cmd)
			if err != nil {
				return err
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			id, err := newestRelease(ctx, api, args[0])
			if err != nil {
				return err
			}
			done, err := api.Retry(ctx, id)
			if err != nil {
				return err
			}
			return c.stay(ctx, api, done.Run, wait, 0)
		},
	}
	past.flag(cmd)
	wait.flags(cmd)
	return cmd
}

func (c *CLI) releasePromote() *cobra.Command {
	var wait patience
	var past passing
	to := ""
	cmd := &cobra.Command{
		Use: "promote SERVICE|ID [VERSION] --to ENVIRONMENT", Short: "Bring a version into an environment, older or newer than what runs there",
		Example: `  nightporter release promote ledger 1.4.0 --to prod
  nightporter release promote ledger --to preprod`,
		Args: takes(1, 2), ValidArgsFunction: c.names(serviceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, err := past.with(cmd.Context(), cmd)
			if err != nil {
				return err
			}
			if to == "" {
				return usage("which environment?").hint("name it: %s %s --to prod", cmd.CommandPath(), strings.Join(args, " "))
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			if len(args) == 2 {
				version, err := nightporter.ParseVersion(args[1])
				if err != nil {
					return usage("%s", nightporter.MessageOf(err)).hint("%s", nightporter.HintOf(err))
				}
				rel, err := api.Deploy(ctx, args[0], version.String(), to)
				if err != nil {
					return err
				}
				return c.stay(ctx, api, rel.Run, wait, 0)
			}
			id, err := newestRelease(ctx, api, args[0])
			if err != nil {
				return err
			}
			done, err := api.Promote(ctx, id, to)
			if err != nil {
				return err
			}
			return c.stay(ctx, api, done.Run, wait, 0)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the `environment`")
	past.flag(cmd)
	wait.flags(cmd)
	c.flagNames(cmd, "to", environmentNames)
	return cmd
}

func (c *CLI) releaseRollback() *cobra.Command {
	var wait patience
	var ask consent
	env, reason := "", ""
	cmd := &cobra.Command{
		Use: "rollback SERVICE|ID", Short: "Bring back what was healthy before, without an approval",
		Example: `  nightporter release rollback ledger --reason "payments are slow"
  nightporter release rollback ledger --env preprod --yes`,
		Args: takes(1, 1), ValidArgsFunction: c.names(serviceNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			api, err := c.api()
			if err != nil {
				return err
			}
			id, err := newestRelease(ctx, api, args[0])
			if err != nil {
				return err
			}
			d, err := api.Release(ctx, id)
			if err != nil {
				return err
			}
			where, production, err := rollbackIn(ctx, api, d, env)
			if err != nil {
				return err
			}
			if production {
				ask.name = d.Service
			}
			if err := c.agree(ask,
				runsNow(d, where),
				"It goes back to the version that was healthy there before. Nobody is asked for an approval.",
				"The present version is marked bad and is not promoted by itself any more.",
			); err != nil {
				return err
			}
			done, err := api.Rollback(ctx, id, where, reason)
			if err != nil {
				return err
			}
			return c.stay(ctx, api, done.Run, wait, 0)
		},
	}
	cmd.Flags().StringVar(&env, "env", "", "the `environment` (default production)")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who read it later")
	ask.flag(cmd)
	wait.flags(cmd)
	c.flagNames(cmd, "env", environmentNames)
	return cmd
}

// rollbackIn is the environment to roll back in: the one that was named, or the
// last that is production. The plan that a person agrees to must name it, so the
// server's own choice is not good enough.
func rollbackIn(ctx context.Context, api *client.Client, d *client.ReleaseDetail, env string) (name string, production bool, err error) {
	list, err := api.Environments(ctx)
	if err != nil {
		return "", false, err
	}
	name = env
	for _, e := range list {
		isProduction := e.Kind == nightporter.Production
		if env == "" && isProduction {
			name = e.Name
		}
		if e.Name == name {
			production = isProduction
		}
	}
	if name == "" {
		return "", false, usage("which environment? %s has none that is production", d.Service).hint("name it: --env dev")
	}
	return name, production, nil
}

func runsNow(d *client.ReleaseDetail, env string) string {
	for _, p := range d.Environments {
		if p.Environment == env {
			return fmt.Sprintf("%s runs %s %s.", env, d.Service, p.Version)
		}
	}
	return fmt.Sprintf("%s runs nothing of %s that is known.", env, d.Service)
}

// stay follows the run of a release, unless told not to, and says how it ended.
func (c *CLI) stay(ctx context.Context, api *client.Client, run string, wait patience, polls int) error {
	if run == "" {
		return nil
	}
	if wait.detach {
		if c.json {
			return c.printJSON(struct {
				Run string `json:"run"`
			}{run})
		}
		c.printf("%s\n", clean(run))
		c.sayf("%s", c.talk.paint(quiet, "follow it with: nightporter run follow "+clean(run)))
		return nil
	}
	work, err := c.follow(ctx, api, run, wait.timeout, polls)
	if err != nil {
		return err
	}
	return c.ended(ctx, api, work)
}

// ended says how a followed run stands: its release when it has one.
func (c *CLI) ended(ctx context.Context, api *client.Client, work *client.Run) error {
	if work.Subject.Kind != "release" {
		if c.json {
			if err := c.printJSON(work); err != nil {
				return err
			}
		} else if work.State == "succeeded" {
			c.printf("Run %s succeeded.\n", clean(work.ID))
		}
		return runError(work, "run "+work.ID)
	}
	d, err := api.Release(ctx, work.Subject.ID)
	if err != nil {
		return err
	}
	if c.json {
		if err := c.printJSON(d); err != nil {
			return err
		}
	}
	name := d.Service + " " + d.Version
	say := func(format string, args ...any) {
		if !c.json {
			c.printf("%s\n", clean(fmt.Sprintf(format, args...)))
		}
	}
	if err := runError(work, name); err != nil {
		return releaseError(d, err)
	}
	switch d.State {
	case "healthy":
		say("%s is healthy%s.", name, inTarget(d))
	case "waiting":
		say("%s waits for an approval for %s.", name, first(d.WaitsFor, "the next environment"))
		c.sayf("%s", c.talk.paint(quiet, "go on with: nightporter release approve "+clean(d.ID)))
	case "held":
		say("%s is held: %s", name, d.Message)
	default:
		say("%s: %s", name, lookOf(d.State).word)
	}
	return nil
}

func inTarget(d *client.ReleaseDetail) string {
	if d.Target != "" {
		return " in " + d.Target
	}
	return " in " + first(strings.Join(mapped(d.Environments, func(p client.Placement) string { return p.Environment }), ", "), "every environment")
}

// releaseError says it in the release's words, which know more than the run's.
func releaseError(d *client.ReleaseDetail, err error) error {
	e, ok := err.(*exit)
	if !ok {
		return err
	}
	e.message = fmt.Sprintf("%s %s %s", d.Service, d.Version, lookOf(d.State).word)
	if d.Message != "" {
		e.message += ": " + d.Message
	}
	return e.hint("nightporter release show %s", d.ID)
}
