package config

import (
	"fmt"
	"net"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones are judged the same on every machine

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
)

func (v *validator) environments() {
	for name, e := range sorted(v.c.Environments) {
		at := catalog.Key("environments", name)
		v.zone(at, e)
		v.approval(at+".approval", e.Approval)
		v.noSecrets(at+".cloud.variables", e.Cloud.Variables)
		switch e.Cloud.Kind {
		case "":
			if !reflect.DeepEqual(e.Cloud, defaultCloud()) {
				v.fail(at+".cloud", "add kind: terraform", "the cloud needs its kind")
			}
		case "terraform", "process":
			if e.Cloud.Repo == (Repo{}) {
				v.fail(at+".cloud", "add repo: github/infra", "%s needs the repository of its code", e.Cloud.Kind)
			}
		}
		if e.Schedule != "" && e.Cloud.Kind == "" && e.Kind != nightporter.Production {
			v.warn(at+".schedule", "add cloud: {kind: …}", "nothing is torn down at night, because %s has no cloud", name)
		}
		if !localPath(e.Cloud.Dir) {
			v.fail(at+".cloud.dir", "", "the folder must be inside the repository")
		}
		v.probes(at+".probes", e)
	}
}

// probes refuses a question that nobody could answer.
func (v *validator) probes(at string, e Environment) {
	services := make([]string, 0, len(v.c.Services))
	for _, s := range v.c.Services {
		services = append(services, s.Name)
	}
	for i, p := range e.Probes {
		here := catalog.At(at, i)
		v.known(here+".service", "service", p.Service, services)
		if !strings.HasPrefix(p.Path, "/") {
			v.fail(here+".path", "write /"+p.Path, "%q is not a path", p.Path)
		}
		if e.Cloud.Kind == "" {
			v.fail(here, "add cloud: {kind: …}", "probes are asked after a rebuild, and nothing is rebuilt without a cloud")
		}
		v.privateFile(here+".header_file", fileOf(p.Header))
	}
}

// approval refuses a count that asks nobody: whoever wants that writes none.
func (v *validator) approval(at string, a *Approval) {
	if a != nil && !a.None && a.Count < 1 {
		v.fail(at+".count", "write approval: none for continuous deployment", "at least one person must approve")
	}
}

// noSecrets warns of a value that others will see: in the list of processes, in
// a plan, in this file. The path of a file is none, by the custom of its name.
func (v *validator) noSecrets(at string, values map[string]string) {
	for name := range sorted(values) {
		if secretKey.MatchString(name+":") && !strings.HasSuffix(strings.ToUpper(name), "_FILE") {
			v.warn(catalog.Key(at, name), "use credentials, which are handed over privately", "%s sounds like a secret", name)
		}
	}
}

func defaultCloud() Cloud {
	var c Cloud
	setDefaults(valueOf(&c))
	return c
}

// zone checks the name of a zone. Abbreviations and offsets are refused: "IST" is
// three different zones, and "+01:00" knows no summer.
func (v *validator) zone(at string, e Environment) {
	if e.Timezone == "" {
		if windows := e.Schedule; windows != "" && windows != "always" && windows != "never" && e.Kind != nightporter.Production {
			v.fail(at, "add timezone: Europe/London", "a schedule needs the zone of its times")
		}
		return
	}
	if _, err := time.LoadLocation(e.Timezone); err != nil || e.Timezone != "UTC" && !strings.Contains(e.Timezone, "/") {
		v.fail(at+".timezone", "write a name of the IANA database, such as Europe/London", "%q is not a time zone", e.Timezone)
	}
}

func (v *validator) services() {
	for i, s := range v.c.Services {
		at := catalog.At("services", i)
		if s.Health.HTTP != "" && !strings.HasPrefix(s.Health.HTTP, "/") {
			v.fail(at+".health.http", "write /healthz", "the health check is a path on the service itself")
		}
		if s.Health.Within <= 0 {
			v.fail(at+".health.within", "write 5m", "a health check needs a time above 0")
		}
		for name, a := range sorted(s.Approval) {
			v.approval(catalog.Key(at+".approval", name), &a)
		}
		v.noSecrets(at+".deploy.env", s.Deploy.Env)
		waits := s.Artifact.WaitFor != WaitFor{}
		switch s.Deploy.Kind {
		case "helm":
			if s.Deploy.Chart == "" {
				v.fail(at+".deploy", "add chart: github/charts/base", "helm needs a chart")
			}
			if s.Artifact.Image == "" {
				v.fail(at, `add artifact: {image: "registry/name:{version}"}`, "helm deploys an image, and none is named")
			}
		case "command":
			if len(s.Deploy.Run) == 0 {
				v.fail(at+".deploy", "add run: [./deploy.sh]", "there is no command to run")
			}
			v.actions(at+".deploy.actions", s)
		case "process":
			if s.Artifact.Image != "" || waits {
				v.fail(at+".artifact", "remove it, or deploy with helm", "a process is built from the commit and does not use an image")
			}
		}
		if waits && s.Artifact.Image == "" && !s.Artifact.WaitFor.API {
			v.fail(at+".artifact", "add image", "there is nothing to wait for without an image")
		}
		for j, c := range s.Credentials {
			v.credentials(catalog.At(at+".credentials", j), c)
		}
		for _, list := range []struct {
			key   string
			files []string
		}{
			{"dashboards", s.Dashboards},
			{"rules", s.Rules},
			{"deploy.values", []string{s.Deploy.Values}},
			{"deploy.dir", []string{s.Deploy.Dir}},
		} {
			for _, file := range list.files {
				if file != "" && !localPath(file) {
					v.fail(at+"."+list.key, "", "%q must be inside the repository", file)
				}
			}
		}
	}
}

// actions checks what the program of a service says it can do.
func (v *validator) actions(at string, s Service) {
	can := map[string]bool{}
	for i, a := range s.Deploy.Actions {
		if !slices.Contains([]string{"deploy", "observe", "switch", "discard", "stop"}, a) {
			v.fail(catalog.At(at, i), "write observe, switch, discard or stop", "%q is no action of a command", a)
		}
		can[a] = true
	}
	if can["switch"] != can["discard"] {
		v.fail(at, "add the other one", "what is brought up beside the old version must be able to take over and to go")
	}
	for name, e := range sorted(v.c.Environments) {
		runs := len(s.Environments) == 0 || slices.Contains(s.Environments, name)
		if runs && !can["stop"] && e.Cloud.Kind != "" && e.Schedule != "" && e.Schedule != "always" && e.Kind != nightporter.Production {
			v.warn(at, "teach the program the action stop", "%s is torn down at night, and nothing can stop %s there: the night will not pass", name, s.Name)
		}
	}
}

// ours starts the paths that hold no credentials of services.
var ours = []string{"api/", "auth/", "sys/", "identity/", "cubbyhole/"}

// credentials checks a path of credentials: one thing to read, whatever the
// environment is called.
func (v *validator) credentials(at, path string) {
	plain := strings.ReplaceAll(path, "{environment}", "e")
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@"
	segment := func(s string) bool {
		return s != "" && s != "." && s != ".." && !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(safe, r) })
	}
	switch {
	case !strings.Contains(path, "/"):
		v.fail(at, "write database/creds/"+path, "%q is not a path of credentials", path)
	case slices.ContainsFunc(strings.Split(plain, "/"), func(s string) bool { return !segment(s) }):
		v.fail(at, "write database/creds/ledger, or database/creds/ledger-{environment}", "%q is not the path of one thing", path)
	case slices.ContainsFunc(ours, func(p string) bool { return strings.HasPrefix(path, p) }):
		v.fail(at, "name a path of a secrets engine", "%q holds no credentials", path)
	}
}

// localPath tells whether a path stays inside the repository it is used in.
func localPath(path string) bool { return filepath.IsLocal(path) }

func (v *validator) others() {
	c := v.c
	for name, d := range sorted(c.Databases) {
		at := catalog.Key("databases", name)
		if mount, base, ok := strings.Cut(name, "/"); !ok || mount == "" || base == "" {
			v.fail(at, "write mount/name, such as database/ledger-dev", "%q does not name a database", name)
		}
		v.known(at+".environment", "environment", d.Environment, names(c.Environments))
		if d.Environment == "" && d.Bootstrap != "" {
			v.fail(at, "add environment: …", "only the database of an environment that is rebuilt has a bootstrap")
		}
	}
	for name, w := range sorted(c.Workspaces) {
		at := catalog.Key("workspaces", name)
		if !workspaceName.MatchString(name) {
			v.fail(at, "use small letters, digits and dashes: team-payments", "%q cannot be the name of a workspace", name)
		}
		for i, s := range w.Services {
			v.known(catalog.At(at+".services", i), "service", s, serviceNames(c.Services))
		}
		for i, t := range w.Targets {
			address, _, _ := strings.Cut(t, "/")
			if _, _, err := net.SplitHostPort(address); err != nil {
				v.fail(catalog.At(at+".targets", i), "write host:port, such as db.acme.test:9187", "%q cannot be scraped", t)
			}
		}
		if w.Retention.Std() < time.Hour {
			v.fail(at+".retention", "write 15d", "samples are kept for an hour or longer")
		}
		if w.Remote != nil {
			v.warn(at+".remote", "remove it, or point the senders there", "remote workspaces are not part of this version: %s will answer that it is unavailable", name)
			v.webURL(at+".remote.write_url", w.Remote.WriteURL)
			v.webURL(at+".remote.read_url", w.Remote.ReadURL)
			v.privateFile(at+".remote.token_file", fileOf(w.Remote.Token))
		}
	}
	for i, e := range c.Repos.Exceptions {
		v.known(catalog.At("repos.exceptions", i)+".owner", "team", e.Owner, names(c.Teams))
	}
	for name := range sorted(c.Repos.Standard.Teams) {
		v.known(catalog.Key("repos.standard.teams", name), "team", name, names(c.Teams))
	}
	for at, text := range map[string]string{"versions.first": c.Versions.First, "repos.standard.initial_version": c.Repos.Standard.InitialVersion} {
		if _, err := nightporter.ParseVersion(text); text != "" && err != nil {
			v.fail(at, nightporter.HintOf(err), "%s", nightporter.MessageOf(err))
		}
	}
	if pre := c.Versions.Prerelease; pre != "" {
		if _, err := nightporter.ParseVersion("1.0.0-" + pre + ".1"); err != nil {
			v.fail("versions.prerelease", "write letters and digits: rc", "%q cannot be part of a version", pre)
		}
	}
	v.notify()
}

func serviceNames(list []Service) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = s.Name
	}
	return out
}

// workspaceName keeps a workspace one plain segment of paths, on disk and in
// policies.
var workspaceName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (v *validator) notify() {
	c := v.c
	for name, ch := range sorted(c.Notify) {
		at := catalog.Key("notify", name)
		v.known(at, "team or person", name, slices.Concat([]string{catalog.Operators}, names(c.Teams), names(c.People)))
		if ch.Slack == nil && ch.Webhook == nil && ch.Email == nil {
			v.fail(at, "add slack, webhook or email", "%s has no channel", at)
		}
		if ch.Webhook != nil {
			v.webURL(at+".webhook.url", ch.Webhook.URL)
			v.privateFile(at+".webhook.secret_file", fileOf(ch.Webhook.Secret))
		}
		if ch.Slack != nil {
			v.privateFile(at+".slack.webhook_file", fileOf(ch.Slack.Webhook))
		}
		if ch.Email != nil && len(ch.Email.To) == 0 && len(c.addresses(name)) == 0 {
			v.fail(at+".email", "write to: [ana@acme.test], or email under people", "nobody of %s has an address", name)
		}
		if ch.Email != nil && c.Mail == nil {
			v.fail(at+".email", "add mail: {server: …, from: …}", "there is no mail server")
		}
	}
	if m := c.Mail; m != nil {
		host, _, err := net.SplitHostPort(m.Server)
		if err != nil {
			v.fail("mail.server", "write smtp.acme.test:587", "%q is not a host and a port", m.Server)
		} else if m.TLS == "off" && !isLoopback(host) {
			v.fail("mail.tls", "use starttls", "mail would travel to %s in the clear", host)
		}
		v.privateFile("mail.password_file", fileOf(m.Password))
	}
}

// addresses are the mail addresses of whom an audience is made of.
func (c *Config) addresses(audience string) (list []string) {
	members := []string{audience}
	if audience == catalog.Operators {
		members = c.Operators
	} else if t, ok := c.Teams[audience]; ok {
		members = t.Members
	}
	for _, name := range members {
		if p, ok := c.People[name]; ok && p.Email != "" {
			list = append(list, p.Email)
		}
	}
	return list
}

// MailTo is where mail for an audience goes: the addresses of its channel, or those
// of its people.
func (c *Config) MailTo(audience string) []string {
	if e := c.Notify[audience].Email; e != nil && len(e.To) > 0 {
		return e.To
	}
	return c.addresses(audience)
}

// standby refuses what another machine could not take over.
func (v *validator) standby() {
	const hint = "use something that all porters reach, or remove standby"
	c := v.c
	if strings.HasPrefix(c.Store, "sqlite:") {
		v.fail("standby", "use store: postgres://…", "standby needs a store that all porters reach")
	}
	for name, e := range sorted(c.Environments) {
		at := catalog.Key("environments", name) + ".cloud"
		switch {
		case e.Cloud.Kind == "process":
			v.fail(at, hint, "the processes of %s live on one machine", name)
		case e.Cloud.Kind == "terraform" && e.Cloud.State == "local":
			v.fail(at+".state", "use a backend", "the Terraform state of %s lives on one machine", name)
		}
	}
	for i, s := range c.Services {
		if s.Deploy.Kind == "process" {
			v.fail(catalog.At("services", i)+".deploy", hint, "the processes of %s live on one machine", s.Name)
		}
	}
	for name, w := range sorted(c.Workspaces) {
		if w.Remote == nil {
			v.fail(catalog.Key("workspaces", name), "add remote, or remove standby", "the samples of %s live on one machine", name)
		}
	}
}

// known checks a name that refers to something; "" refers to nothing.
func (v *validator) known(at, kind, ref string, declared []string) {
	if ref == "" || slices.Contains(declared, ref) {
		return
	}
	hint := "declared: " + strings.Join(declared, ", ")
	if near := catalog.Nearest(ref, declared); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	} else if len(declared) == 0 {
		hint = "none is declared"
	}
	v.fail(at, hint, "there is no %s %q", kind, ref)
}

func names[V any](m map[string]V) []string {
	var out []string
	for name := range sorted(m) {
		out = append(out, name)
	}
	return out
}
