package app

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/egress"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/store"
)

// anchorMigrations is the table of how anchoring goes.
var anchorMigrations = []store.Migration{{Name: "app/0002", SQL: `
CREATE TABLE audit_anchor (
	place TEXT PRIMARY KEY,
	size BIGINT NOT NULL,
	kept_at BIGINT NOT NULL,
	failing_since BIGINT NOT NULL,
	error TEXT NOT NULL
);
`}}

// anchored is how one place outside keeps checkpoints.
type anchored struct {
	Place string `json:"place"`
	// Size is how many entries its newest checkpoint covers; 0 before the first.
	Size         int64     `json:"size"`
	KeptAt       time.Time `json:"kept_at,omitzero"`
	FailingSince time.Time `json:"failing_since,omitzero"`
	Error        string    `json:"error,omitempty"`
}

// publisher is a repository that takes commits; it is the mirror's.
type publisher interface {
	Publish(ctx context.Context, repo nightporter.Repo, branch, file, text, message string) error
	Published(ctx context.Context, repo nightporter.Repo, branch, file string) (string, error)
}

// anchorFile is the file of a branch of checkpoints. Its history has the older ones.
const anchorFile = "checkpoint.note"

// branch is a place: a branch of a repository.
type branch struct {
	git  publisher
	repo nightporter.Repo
	name string
}

func (b branch) Name() string { return b.repo.String() + " " + b.name }

func (b branch) Put(ctx context.Context, c audit.Checkpoint) error {
	return b.git.Publish(ctx, b.repo, b.name, anchorFile, c.Note, "checkpoint of "+c.At.UTC().Format(time.RFC3339))
}

func (b branch) Kept(ctx context.Context) ([]string, error) {
	text, err := b.git.Published(ctx, b.repo, b.name, anchorFile)
	return audit.Notes(text), err
}

// places are where the configuration keeps checkpoints outside.
func (a *App) places() []audit.Place {
	cfg := a.config.Load()
	c := cfg.Audit.Anchor
	var out []audit.Place
	if git, ok := a.providers.Histories.(publisher); ok && c.Repo != (nightporter.Repo{}) {
		out = append(out, branch{git, c.Repo, c.Branch})
	}
	if c.File != "" {
		out = append(out, audit.NewFile(string(c.File)))
	}
	if u, err := url.Parse(c.Syslog); err == nil && u.Host != "" {
		out = append(out, audit.NewSyslog(u.Host, egress.DialContext(egress.Config{Allow: a.allowed(u.Host)})))
	}
	return out
}

// anchor keeps a checkpoint outside now and then, until ctx ends.
func (a *App) anchor(ctx context.Context) {
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("audit", ""))
	for {
		if err := a.Anchor(ctx); err != nil && ctx.Err() == nil {
			a.log.ErrorContext(ctx, "keep a checkpoint outside", "error", err)
		}
		timer := time.NewTimer(max(time.Second, time.Duration(a.config.Load().Audit.Anchor.Every)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// Anchor signs the register and keeps the checkpoint in every place outside. What
// keeps one from taking it is written down, and the others get theirs.
func (a *App) Anchor(ctx context.Context) error {
	places := a.places()
	if len(places) == 0 || a.Sealed() {
		return nil
	}
	a.anchoring.Lock()
	defer a.anchoring.Unlock()
	c, err := a.Checkpoint(ctx)
	if err != nil {
		return err
	}
	known, err := a.anchors(ctx)
	if err != nil {
		return err
	}
	for _, p := range places {
		was := known[p.Name()]
		now := anchored{Place: p.Name(), Size: c.Size, KeptAt: time.Now()}
		if err := p.Put(ctx, c); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			a.log.WarnContext(ctx, "keep a checkpoint outside", "place", p.Name(), "error", err)
			now = was
			now.Place, now.Error = p.Name(), nightporter.MessageOf(err)
			if now.FailingSince.IsZero() {
				now.FailingSince = time.Now()
			}
		}
		// How anchoring goes is no change of anything: it is counted, not audited,
		// or each checkpoint would be the reason for the next.
		err = a.gate.Keep(ctx, "audit.anchor", func(tx *store.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO audit_anchor (place, size, kept_at, failing_since, error) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT (place) DO UPDATE SET size = excluded.size, kept_at = excluded.kept_at, failing_since = excluded.failing_since, error = excluded.error`,
				now.Place, now.Size, store.Micros(now.KeptAt), store.Micros(now.FailingSince), now.Error)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *App) anchors(ctx context.Context) (map[string]anchored, error) {
	out := map[string]anchored{}
	err := a.gate.Look(ctx, func(tx *store.Tx) error {
		list, err := listAnchors(ctx, tx)
		for _, x := range list {
			out[x.Place] = x
		}
		return err
	})
	return out, err
}

func listAnchors(ctx context.Context, tx *store.Tx) ([]anchored, error) {
	out := []anchored{}
	err := tx.Each(ctx, `SELECT place, size, kept_at, failing_since, error FROM audit_anchor ORDER BY place`, nil, func(scan func(...any) error) error {
		var x anchored
		var kept, failing int64
		err := scan(&x.Place, &x.Size, &kept, &failing, &x.Error)
		x.KeptAt, x.FailingSince = store.Time(kept), store.Time(failing)
		out = append(out, x)
		return err
	})
	return out, err
}

// VerifyAnchored verifies the register against what is kept outside, and says where
// that was. A place that cannot be asked is left out.
func (a *App) VerifyAnchored(ctx context.Context) (r audit.Report, where string, err error) {
	var notes, names []string
	for _, p := range a.places() {
		kept, err := p.Kept(ctx)
		if err != nil {
			a.log.WarnContext(ctx, "read the checkpoints that are kept outside", "place", p.Name(), "error", err)
			continue
		}
		if len(kept) > 0 {
			notes, names = append(notes, kept...), append(names, p.Name())
		}
	}
	r, err = a.VerifyAudit(ctx, notes...)
	return r, strings.Join(names, ", "), err
}

func (a *App) anchorRoutes() []httpapi.Route {
	return []httpapi.Route{{
		Method: http.MethodGet, Pattern: "/api/audit/anchors", Action: httpapi.Does("audit.anchors", nightporter.Read, "api/audit/anchors"),
		Summary: "Where checkpoints of the register are kept outside, and how that goes", Response: httpapi.List[anchored]{}, Handler: a.getAnchors,
	}}
}

func (a *App) getAnchors(w http.ResponseWriter, r *http.Request) error {
	list := []anchored{}
	err := a.view(r, func(ctx context.Context, tx *store.Tx) error {
		kept, err := listAnchors(ctx, tx)
		if err != nil {
			return err
		}
		for _, p := range a.places() {
			x := anchored{Place: p.Name()}
			for _, k := range kept {
				if k.Place == x.Place {
					x = k
				}
			}
			list = append(list, x)
		}
		return nil
	})
	if err != nil {
		return err
	}
	page, err := httpapi.ReadPage(r)
	if err != nil {
		return err
	}
	return httpapi.WriteList(w, page, list, func(x anchored) string { return x.Place })
}
