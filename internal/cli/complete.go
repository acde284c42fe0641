package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter/client"
)

// completing bounds how long a press of the tab key may take.
const completing = time.Second

type completion = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// names completes the first argument with names that the server knows now.
// Without a server there is nothing to offer, which is no error.
func (c *CLI) names(list func(context.Context, *client.Client) ([]string, error)) completion {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c.namesLike(cmd, list, typed), cobra.ShellCompDirectiveNoFileComp
	}
}

// flagNames completes a flag's value.
func (c *CLI) flagNames(cmd *cobra.Command, flag string, list func(context.Context, *client.Client) ([]string, error)) {
	_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return c.namesLike(cmd, list, typed), cobra.ShellCompDirectiveNoFileComp
	})
}

func (c *CLI) namesLike(cmd *cobra.Command, list func(context.Context, *client.Client) ([]string, error), typed string) []string {
	api, err := c.api()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completing)
	defer cancel()
	all, err := list(ctx, api)
	if err != nil {
		return nil
	}
	var like []string
	for _, name := range all {
		if strings.HasPrefix(name, typed) {
			like = append(like, name)
		}
	}
	return like
}

func serviceNames(ctx context.Context, api *client.Client) ([]string, error) {
	list, err := api.Services(ctx)
	return mapped(list, func(s client.Service) string { return s.Name + "\t" + s.Owner }), err
}

func environmentNames(ctx context.Context, api *client.Client) ([]string, error) {
	list, err := api.Environments(ctx)
	return mapped(list, func(e client.Environment) string { return e.Name + "\t" + string(e.Kind) }), err
}

func policyNames(ctx context.Context, api *client.Client) ([]string, error) {
	list, err := api.Policies(ctx)
	return mapped(list, func(p client.Policy) string { return p.Name }), err
}

// repoNames are the repositories of the services.
func repoNames(ctx context.Context, api *client.Client) ([]string, error) {
	list, err := api.Services(ctx)
	return mapped(list, func(s client.Service) string { return s.Repo.String() }), err
}

// waitingNames are the services whose release waits for a person.
func waitingNames(ctx context.Context, api *client.Client) ([]string, error) {
	list, err := client.First(api.Releases(ctx, client.ReleaseFilter{State: "waiting", PageSize: 50}), 50)
	return mapped(list, func(r client.Release) string { return r.Service + "\t" + r.Version + " waits" }), err
}

// releaseNames are the newest releases.
func releaseNames(ctx context.Context, api *client.Client) ([]string, error) {
	list, err := client.First(api.Releases(ctx, client.ReleaseFilter{PageSize: 50}), 50)
	return mapped(list, func(r client.Release) string { return r.ID + "\t" + r.Service + " " + r.Version + " " + r.State }), err
}

func mapped[T any](list []T, f func(T) string) []string {
	out := make([]string, len(list))
	for i, item := range list {
		out[i] = f(item)
	}
	return out
}
