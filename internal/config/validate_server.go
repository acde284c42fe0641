package config

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
)

func (v *validator) server() {
	c := v.c
	host, _, err := net.SplitHostPort(c.Listen)
	switch {
	case err != nil:
		v.fail("listen", "write host:port, such as 127.0.0.1:8200", "%q is not an address to listen on", c.Listen)
	case !isLoopback(host) && !c.TLS.Set():
		v.fail("listen", "set tls: {cert_file: …, key_file: …}, or tls: off when something in front of the porter does it",
			"%s can be reached from outside, and tokens would travel in the clear", c.Listen)
	}
	switch t := c.TLS; {
	case t.ACME != nil && (t.CertFile != "" || t.KeyFile != ""):
		v.fail("tls", "keep one", "certificates come from files or from acme, not from both")
	case (t.CertFile == "") != (t.KeyFile == ""):
		v.fail("tls", "", "cert_file and key_file belong together")
	case t.ACME != nil && len(t.ACME.Domains) == 0:
		v.fail("tls.acme.domains", "", "acme needs a domain")
	}
	v.privateFile("tls.key_file", string(c.TLS.KeyFile))
	if c.URL != "" {
		v.webURL("url", c.URL)
	}
	v.store()
	v.seal()
	v.privateFile("store_password_file", fileOf(c.StorePassword))
	v.audit()
	if c.SameUser == "allowed" {
		v.warn("same_user", "make a user for it and set run_as", "builds and deployed services can read the store and its key")
	}
	for i, r := range c.Egress.Allow {
		if _, err := netip.ParsePrefix(r); err != nil {
			v.fail(catalog.At("egress.allow", i), "write 10.20.0.0/16", "%q is not a range of addresses", r)
		}
	}
}

func (v *validator) store() {
	store := v.c.Store
	switch {
	case strings.HasPrefix(store, "sqlite:") && len(store) > len("sqlite:"),
		strings.HasPrefix(store, "env:") && len(store) > len("env:"):
	case strings.HasPrefix(store, "postgres://"), strings.HasPrefix(store, "postgresql://"):
		u, err := url.Parse(store)
		if err != nil {
			v.fail("store", "", "the URL of the store cannot be read")
			return
		}
		if _, set := u.User.Password(); set {
			v.warn("store", "move it to store_password_file, or write store: env:NAME", "the password of the store stands in this file")
		}
	default:
		v.fail("store", "write sqlite:data/nightporter.db, postgres://host/database or env:NAME", "this is no store")
	}
}

func (v *validator) seal() {
	c := v.c
	if c.Seal.Kind != "file" {
		return
	}
	if c.Seal.Path == "" {
		v.fail("seal.path", "", "the seal needs a key file")
		return
	}
	if file, ok := strings.CutPrefix(c.Store, "sqlite:"); ok && filepath.IsAbs(file) && inside(string(c.Seal.Path), filepath.Dir(file)) {
		v.fail("seal.path", "keep it elsewhere, such as /etc/nightporter/unseal.key",
			"the key file is in the store's folder, so that each copy of the store carries its own key")
	}
	v.privateFile("seal.path", string(c.Seal.Path))
}

// inside tells whether path is below folder, by name or through links.
func inside(path, folder string) bool {
	for _, pair := range [][2]string{{path, folder}, {realPath(path), realPath(folder)}} {
		rel, err := filepath.Rel(pair[1], pair[0])
		if err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
			return true
		}
	}
	return false
}

// realPath follows the links of as much of path as exists.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(realPath(parent), filepath.Base(path))
}

// audit checks the places outside of the store.
func (v *validator) audit() {
	a := v.c.Audit.Anchor
	if a.Syslog != "" {
		u, err := url.Parse(a.Syslog)
		if err != nil || u.Scheme != "tcp" || u.Port() == "" || u.Path != "" {
			v.fail("audit.anchor.syslog", "write tcp://host:601", "%q is no syslog server", a.Syslog)
		}
	}
	if _, ok := v.c.Forges[a.Repo.Forge]; a.Repo != (Repo{}) && !ok {
		v.fail("audit.anchor.repo", "", "no forge is called %q", a.Repo.Forge)
	}
	if a.Every <= 0 {
		v.fail("audit.anchor.every", "", "it needs a time above 0")
	}
}

func (v *validator) forges() {
	for name, f := range sorted(v.c.Forges) {
		at := catalog.Key("forges", name)
		if slices.Contains(fieldsOf(reflect.TypeFor[Person]()).names(), name) {
			v.fail(at, "choose another name", "%q is a key of people, so logins there could not be told apart", name)
		}
		if f.URL != "" {
			v.webURL(at+".url", f.URL)
		} else if f.Kind == "gitea" {
			v.fail(at, "add url: https://git.acme.test", "a gitea forge needs its url")
		}
		if f.App != nil && !f.Token.IsZero() {
			v.fail(at, "keep one of them", "a forge signs in with a token or as an app, not with both")
		}
		if f.Kind != "mem" && f.App == nil && f.Token.IsZero() {
			v.warn(at, "add token_file or app", "without a token the porter sees only what is public, and changes nothing")
		}
		if f.WebhookSecret.IsZero() && f.Kind != "mem" {
			v.warn(at, "add webhook_secret_file", "without a secret webhooks are refused, and changes are seen every %s", f.Sweep)
		}
		if f.Sweep <= 0 {
			v.fail(at+".sweep", "", "the sweep needs a time above 0")
		}
		v.privateFile(at+".token_file", fileOf(f.Token))
		v.privateFile(at+".webhook_secret_file", fileOf(f.WebhookSecret))
		if f.App != nil {
			v.privateFile(at+".app.key_file", fileOf(f.App.Key))
		}
	}
}

// webURL checks a URL that the porter sends tokens or news to.
func (v *validator) webURL(at, text string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		v.fail(at, "write https://…", "this is not a web address")
	case u.User != nil:
		v.fail(at, "use a secret reference", "a user name or password does not belong in a URL")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		v.fail(at, "use https", "tokens would travel to %s in the clear", u.Hostname())
	}
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

func fileOf(r SecretRef) string {
	if r.kind == secretFile {
		return r.value
	}
	return ""
}

// privateFile checks who may read a file with a secret. A file that is not there
// is a warning: the configuration may be checked on another machine.
func (v *validator) privateFile(at, path string) {
	if path == "" {
		return
	}
	info, err := os.Stat(path)
	if err != nil {
		v.warn(at, "", "%s is not there yet", path)
		return
	}
	if err := checkSecretMode(info, path); err != nil {
		v.fail(at, nightporter.HintOf(err), "%s", nightporter.MessageOf(err))
	}
}
