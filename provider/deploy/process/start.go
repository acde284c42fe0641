package process

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

// Start implements [deploy.Deployer].
func (d *Deployer) Start(ctx context.Context, r deploy.Request) (deploy.Token, error) {
	if err := r.Validate(); err != nil {
		return "", err
	}
	if err := validCommand(r.Service, r.Command); err != nil {
		return "", err
	}
	r = r.WithDefaults()
	defer d.door(r.Service + "/" + r.Environment)()

	id := instanceID(r.Key)
	i, err := d.load(id)
	if nightporter.CodeOf(err) == nightporter.NotFound {
		i, err = d.newInstance(r, id)
	}
	if err != nil {
		return "", err
	}
	if !r.SameAs(i.request()) {
		return "", nightporter.E(nightporter.Conflict, "the key %s already started %s of %s", r.Key, i.Version, i.place())
	}
	if _, err := d.refresh(i); err != nil {
		return "", err
	}
	if i.Claim != nil || i.role == deploy.Ended {
		return deploy.Token(id), nil
	}
	// Nobody has the key: nothing was started for it, or a child that a killed
	// predecessor made is just about to claim it. Either way one of us wins.
	dir, err := d.workingDir(i)
	if err != nil {
		return "", err
	}
	env := d.instanceEnv(i, r.Env)
	if r.Credentials != nil {
		file, err := d.handOver(ctx, i, *r.Credentials)
		if err != nil {
			return "", fmt.Errorf("handing credentials to %s: %w", i.place(), err)
		}
		env[deploy.AddressVariable], env[deploy.TokenFileVariable] = r.Credentials.Address, file
	}
	c, err := d.spawn(ctx, spawn{
		script: serviceScript, run: filepath.Join(d.instanceDir(id), "run"), dir: dir,
		log: filepath.Join(d.instanceDir(id), "log"), command: r.Command, env: env,
	})
	if err != nil {
		return "", fmt.Errorf("starting %s: %w", i.place(), err)
	}
	i.Claim, i.StartedAt = &c, d.cfg.Now().UTC()
	return deploy.Token(id), d.save(i)
}

// newInstance writes down what is asked, before anything is done about it.
func (d *Deployer) newInstance(r deploy.Request, id string) (*instance, error) {
	if r.Artifact != "" {
		if err := d.checkArtifact(r.Artifact); err != nil {
			return nil, err
		}
	}
	port, err := d.freePort()
	if err != nil {
		return nil, err
	}
	err = d.create(record{
		Key: r.Key, Service: r.Service, Environment: r.Environment, Version: r.Version, Commit: r.Commit, Artifact: r.Artifact,
		Command: r.Command, Health: r.Health, Drain: r.Drain, Port: port, CreatedAt: d.cfg.Now().UTC(),
	})
	if err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(d.placeDir(r.Service, r.Environment), "last"), []byte(id)); err != nil {
		return nil, fmt.Errorf("listing an instance of %s: %w", r.Service, err)
	}
	return d.load(id)
}

// request is what the record says was asked, as far as a key depends on it.
func (i instance) request() deploy.Request {
	return deploy.Request{Service: i.Service, Environment: i.Environment, Version: i.Version, Commit: i.Commit, Artifact: i.Artifact}
}

func (d *Deployer) workingDir(i *instance) (string, error) {
	if i.Artifact == "" {
		return filepath.Join(d.instanceDir(i.id), "run"), nil
	}
	return d.artifactDir(i.Artifact)
}

// instanceEnv is the whole environment of an instance: nothing is inherited.
func (d *Deployer) instanceEnv(i *instance, own map[string]string) map[string]string {
	env := d.baseEnv(filepath.Join(d.instanceDir(i.id), "run"))
	maps.Copy(env, own)
	maps.Copy(env, map[string]string{
		"PORT":                strconv.Itoa(i.Port),
		"NIGHTPORTER_VERSION": i.Version.String(),
		"NIGHTPORTER_COMMIT":  i.Commit,
		markService:           i.Service,
		markEnvironment:       i.Environment,
		markKey:               i.Key,
		markDir:               d.cfg.Dir,
	})
	return env
}

func (d *Deployer) baseEnv(home string) map[string]string {
	env := map[string]string{"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": home, "LANG": "C.UTF-8"}
	maps.Copy(env, d.cfg.Environment)
	return env
}

func validCommand(service string, command []string) error {
	if len(command) == 0 || command[0] == "" {
		return nightporter.E(nightporter.Invalid, "%s has no command to run", service)
	}
	if command[0][0] == '-' {
		return nightporter.E(nightporter.Invalid, "the command of %s starts with %q, which is no program", service, command[0])
	}
	return nil
}

// freePort picks a port that nothing listens on. Between this look and the
// service's own bind something else could take it, which the service then says;
// a new attempt gets another port.
func (d *Deployer) freePort() (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.cfg.LastPort - d.cfg.FirstPort + 1
	first := rand.IntN(n)
	for k := range n {
		port := d.cfg.FirstPort + (first+k)%n
		if d.ports[port] {
			continue
		}
		l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return 0, fmt.Errorf("looking for a port: %w", err)
		}
		d.ports[port] = true
		return port, nil
	}
	return 0, nightporter.E(nightporter.Unavailable, "all ports from %d to %d are taken", d.cfg.FirstPort, d.cfg.LastPort)
}

// releasePort lets the port of an ended instance be used again.
func (d *Deployer) releasePort(port int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.ports, port)
}
