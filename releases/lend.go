package releases

import (
	"context"
	"fmt"
	"time"

	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/provider/deploy"
)

// Lender lends instances what they read their credentials with. internal/app
// wires identity to it.
type Lender interface {
	// Lend prepares the credentials of one instance, which its key names.
	// Nothing is made before their Token is called; what nobody has opened
	// within that time ends by itself.
	Lend(service, environment, key string, within time.Duration) *deploy.Credentials
}

// Recaller takes back what was lent.
type Recaller interface {
	// Recall ends what was lent to instances of a service in an environment
	// that are not among the living, and the logins that they have. It is
	// idempotent, and done when it returns: their database may take longer.
	Recall(ctx context.Context, service, environment string, living []string) error
}

// minLent is how long an instance has at least to come for what it was lent.
const minLent = 5 * time.Minute

// request asks for an instance of a release in an environment. What it is lent
// follows the configuration as it is now, also when an old version is brought
// back; everything else is frozen with the release.
func (r *Releases) request(rel *Release, environment, key string) deploy.Request {
	req := deploy.Request{
		Key: key, Service: rel.Service, Environment: environment, Version: rel.Version, Commit: rel.Commit,
		Artifact: rel.frozen.Artifact, Command: rel.frozen.Command, Env: make(map[string]string, len(rel.frozen.Env)),
		Health: rel.frozen.Health, Drain: rel.frozen.Drain, Image: rel.frozen.Image, Dir: rel.frozen.Dir, Actions: rel.frozen.Actions,
		Timeout: rel.frozen.Timeout, Chart: rel.frozen.Chart,
	}
	for name, value := range rel.frozen.Env {
		req.Env[name] = catalog.InEnvironment(value, environment)
	}
	s, ok := r.cfg.Catalog.Current().Service(rel.Service)
	if ok && len(s.Credentials) > 0 && r.cfg.Lend != nil {
		req.Credentials = r.cfg.Lend.Lend(rel.Service, environment, key, max(minLent, rel.frozen.Health.Within))
	}
	return req
}

// recall ends what was lent to instances that are gone. It goes by what runs, so
// that it can follow every end and be called again after a crash; whoever calls
// it holds the service in the environment, so nobody is just starting another.
func (r *Releases) recall(ctx context.Context, p deploy.Deployer, service, environment string) error {
	if r.cfg.Recall == nil {
		return nil
	}
	instances, err := p.Running(ctx, service, environment)
	if err != nil {
		return err
	}
	keys := make([]string, len(instances))
	for i, instance := range instances {
		keys[i] = instance.Key
	}
	if err := r.cfg.Recall.Recall(ctx, service, environment, keys); err != nil {
		return fmt.Errorf("take the credentials of %s in %s back: %w", service, environment, err)
	}
	return nil
}
