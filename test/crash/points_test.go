package crash

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/releases"
)

// killer ends this process at one pass of one point, the way kill -9 does, and
// writes every pass down.
type killer struct {
	point  string // "" kills nowhere
	pass   int    // from 1
	record *os.File

	mu     sync.Mutex
	passes map[string]int
}

func (k *killer) at(point string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.passes[point]++
	fmt.Fprintln(k.record, point)
	if point == k.point && k.passes[point] == k.pass {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // to oneself it cannot fail
		select {}                                      // nothing may happen any more
	}
}

// around makes two points of a verb.
func around[T any](k *killer, verb string, call func() (T, error)) (T, error) {
	k.at(verb + ":before")
	out, err := call()
	k.at(verb + ":after")
	return out, err
}

func aroundError(k *killer, verb string, call func() error) error {
	_, err := around(k, verb, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// The verbs that the story uses. What the wrappers leave alone is for other
// stories: Stop, Running and Logs of a deployer are the night's, a cancelled
// release's and the console's; History is for repositories that come back after
// weeks.
var verbs = []string{
	"forge.Sweep", "forge.Refresh", "forge.Tags", "forge.CreateTag", "forge.MoveTag", "forge.CreateRelease", "forge.SetStatus",
	"source.Checkout",
	"deploy.Build", "deploy.ObserveBuild", "deploy.Start", "deploy.Observe", "deploy.Switch", "deploy.Discard",
}

// The changes and the bookkeeping that the story passes the gate with.
var commits = []string{
	"hook.receive", "forge.observe", "repo.observe", "outbox.deliver",
	"version.intend", "version.cut",
	"release.record", "release.open", "release.wait", "release.approve",
	"service.shipped",
	"step.start", "step.keep", "step.wait", "step.done", "step.failed", "run.heartbeat",
	"token.create", "audit.key",
}

// registered are the points that every recording must contain.
func registered() []string {
	var out []string
	for _, c := range commits {
		out = append(out, "gate:before:"+c, "gate:after:"+c)
	}
	for _, v := range verbs {
		out = append(out, v+":before", v+":after")
	}
	return out
}

// forgeAt is a forge with points.
type forgeAt struct {
	forge.Forge
	k *killer
}

func (f forgeAt) Sweep(ctx context.Context, known forge.Known) ([]forge.RepoState, error) {
	return around(f.k, "forge.Sweep", func() ([]forge.RepoState, error) { return f.Forge.Sweep(ctx, known) })
}

func (f forgeAt) Refresh(ctx context.Context, repo, since string) (forge.RepoState, error) {
	return around(f.k, "forge.Refresh", func() (forge.RepoState, error) { return f.Forge.Refresh(ctx, repo, since) })
}

func (f forgeAt) Tags(ctx context.Context, repo string) (map[string]string, error) {
	return around(f.k, "forge.Tags", func() (map[string]string, error) { return f.Forge.Tags(ctx, repo) })
}

func (f forgeAt) CreateTag(ctx context.Context, repo, tag, commit string) error {
	return aroundError(f.k, "forge.CreateTag", func() error { return f.Forge.CreateTag(ctx, repo, tag, commit) })
}

func (f forgeAt) MoveTag(ctx context.Context, repo, tag, commit string) error {
	return aroundError(f.k, "forge.MoveTag", func() error { return f.Forge.MoveTag(ctx, repo, tag, commit) })
}

func (f forgeAt) CreateRelease(ctx context.Context, repo string, r forge.Release) (string, error) {
	return around(f.k, "forge.CreateRelease", func() (string, error) { return f.Forge.CreateRelease(ctx, repo, r) })
}

func (f forgeAt) SetStatus(ctx context.Context, repo, commit string, s forge.Status) error {
	return aroundError(f.k, "forge.SetStatus", func() error { return f.Forge.SetStatus(ctx, repo, commit, s) })
}

// deployerAt is a deployer with points.
type deployerAt struct {
	builder
	k *killer
}

type builder interface {
	deploy.Deployer
	deploy.Builder
}

func (d deployerAt) Build(ctx context.Context, r deploy.BuildRequest) (deploy.Token, error) {
	return around(d.k, "deploy.Build", func() (deploy.Token, error) { return d.builder.Build(ctx, r) })
}

func (d deployerAt) ObserveBuild(ctx context.Context, t deploy.Token) (deploy.BuildObservation, error) {
	return around(d.k, "deploy.ObserveBuild", func() (deploy.BuildObservation, error) { return d.builder.ObserveBuild(ctx, t) })
}

func (d deployerAt) Start(ctx context.Context, r deploy.Request) (deploy.Token, error) {
	return around(d.k, "deploy.Start", func() (deploy.Token, error) { return d.builder.Start(ctx, r) })
}

func (d deployerAt) Observe(ctx context.Context, t deploy.Token) (deploy.Observation, error) {
	return around(d.k, "deploy.Observe", func() (deploy.Observation, error) { return d.builder.Observe(ctx, t) })
}

func (d deployerAt) Switch(ctx context.Context, t deploy.Token) (deploy.Progress, error) {
	return around(d.k, "deploy.Switch", func() (deploy.Progress, error) { return d.builder.Switch(ctx, t) })
}

func (d deployerAt) Discard(ctx context.Context, t deploy.Token) (deploy.Progress, error) {
	return around(d.k, "deploy.Discard", func() (deploy.Progress, error) { return d.builder.Discard(ctx, t) })
}

// sourceAt is a source of checkouts with points.
type sourceAt struct {
	releases.Source
	k *killer
}

func (s sourceAt) Checkout(ctx context.Context, repo nightporter.Repo, commit string) (dir string, done func(), err error) {
	s.k.at("source.Checkout:before")
	dir, done, err = s.Source.Checkout(ctx, repo, commit)
	s.k.at("source.Checkout:after")
	return dir, done, err
}
