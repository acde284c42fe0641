package process

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/cloud"
)

// Inventory implements [cloud.Provider]: the processes that carry the
// environment's mark, and the folders that are there.
func (p *Provider) Inventory(ctx context.Context, t cloud.Target) ([]cloud.Resource, error) {
	if err := cloud.ValidateName("environment", t.Environment); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	records, err := p.records(t.Environment)
	if err != nil {
		return nil, err
	}
	known := map[string]*record{}
	for _, r := range records {
		known[r.Definition.Name] = r
	}
	all := []cloud.Resource{}
	add := func(r cloud.Resource) {
		r.Environment = t.Environment
		if k := known[r.Component]; k != nil {
			r.Protected, r.CreatedAt = k.Definition.Protected, k.CreatedAt
			if r.Kind == "process" && k.Definition.Port != 0 {
				r.Address = address(k.Definition.Port)
			}
		}
		all = append(all, r)
	}
	processes, err := p.Processes()
	if err != nil {
		return nil, err
	}
	for _, one := range processes {
		if one.Environment == t.Environment {
			add(cloud.Resource{ID: fmt.Sprintf("process/%d@%d", one.PID, one.Start), Kind: "process", Component: one.Component, PID: one.PID})
		}
	}
	folders, err := os.ReadDir(p.live(t.Environment, "data"))
	if err != nil && !notExist(err) {
		return nil, fmt.Errorf("list the folders of %s: %w", t.Environment, err)
	}
	for _, f := range folders {
		name := f.Name()
		if strings.HasPrefix(name, ".") {
			name = "" // a restore that was cut short
		}
		add(cloud.Resource{ID: "folder/" + t.Environment + "/" + f.Name(), Kind: "folder", Component: name, Path: p.live(t.Environment, "data", f.Name())})
	}
	if len(all) == 0 {
		// Also what only a crash leaves: code without a component.
		if _, err := os.Stat(p.live(t.Environment)); err == nil {
			add(cloud.Resource{ID: "folder/" + t.Environment, Kind: "folder", Path: p.live(t.Environment)})
		}
	}
	kept, err := p.captures(t.Environment)
	return append(all, kept...), err
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Probe implements [cloud.Provider].
func (p *Provider) Probe(ctx context.Context, t cloud.Target, component string) (cloud.Probe, error) {
	if err := cloud.ValidateName("environment", t.Environment); err != nil {
		return cloud.Probe{}, err
	}
	seen := cloud.Probe{Evidence: nightporter.Evidence{ObservedAt: p.cfg.Now().UTC(), Source: "/proc and " + p.live(t.Environment)}}
	if err := cloud.ValidateName("component", component); err != nil {
		return seen, err
	}
	unlock := p.door(t.Environment)
	r, err := p.record(t.Environment, component)
	alive := false
	if err == nil && r != nil {
		alive, err = p.alive(t.Environment, r)
	}
	unlock()
	if err != nil {
		return seen, err
	}
	if r == nil {
		seen.Hopeless, seen.Message = true, component+" does not exist"
		return seen, nil
	}
	seen.Lines = tail(p.operationDir(t.Environment, r.Operation, "output"), cloud.LogLines)
	if !alive {
		seen.Hopeless, seen.Message = true, component+" has ended"
		if r.Exit != "" {
			seen.Message = component + " " + r.Exit
		}
		return seen, nil
	}
	// The question is asked with no door closed: one that is slow to answer
	// holds nobody up.
	switch d := r.Definition; {
	case d.Ready.HTTP != "":
		p.probeHTTP(ctx, &seen, "http://"+address(d.Port)+d.Ready.HTTP)
	case d.Ready.TCP:
		probeTCP(ctx, &seen, address(d.Port))
	case len(d.Ready.Command) > 0:
		err = p.probeCommand(ctx, &seen, t.Environment, r)
	default:
		seen.Good, seen.Message = true, "is there"
	}
	return seen, err
}

func (p *Provider) probeHTTP(ctx context.Context, seen *cloud.Probe, url string) {
	seen.Evidence.Source = "GET " + url
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		seen.Hopeless, seen.Message = true, "cannot be asked: "+err.Error()
		return
	}
	res, err := p.client.Do(req)
	if err != nil {
		seen.Message = "does not answer"
		return
	}
	_ = res.Body.Close() // nothing of it is read
	seen.Good, seen.Message = res.StatusCode/100 == 2, "answers "+strconv.Itoa(res.StatusCode)
}

func probeTCP(ctx context.Context, seen *cloud.Probe, addr string) {
	seen.Evidence.Source = "connect to " + addr
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		seen.Message = "does not accept connections"
		return
	}
	_ = c.Close() // nothing was said
	seen.Good, seen.Message = true, "accepts connections"
}

func (p *Provider) probeCommand(ctx context.Context, seen *cloud.Probe, environment string, r *record) error {
	d := r.Definition
	v := values{Data: p.data(environment, d.Name), Code: p.codeDir(environment, r.Commit), Environment: environment, Port: d.Port, Ports: r.Ports}
	argv, err := expandAll(d.Ready.Command, v)
	if err != nil {
		return err
	}
	env, err := p.environment(&operation{asked: asked{Environment: environment, Component: d.Name}}, d, v)
	if err != nil {
		return err
	}
	seen.Evidence.Source = "run " + argv[0]
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = v.Data, environ(env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if p.user != nil {
		cmd.SysProcAttr.Credential = &p.user.credential
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(strings.ToValidUTF8(string(out), "\uFFFD"))
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		text = text[i+1:]
	}
	seen.Good, seen.Message = err == nil, text[:min(len(text), 200)]
	if err != nil && seen.Message == "" {
		seen.Message = "is not ready"
	}
	return nil
}
