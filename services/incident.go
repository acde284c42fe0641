package services

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

// NoDeployment is what a person names when no deployment caused an incident. Such
// an incident counts for no figure.
const NoDeployment = "none"

// OpenIncident notes that a service does not do what it should in production.
// deployment is the id of the deployment that caused it, or of its release; "" is
// the newest one, and [NoDeployment] none. Errors: invalid without a title,
// not_found for an unknown service or deployment.
func (s *Services) OpenIncident(ctx context.Context, service, title, deployment string) (*Incident, error) {
	title = strings.TrimSpace(title)
	if title == "" || len(title) > 500 {
		return nil, nightporter.E(nightporter.Invalid, "an incident needs a title of at most 500 characters")
	}
	if _, ok := s.cfg.Catalog.Current().Service(service); !ok {
		return nil, nightporter.E(nightporter.NotFound, "no service is called %q", service)
	}
	var out *Incident
	err := s.change(ctx, service, "incidents", "incident.open", func(tx *gate.Tx) error {
		found, err := caused(ctx, tx.Tx, service, deployment)
		if err != nil {
			return err
		}
		e := nightporter.IncidentOpened{
			ID: s.newID(tx.Now()), Service: service, Deployment: found, Title: title, Person: nightporter.ActorFrom(ctx).Name, At: tx.Now(),
		}
		tx.Detail("incident", e.ID)
		tx.Detail("title", title)
		tx.Detail("deployment", found)
		tx.Publish(e)
		if err := apply(ctx, tx.Tx, e); err != nil {
			return err
		}
		out, err = incident(ctx, tx.Tx, service, e.ID)
		return err
	})
	return out, err
}

// caused finds the deployment that is meant.
func caused(ctx context.Context, tx *store.Tx, service, deployment string) (string, error) {
	if deployment == NoDeployment {
		return "", nil
	}
	where, args := `WHERE service = ? AND healthy = 1 AND kind <> 'rollback'`, []any{service}
	if deployment != "" {
		where, args = `WHERE service = ? AND (id = ? OR release_id = ?)`, append(args, deployment, deployment)
	}
	list, err := deployments(ctx, tx, where+` ORDER BY finished_at DESC LIMIT 1`, args...)
	switch {
	case err != nil:
		return "", err
	case len(list) > 0:
		return list[0].ID, nil
	case deployment != "":
		return "", nightporter.E(nightporter.NotFound, "%s was not deployed to production by %s", service, deployment)
	}
	return "", nil
}

// CloseIncident notes that the service does what it should again. Errors:
// conflict for one that is closed.
func (s *Services) CloseIncident(ctx context.Context, service, id string) (*Incident, error) {
	var out *Incident
	err := s.change(ctx, service, "incidents/"+id+"/close", "incident.close", func(tx *gate.Tx) error {
		i, err := incident(ctx, tx.Tx, service, id)
		if err != nil {
			return err
		}
		if !i.ClosedAt.IsZero() {
			return nightporter.E(nightporter.Conflict, "%s was closed at %s", id, i.ClosedAt.Format(time.RFC3339))
		}
		e := nightporter.IncidentClosed{ID: id, Service: service, Person: nightporter.ActorFrom(ctx).Name, At: tx.Now()}
		tx.Detail("incident", id)
		tx.Publish(e)
		if err := apply(ctx, tx.Tx, e); err != nil {
			return err
		}
		out, err = incident(ctx, tx.Tx, service, id)
		return err
	})
	return out, err
}

func (s *Services) change(ctx context.Context, service, path, name string, fn func(*gate.Tx) error) error {
	action := nightporter.Action{Name: name, Capability: nightporter.Update, Path: "api/services/" + service + "/" + path}
	return s.cfg.Gate.Do(ctx, action, nightporter.Resource{Kind: "service", ID: service}, fn)
}

func incident(ctx context.Context, tx *store.Tx, service, id string) (*Incident, error) {
	list, err := incidents(ctx, tx, `WHERE id = ? AND service = ?`, id, service)
	if err != nil {
		return nil, fmt.Errorf("read incident %s: %w", id, err)
	}
	if len(list) == 0 {
		return nil, nightporter.E(nightporter.NotFound, "%s has no incident %s", service, id)
	}
	return &list[0], nil
}

// Incidents lists the incidents of a service, newest first. after is the cursor of
// the last one seen, or "".
func Incidents(ctx context.Context, tx *store.Tx, service, after string, limit int) ([]Incident, error) {
	where, args := `WHERE service = ?`, []any{service}
	if after != "" {
		opened, id, _ := strings.Cut(after, "~")
		us, err := strconv.ParseInt(opened, 10, 64)
		if err != nil {
			return nil, nightporter.E(nightporter.Invalid, "after is not a cursor of this list")
		}
		where, args = where+` AND (opened_at < ? OR opened_at = ? AND id < ?)`, append(args, us, us, id)
	}
	list, err := incidents(ctx, tx, where+` ORDER BY opened_at DESC, id DESC LIMIT ?`, append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("read the incidents of %s: %w", service, err)
	}
	return list, nil
}

func cursor(i Incident) string { return fmt.Sprintf("%d~%s", store.Micros(i.OpenedAt), i.ID) }

// newID makes an id that sorts after every earlier one. It belongs to the gate's
// committer: only functions of changes call it.
func (s *Services) newID(now time.Time) string {
	s.lastID = max(s.lastID+1, now.UnixMicro())
	var b [3]byte
	rand.Read(b[:])
	return fmt.Sprintf("inc_%014x%x", s.lastID, b)
}
