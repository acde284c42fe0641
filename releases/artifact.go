package releases

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/notify"
)

// Artifact is CI's word that the image of a commit exists.
type Artifact struct {
	Service string    `json:"service"`
	Commit  string    `json:"commit"`
	Image   string    `json:"image"`  // registry.acme.test/ledger:1.4.0
	Digest  string    `json:"digest"` // sha256:…
	By      string    `json:"by"`
	At      time.Time `json:"at"`
}

// ref names the bytes, whatever becomes of the tag.
func (a Artifact) ref() deploy.Artifact {
	return deploy.Artifact(repositoryOf(a.Image) + "@" + a.Digest)
}

// repositoryOf is an image's name without its tag: a colon before the last slash
// belongs to the registry's port.
func repositoryOf(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		return image[:i]
	}
	return image
}

var (
	fullCommit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	digest     = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	imageName  = regexp.MustCompile(`^[a-z0-9][A-Za-z0-9._:/@-]{0,250}$`)
)

// HasArtifact notes that the image of a commit exists, and lets the release that
// waits for it go on. Saying the same twice changes nothing. Errors: not_found for
// an unknown service; conflict when the service does not wait for anybody's word,
// or another digest was named for the commit; invalid when the image is not one of
// the repository that the configuration names.
func (r *Releases) HasArtifact(ctx context.Context, a Artifact) (Artifact, error) {
	service, ok := r.cfg.Catalog.Current().Service(a.Service)
	switch {
	case !ok:
		return a, nightporter.E(nightporter.NotFound, "no service is called %q", a.Service)
	case !service.Artifact.WaitForAPI:
		return a, nightporter.E(nightporter.Conflict, "releases of %s do not wait for an artifact", a.Service).
			WithHint("write artifact: {wait_for: {api: true}} under the service in nightporter.yaml")
	case !fullCommit.MatchString(a.Commit):
		return a, nightporter.E(nightporter.Invalid, "commit is not the whole id of a commit")
	case !digest.MatchString(a.Digest):
		return a, nightporter.E(nightporter.Invalid, "digest is not sha256: and 64 hexadecimal digits")
	case !imageName.MatchString(a.Image):
		return a, nightporter.E(nightporter.Invalid, "image is not the name of an image")
	case service.Artifact.Image != "" && repositoryOf(service.Artifact.Image) != repositoryOf(a.Image):
		return a, nightporter.E(nightporter.Invalid, "%s is deployed from %s, not from %s", a.Service, repositoryOf(service.Artifact.Image), repositoryOf(a.Image))
	}
	action := nightporter.Action{Name: "artifact.add", Capability: nightporter.Update, Path: "api/services/" + a.Service + "/artifacts"}
	err := r.cfg.Gate.Do(ctx, action, nightporter.Resource{Kind: "service", ID: a.Service}, func(tx *gate.Tx) error {
		have, err := artifactOf(ctx, tx.Tx, a.Service, a.Commit)
		if err != nil {
			return err
		}
		if have != nil {
			if have.Digest != a.Digest || have.Image != a.Image {
				return nightporter.E(nightporter.Conflict, "%s of %s is %s %s already", a.Service, a.Commit[:10], have.Image, have.Digest)
			}
			a = *have
			return nil
		}
		a.By, a.At = nightporter.ActorFrom(ctx).Name, tx.Now()
		tx.Detail("commit", a.Commit)
		tx.Detail("image", a.Image)
		tx.Detail("digest", a.Digest)
		if _, err := tx.Exec(ctx, `INSERT INTO release_artifact (service, commit_id, image, digest, person, at) VALUES (?, ?, ?, ?, ?, ?)`,
			a.Service, a.Commit, a.Image, a.Digest, a.By, store.Micros(a.At)); err != nil {
			return fmt.Errorf("write the artifact of %s: %w", a.Commit, err)
		}
		waiting, err := query(ctx, tx.Tx, `WHERE r.service = ? AND r.commit_id = ? AND r.state = ?`, a.Service, a.Commit, WaitingForArtifact)
		if err != nil {
			return err
		}
		for _, rel := range waiting {
			if err := r.cfg.Runs.Signal(ctx, tx, rel.Run, stepArtifact); err != nil {
				return err
			}
		}
		return nil
	})
	return a, err
}

// artifactOf reads what CI said of a commit; nil for nothing.
func artifactOf(ctx context.Context, tx *store.Tx, service, commit string) (*Artifact, error) {
	a := Artifact{Service: service, Commit: commit}
	var at int64
	err := tx.QueryRow(ctx, `SELECT image, digest, person, at FROM release_artifact WHERE service = ? AND commit_id = ?`, service, commit).
		Scan(&a.Image, &a.Digest, &a.By, &at)
	if store.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the artifact of %s: %w", commit, err)
	}
	a.At = store.Time(at)
	return &a, nil
}

const (
	stepArtifact = "artifact"
	// artifactGate is where release_wait notes that a release waits for its
	// artifact: no environment has this name.
	artifactGate = ""
)

// arrival waits until what is to be deployed exists: for CI's word, or for a check
// on the commit that turns green. It reminds like an approval that waits.
type arrival struct{ r *Releases }

// there says whether what is deployed exists, and what is known where it does not.
// What CI says by the API is in our rows; a check is asked for at the forge.
func (w *arrival) there(ctx context.Context, rel *Release, service catalog.Service) (there bool, message string, err error) {
	if name := service.Artifact.WaitForCheck; name != "" {
		return w.green(ctx, rel, name)
	}
	if !service.Artifact.WaitForAPI { // the configuration changed meanwhile
		return true, "it is not waited for any more", nil
	}
	err = w.r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		a, err := artifactOf(ctx, tx, rel.Service, rel.Commit)
		if a != nil {
			there, message = true, string(a.ref())
		}
		return err
	})
	return there, message, err
}

// green says whether a check on the release's commit has succeeded. A red one is
// waited for too: somebody may run it again.
func (w *arrival) green(ctx context.Context, rel *Release, name string) (bool, string, error) {
	f, ok := w.r.cfg.Forges[rel.Repo.Forge].(forge.Checker)
	if !ok {
		return false, "", nightporter.E(nightporter.Invalid, "the forge %s does not say how checks went", rel.Repo.Forge).
			WithHint("write artifact: {wait_for: {api: true}}, and let CI say that the image exists")
	}
	c, err := f.Check(ctx, rel.Repo.Name, rel.Commit, name)
	if err != nil {
		return false, "", fmt.Errorf("look at the check %s of %s: %w", name, rel.Repo, err)
	}
	switch c.State {
	case forge.Success:
		return true, "the check " + name + " is green", nil
	case forge.Pending:
		return false, "the check " + name + " is running", nil
	case "":
		return false, "nobody has reported the check " + name + " yet", nil
	}
	return false, "the check " + name + " is red", nil
}

// awaited says what a release waits for, to whoever is reminded.
func awaited(s catalog.Service) string {
	if name := s.Artifact.WaitForCheck; name != "" {
		return "the check " + name
	}
	return "CI to say that its image exists"
}

// nextCheck is when to ask the forge again: often while a build usually runs, then
// less and less, so that a check that nobody will ever report costs little.
func nextCheck(waited time.Duration) time.Duration {
	return min(max(waited/20, 10*time.Second), 5*time.Minute)
}

func (w *arrival) Start(ctx context.Context, t run.Task) (string, error) {
	rel, service, err := w.r.load(ctx, t)
	if err != nil {
		return "", err
	}
	if there, _, err := w.there(ctx, rel, service); err != nil || there {
		return "is there", err
	}
	return "waits", w.r.change(ctx, nightporter.Action{Name: "release.wait"}, rel.ID, func(tx *gate.Tx) error {
		now := w.r.cfg.Now()
		n, err := tx.Exec(ctx, `INSERT INTO release_wait (release_id, environment, since, reminded) VALUES (?, ?, ?, 0) ON CONFLICT DO NOTHING`,
			rel.ID, artifactGate, store.Micros(now))
		if err != nil || n == 0 {
			return err
		}
		return set(ctx, tx.Tx, rel.ID, WaitingForArtifact, waitsSince(now), tx.Now())
	})
}

func waitsSince(t time.Time) string {
	return "waiting for its artifact since " + t.UTC().Format("2006-01-02 15:04 MST")
}

func (w *arrival) Observe(ctx context.Context, t run.Task, _ string) (run.Observation, error) {
	rel, service, err := w.r.load(ctx, t)
	if err != nil {
		return run.Observation{}, err
	}
	there, message, err := w.there(ctx, rel, service)
	if err != nil {
		return run.Observation{}, err
	}
	if there {
		return run.Observation{State: run.Succeeded, Message: message}, nil
	}
	var since time.Time
	reminded := 0
	err = w.r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		var us int64
		err := tx.QueryRow(ctx, `SELECT since, reminded FROM release_wait WHERE release_id = ? AND environment = ?`, rel.ID, artifactGate).Scan(&us, &reminded)
		since = store.Time(us)
		return err
	})
	if store.IsNotFound(err) {
		err, since = nil, w.r.cfg.Now() // it was there when the step started, and is not any more
	}
	if err != nil {
		return run.Observation{}, err
	}
	o := run.Observation{State: run.Waiting, Message: waitsSince(since)}
	if message != "" {
		o.Message += ": " + message
	}
	now := w.r.cfg.Now()
	who, at := rung(w.r.lastRule(service).Remind, since, reminded)
	if wait := at.Sub(now); wait > 0 {
		if o.Again = wait; service.Artifact.WaitForCheck != "" {
			o.Again = min(wait, nextCheck(now.Sub(since)))
		}
		return o, w.r.note(ctx, rel, WaitingForArtifact, o.Message)
	}
	err = w.r.tell(ctx, who, notify.Message{
		Key:   fmt.Sprintf("release/%s/artifact/remind/%d", rel.ID, reminded),
		Title: fmt.Sprintf("%s %s has waited %s for %s", rel.Service, rel.Version, now.Sub(since).Round(time.Minute), awaited(service)),
		Text:  message,
		URL:   w.r.cfg.Page(rel.ID), Severity: notify.Action, Service: rel.Service, At: now,
	})
	if err != nil {
		return o, err
	}
	err = w.r.change(ctx, nightporter.Action{Name: "release.remind"}, rel.ID, func(tx *gate.Tx) error {
		tx.Detail("told", who)
		_, err := tx.Exec(ctx, `UPDATE release_wait SET reminded = ? WHERE release_id = ? AND environment = ?`, reminded+1, rel.ID, artifactGate)
		return err
	})
	o.Again = time.Second // the next rung
	return o, err
}

// lastRule is the rule whose ladder counts for a release that has not begun: that
// of the end of its way.
func (r *Releases) lastRule(s catalog.Service) (rule catalog.Approval) {
	world := r.cfg.Catalog.Current()
	for _, stage := range world.Stages(s.Name) {
		for _, env := range stage {
			if a := world.ApprovalFor(s.Name, env); a.Needed() {
				rule = a
			}
		}
	}
	return rule
}

// Cancel has nothing to end: a waiting step is only rows.
func (w *arrival) Cancel(context.Context, run.Task, string) error { return nil }

// named is the image that a release of a service deploys instead of building: the
// one that CI named, or the configuration's. "" means that it is built here.
func (r *Releases) named(ctx context.Context, rel *Release, service catalog.Service) (deploy.Artifact, error) {
	switch {
	case service.Artifact.WaitForAPI:
		var a *Artifact
		err := r.cfg.Gate.Look(ctx, func(tx *store.Tx) (err error) {
			a, err = artifactOf(ctx, tx, rel.Service, rel.Commit)
			return err
		})
		if err == nil && a == nil {
			err = nightporter.E(nightporter.Conflict, "nobody has said which image %s is", rel.Commit)
		}
		if err != nil {
			return "", err
		}
		return a.ref(), nil
	}
	return deploy.Artifact(strings.NewReplacer("{version}", rel.Version.String(), "{commit}", rel.Commit).Replace(service.Artifact.Image)), nil
}
