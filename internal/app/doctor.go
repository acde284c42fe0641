package app

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/security/leaks"
)

// weakness is something of this installation that is weaker than it should be.
type weakness struct {
	Level   string `json:"level"` // "problem" or "advice"
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"` // what to do
}

// The levels of a weakness.
const (
	problem = "problem"
	advice  = "advice"
)

// certificateEnds is how long before its end a certificate is a weakness.
const certificateEnds = 14 * 24 * time.Hour

func (a *App) doctorRoutes() []httpapi.Route {
	return []httpapi.Route{{
		Method: http.MethodGet, Pattern: "/api/doctor", Action: httpapi.Does("doctor.read", nightporter.Read, "api/doctor"),
		Summary: "What is weak in this installation, with the fix", Response: httpapi.List[weakness]{}, Handler: a.getDoctor,
	}}
}

func (a *App) getDoctor(w http.ResponseWriter, r *http.Request) error {
	page, err := httpapi.ReadPage(r)
	if err != nil {
		return err
	}
	list := a.weaknesses()
	err = a.view(r, func(ctx context.Context, tx *store.Tx) error {
		more, err := a.weakRecords(ctx, tx)
		list = append(list, more...)
		return err
	})
	if err != nil {
		return err
	}
	return httpapi.WriteList(w, page, list, func(x weakness) string { return x.Message })
}

// weaknesses are those that the process and its files show.
func (a *App) weaknesses() []weakness {
	cfg := a.config.Load()
	list := []weakness{}
	add := func(level, hint, format string, args ...any) {
		list = append(list, weakness{level, fmt.Sprintf(format, args...), hint})
	}
	if a.opts.Dev {
		add(problem, "run it without --dev for anything that matters", "this is a development server: everything is in memory and unsealed")
	}
	if host, _, ok := strings.Cut(cfg.Listen, ":"); ok && !isLoopback(host) && !cfg.TLS.Serves() {
		add(advice, "set tls: {cert_file, key_file}, or make sure that what stands in front encrypts, up to here", "the server itself speaks plain HTTP on %s", cfg.Listen)
	}
	if path := string(cfg.TLS.CertFile); path != "" {
		if end, err := certificateEnd(path); err != nil {
			add(problem, "", "the certificate cannot be read: %v", err)
		} else if left := time.Until(end); left < certificateEnds {
			add(problem, "renew it and restart the server", "the certificate ends on %s", end.UTC().Format("2 Jan 2006"))
		}
	}
	if os.Geteuid() == 0 && cfg.RunAs == "" {
		add(advice, "run it as a user of its own, or set run_as", "the server runs as root, and so does what it builds and deploys")
	}
	if cfg.SameUser == "allowed" && cfg.RunAs == "" {
		add(advice, "make a user for it and set run_as", "builds and deployed services run as the server's own user, and can read the store and its key")
	}
	var core syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &core); err == nil && core.Cur > 0 {
		add(problem, "let the service manager set LimitCORE=0", "a crash would write a core file, which holds keys")
	}
	if b, err := os.ReadFile("/proc/swaps"); err == nil && strings.Count(string(b), "\n") > 1 {
		add(advice, "encrypt the swap space, or turn it off", "this machine swaps: memory with keys may reach its disk")
	}
	if cfg.Seal.Kind == "file" && !a.opts.Dev {
		a.weakFile(add, "the unseal key", string(cfg.Seal.Path))
		if p := a.db.Path(); p != "" && filepath.Dir(p) == filepath.Dir(string(cfg.Seal.Path)) {
			add(problem, "move it, and set seal.path", "the unseal key is in the store's folder: a copy of the one is a copy of both")
		}
	}
	if p := a.db.Path(); p != "" && !a.opts.Dev {
		a.weakFile(add, "the store", p)
	}
	for _, text := range cfg.Egress.Allow {
		if prefix, err := netip.ParsePrefix(text); err == nil && prefix.Bits() == 0 {
			add(problem, "list the ranges that the forge and the channels are in", "egress.allow has %s: settings can send the server anywhere", text)
		}
	}
	if !cfg.Audit.Anchor.Set() {
		add(advice, "set audit.anchor to a protected branch, a file or a syslog server that is somebody else's",
			"no checkpoint of the audit log is kept outside: who owns the store and its key could rewrite all of it")
	}
	switch {
	case cfg.SecretScan.Off:
		add(advice, "remove secret_scan.off", "repositories are not searched for secrets")
	case len(cfg.Forges) > 0 && !cfg.SecretScan.Try:
		add(advice, "set secret_scan: {try: true}", "a password that is found is not tried, so nobody knows whether it works")
	}
	if len(cfg.Operators) == 0 {
		add(advice, "name operators", "nobody is an operator: whatever has no other audience reaches nobody")
	}
	return list
}

// weakFile says when others may read or change a file, or its folder may be changed.
func (a *App) weakFile(add func(level, hint, format string, args ...any), what, path string) {
	info, err := os.Stat(path)
	if err != nil {
		return // what is given in another way, such as a credential of systemd's
	}
	if info.Mode().Perm()&0o077 != 0 {
		add(problem, "chmod 600 "+path, "others on this machine may read %s", what)
	}
	if dir, err := os.Stat(filepath.Dir(path)); err == nil && dir.Mode().Perm()&0o022 != 0 && dir.Mode()&os.ModeSticky == 0 {
		add(problem, "chmod go-w "+filepath.Dir(path), "others on this machine may replace %s", what)
	}
}

func certificateEnd(path string) (time.Time, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return time.Time{}, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return time.Time{}, fmt.Errorf("%s is not PEM", path)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}, err
	}
	return c.NotAfter, nil
}

// weakRecords are those that the store shows.
func (a *App) weakRecords(ctx context.Context, tx *store.Tx) (list []weakness, err error) {
	anchors, err := listAnchors(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, x := range anchors {
		if x.Error != "" {
			list = append(list, weakness{problem, fmt.Sprintf("no checkpoint of the audit log reached %s since %s: %s", x.Place, x.FailingSince.UTC().Format("2 Jan 15:04 MST"), x.Error), "nightporter audit anchors"})
		}
	}
	scans, err := leaks.Repos(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, r := range scans {
		if r.State == "failed" {
			list = append(list, weakness{problem, "the history of " + r.Repo + " could not be searched for secrets: " + r.Message, "nightporter security scan " + r.Repo})
		}
	}
	return list, nil
}
