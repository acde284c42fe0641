package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/egress"
	"nightporter.dev/nightporter/internal/mirror"
	"nightporter.dev/nightporter/provider/cloud"
	cloudmem "nightporter.dev/nightporter/provider/cloud/mem"
	cloudprocess "nightporter.dev/nightporter/provider/cloud/process"
	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/deploy/command"
	deploymem "nightporter.dev/nightporter/provider/deploy/mem"
	"nightporter.dev/nightporter/provider/deploy/process"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/forge/gitea"
	"nightporter.dev/nightporter/provider/forge/github"
	forgemem "nightporter.dev/nightporter/provider/forge/mem"
	"nightporter.dev/nightporter/provider/notify"
	"nightporter.dev/nightporter/provider/notify/slack"
	"nightporter.dev/nightporter/provider/notify/webhook"
	"nightporter.dev/nightporter/releases"
	"nightporter.dev/nightporter/security/leaks"
)

// Providers are the far ends that the house works with.
type Providers struct {
	Forges    map[string]forge.Forge     // by the name in the configuration
	Deployers map[string]deploy.Deployer // by the kind of deploy target
	Source    releases.Source            // checkouts; nil where nothing is built
	Charts    releases.Charts            // nil where nothing installs charts
	Clouds    map[string]cloud.Provider  // by the kind of cloud
	// Infrastructure gives the code that environments are built from; nil
	// where there is none.
	Infrastructure environments.Source
	// Histories gives what is searched for secrets; nil where there is none.
	Histories leaks.Source
	// Channels are how a team, a person or "operators" is told something.
	Channels   map[string][]notify.Notifier
	SweepEvery time.Duration // of the forges; 0 means the default

	close []func() error
}

// Close gives back what the providers hold. Deployed services go on.
func (p *Providers) Close() error {
	var err error
	for _, c := range p.close {
		err = errors.Join(err, c())
	}
	return err
}

// makeProviders makes what the configuration names.
func (a *App) makeProviders(ctx context.Context) (*Providers, error) {
	p := &Providers{Forges: map[string]forge.Forge{}, Deployers: map[string]deploy.Deployer{}, Channels: map[string][]notify.Notifier{}}
	cfg := a.config.Load()
	for name, f := range cfg.Forges {
		made, err := a.makeForge("forges."+name, f)
		if err != nil {
			return nil, fmt.Errorf("forge %s: %w", name, err)
		}
		p.Forges[name] = made
		if every := time.Duration(f.Sweep); p.SweepEvery == 0 || every < p.SweepEvery {
			p.SweepEvery = every
		}
	}
	var err error
	if p.Channels, err = a.makeAllChannels(ctx, cfg); err != nil {
		return nil, err
	}
	if err := errors.Join(a.makeDeployers(p), a.makeClouds(p)); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, a.makeSource(p)
}

// makeForge makes the forge that stands at place in the configuration.
func (a *App) makeForge(place string, f config.Forge) (forge.Forge, error) {
	switch f.Kind {
	case "github":
		c := github.Config{
			BaseURL: f.URL, Organisation: f.Organisation, UserAgent: "nightporter/" + a.opts.Version,
			Client: a.client(f.URL), RequestID: nightporter.RequestIDFrom,
		}
		if !f.Token.IsZero() {
			c.Token = func(ctx context.Context) (string, error) { return a.resolve(ctx, place+".token", f.Token) }
		}
		if f.App != nil {
			key := func(ctx context.Context) ([]byte, error) {
				key, err := a.resolve(ctx, place+".app.key", f.App.Key)
				return []byte(key), err
			}
			c.App = &github.App{ID: f.App.ID, Installation: f.App.Installation, ReadKey: key}
			if !f.App.Key.Stored() {
				if _, err := key(context.Background()); err != nil {
					return nil, err
				}
			}
		}
		if !f.WebhookSecret.IsZero() {
			c.WebhookSecret = func() ([]byte, error) {
				s, err := a.resolve(context.Background(), place+".webhook_secret", f.WebhookSecret)
				return []byte(s), err
			}
		}
		return github.New(c)
	case "gitea":
		c := gitea.Config{BaseURL: f.URL, Organisation: f.Organisation, UserAgent: "nightporter/" + a.opts.Version, Client: a.client(f.URL)}
		if !f.Token.IsZero() {
			c.Token = func(ctx context.Context) (string, error) { return a.resolve(ctx, place+".token", f.Token) }
		}
		if !f.WebhookSecret.IsZero() {
			c.WebhookSecret = func() ([]byte, error) {
				s, err := a.resolve(context.Background(), place+".webhook_secret", f.WebhookSecret)
				return []byte(s), err
			}
		}
		return gitea.New(c)
	case "mem":
		return forgemem.New(forgemem.Config{})
	}
	return nil, nightporter.E(nightporter.Invalid, "this version cannot talk to a forge of the kind %q", f.Kind)
}

func (a *App) makeChannels(ctx context.Context, place, audience string, c config.Channels, cfg *config.Config) ([]notify.Notifier, error) {
	var out []notify.Notifier
	if c.Email != nil {
		n, err := a.makeMail(ctx, audience, cfg)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	if c.Slack != nil {
		n, err := channel(ctx, c.Slack.Webhook, func(ctx context.Context) (notify.Notifier, error) {
			address, err := a.resolve(ctx, place+".slack.webhook", c.Slack.Webhook)
			if err != nil {
				return nil, err
			}
			return slack.New(slack.Config{URL: address, Client: a.client("")})
		})
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	if c.Webhook != nil {
		n, err := channel(ctx, c.Webhook.Secret, func(ctx context.Context) (notify.Notifier, error) {
			secret, err := a.resolve(ctx, place+".webhook.secret", c.Webhook.Secret)
			if err != nil {
				return nil, err
			}
			return webhook.New(webhook.Config{URL: c.Webhook.URL, Secret: []byte(secret), Client: a.client(c.Webhook.URL)})
		})
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

// makeDeployers makes the deploy targets that services name.
func (a *App) makeDeployers(p *Providers) error {
	cfg := a.config.Load()
	kinds := map[string]bool{}
	for _, s := range cfg.Services {
		kinds[s.Deploy.Kind] = true
	}
	if kinds["mem"] {
		d, err := deploymem.New(deploymem.Config{})
		if err != nil {
			return err
		}
		p.Deployers["mem"] = d
	}
	if kinds["helm"] {
		if err := a.makeHelm(p); err != nil {
			return err
		}
	}
	if kinds["process"] {
		d, err := a.makeProcesses(p, "deploy")
		if err != nil {
			return err
		}
		p.Deployers["process"] = d
	}
	if kinds["command"] {
		jobs, err := a.makeProcesses(p, "command")
		if err != nil {
			return err
		}
		dir, err := a.dataDir("deployments")
		if err != nil {
			return err
		}
		if p.Deployers["command"], err = command.New(command.Config{Dir: dir, Jobs: jobs, Builder: jobs}); err != nil {
			return err
		}
	}
	return nil
}

// makeProcesses makes what runs other people's programs on this machine, in a
// folder of its own.
func (a *App) makeProcesses(p *Providers, folder string) (*process.Deployer, error) {
	cfg := a.config.Load()
	dir, err := a.dataDir(folder)
	if err != nil {
		return nil, err
	}
	c := process.Config{Dir: dir, RunAs: cfg.RunAs, Environment: inherited(cfg.RunEnv)}
	if cfg.SameUser == "allowed" || a.opts.Dev {
		c.SameUser = process.Allowed
	}
	d, err := process.New(c)
	if err != nil {
		return nil, err
	}
	p.close = append(p.close, d.Close)
	return d, nil
}

// makeSource lets builds fetch from the forges.
func (a *App) makeSource(p *Providers) error {
	if len(p.Forges) == 0 {
		return nil
	}
	dir, err := a.dataDir("git")
	if err != nil {
		return err
	}
	remotes, protocols := map[string]mirror.Remote{}, []string{"https"}
	for name, f := range p.Forges {
		remotes[name] = remote{f}
		if u, err := url.Parse(a.config.Load().Forges[name].URL); err == nil && u.Scheme == "http" && isLoopback(u.Hostname()) {
			protocols = append(protocols, "http")
		}
	}
	m, err := mirror.New(mirror.Config{Dir: filepath.Join(dir), Remotes: remotes, Protocols: slices.Compact(protocols)})
	if err != nil {
		return err
	}
	p.Source, p.Infrastructure, p.Histories, p.Charts = m, m, m, newChartbox(m)
	return nil
}

// makeClouds makes what environments are made of.
func (a *App) makeClouds(p *Providers) error {
	cfg := a.config.Load()
	p.Clouds = map[string]cloud.Provider{}
	for name, e := range cfg.Environments {
		if e.Cloud.Kind == "" || p.Clouds[e.Cloud.Kind] != nil {
			continue
		}
		switch e.Cloud.Kind {
		case "mem":
			made, err := cloudmem.New(cloudmem.Config{})
			if err != nil {
				return err
			}
			p.Clouds["mem"] = made
		case "process":
			dir, err := a.dataDir("environments")
			if err != nil {
				return err
			}
			c := cloudprocess.Config{Dir: dir, RunAs: cfg.RunAs, Environment: inherited(cfg.RunEnv)}
			if cfg.SameUser == "allowed" || a.opts.Dev {
				c.SameUser = cloudprocess.Allowed
			}
			made, err := cloudprocess.New(c)
			if err != nil {
				return err
			}
			p.Clouds["process"] = made
		case "terraform":
			made, err := a.makeTerraform()
			if err != nil {
				return err
			}
			p.Clouds["terraform"] = made
			p.close = append(p.close, made.Close)
		default:
			return nightporter.E(nightporter.Invalid, "this version cannot build %s: clouds of the kind %q follow later", name, e.Cloud.Kind)
		}
	}
	return nil
}

// inherited are the variables that other people's code is given of ours.
func inherited(names []string) map[string]string {
	env := map[string]string{}
	for _, name := range names {
		if v, ok := os.LookupEnv(name); ok {
			env[name] = v
		}
	}
	return env
}

// remote lets the mirror fetch from a forge.
type remote struct{ f forge.Forge }

func (r remote) CloneURL(repo string) string { return r.f.CloneURL(repo) }

func (r remote) Credentials(ctx context.Context, repo string) (mirror.Credentials, error) {
	c, err := r.f.GitCredentials(ctx, repo)
	return mirror.Credentials{Username: c.Username, Password: c.Password}, err
}

// client calls addresses that the configuration names, guarded on the connected
// address. An address that was written down as one of this machine may be called.
func (a *App) client(address string) *http.Client {
	host := ""
	if u, err := url.Parse(address); err == nil {
		host = u.Host
	}
	return egress.Client(egress.Config{Allow: a.allowed(host)})
}

// allowed are the classes of address that may be reached for an address that the
// configuration names, a host with or without its port.
func (a *App) allowed(address string) []egress.Class {
	allow := []egress.Class{egress.Public}
	for _, text := range a.config.Load().Egress.Allow {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			allow = append(allow, egress.Classify(prefix.Addr()))
		}
	}
	host := address
	if h, _, err := net.SplitHostPort(address); err == nil {
		host = h
	}
	if isLoopback(strings.Trim(host, "[]")) {
		allow = append(allow, egress.Loopback)
	}
	return allow
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || host == "localhost"
}
