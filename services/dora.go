package services

import (
	"context"
	"fmt"
	"slices"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
)

// Figure is one of the metrics with everything it was computed from. The
// definitions are those of https://dora.dev/guides/dora-metrics/ (January 2026);
// docs/services.md says what each of its words means here.
type Figure struct {
	Factor     string `json:"factor"` // throughput or instability
	Definition string `json:"definition"`
	Unit       string `json:"unit"` // per_day, seconds or ratio
	// Value is nil when there is nothing to compute it from: a rate without a
	// denominator is not 0. For times it is the median.
	Value *float64 `json:"value"`
	P90   *float64 `json:"p90,omitempty"` // of times
	// Numerator and Denominator are what a rate is made of: counts, and for the
	// frequency days. For times Denominator is how many there are.
	Numerator   float64 `json:"numerator"`
	Denominator float64 `json:"denominator"`
	// Rows are the ids of what Numerator counts, or whose times these are:
	// deployments, and commits for the lead time.
	Rows []string `json:"rows"`
	// Also are the same times from other beginnings, by their names.
	Also map[string]Spread `json:"also,omitempty"`
}

// Spread is the middle and the long end of some times, in seconds.
type Spread struct {
	Median *float64 `json:"median"`
	P90    *float64 `json:"p90"`
	Count  int      `json:"count"`
}

// Dora is how a service was delivered in a window. The lists are all rows of the
// window, from which each figure can be computed again.
type Dora struct {
	Service             string       `json:"service"`
	From                time.Time    `json:"from"`
	To                  time.Time    `json:"to"`
	DeploymentFrequency Figure       `json:"deployment_frequency"`
	ChangeLeadTime      Figure       `json:"change_lead_time"`
	ChangeFailRate      Figure       `json:"change_fail_rate"`
	RecoveryTime        Figure       `json:"failed_deployment_recovery_time"`
	ReworkRate          Figure       `json:"deployment_rework_rate"`
	Deployments         []Deployment `json:"deployments"`
	// Before are the last deployments of change before the window, one for each
	// environment: they decide whether the first ones in it are rework.
	Before    []Deployment `json:"before"`
	Changes   []Change     `json:"changes"`
	Incidents []Incident   `json:"incidents"`
}

// Measure computes the metrics of a service for the window that ends at to.
func Measure(ctx context.Context, tx *store.Tx, service string, window time.Duration, to time.Time) (*Dora, error) {
	if window <= 0 {
		return nil, nightporter.E(nightporter.Invalid, "a window is longer than nothing")
	}
	d := &Dora{Service: service, From: to.Add(-window).UTC(), To: to.UTC(), Deployments: []Deployment{}, Before: []Deployment{}, Changes: []Change{}, Incidents: []Incident{}}
	from, until := store.Micros(d.From), store.Micros(d.To)
	list, err := deployments(ctx, tx, `WHERE service = ? AND finished_at > ? AND finished_at <= ? ORDER BY finished_at, id`, service, from, until)
	if err != nil {
		return nil, fmt.Errorf("read the deployments of %s: %w", service, err)
	}
	d.Deployments = append(d.Deployments, list...)
	before, err := deployments(ctx, tx, `WHERE service = ? AND finished_at <= ? AND kind <> 'rollback' AND finished_at = (
		SELECT MAX(o.finished_at) FROM service_deployment o WHERE o.service = service_deployment.service
		AND o.environment = service_deployment.environment AND o.kind <> 'rollback' AND o.finished_at <= ?)`, service, from, from)
	if err != nil {
		return nil, fmt.Errorf("read what came before: %w", err)
	}
	d.Before = append(d.Before, before...)
	chs, err := changes(ctx, tx, `WHERE service = ? AND finished_at > ? AND finished_at <= ? ORDER BY finished_at, deployment, commit_id`, service, from, until)
	if err != nil {
		return nil, fmt.Errorf("read the changes of %s: %w", service, err)
	}
	d.Changes = append(d.Changes, chs...)
	all, err := incidents(ctx, tx, `WHERE service = ? AND opened_at <= ? ORDER BY opened_at, id`, service, until)
	if err != nil {
		return nil, fmt.Errorf("read the incidents of %s: %w", service, err)
	}
	d.compute(all)
	return d, nil
}

func (d *Dora) compute(all []Incident) {
	by := map[string][]Incident{}
	for _, i := range all {
		// What happened after the window is not known in it.
		if i.ClosedAt.After(d.To) {
			i.ClosedAt, i.ClosedBy = time.Time{}, ""
		}
		if i.Deployment != "" {
			by[i.Deployment] = append(by[i.Deployment], i)
		}
		of := func(b Deployment) bool { return b.ID == i.Deployment }
		if i.OpenedAt.After(d.From) || slices.ContainsFunc(d.Before, of) || i.ClosedAt.IsZero() || i.ClosedAt.After(d.From) {
			d.Incidents = append(d.Incidents, i)
		}
	}
	last := map[string]Deployment{}
	for _, b := range d.Before {
		last[b.Environment] = b
	}
	var total float64
	healthy, failed, rework, recovered := []string{}, []string{}, []string{}, []string{}
	var recoveries []float64
	for _, dep := range d.Deployments {
		if dep.Kind == "rollback" {
			continue
		}
		total++
		if dep.Healthy {
			healthy = append(healthy, dep.ID)
		}
		if prev, ok := last[dep.Environment]; dep.Hotfix || ok && failedBy(prev, by[prev.ID], dep.FinishedAt) {
			rework = append(rework, dep.ID)
		}
		last[dep.Environment] = dep
		if !failedBy(dep, by[dep.ID], d.To) {
			continue
		}
		failed = append(failed, dep.ID)
		if end := recoveredAt(by[dep.ID]); !end.IsZero() {
			recovered = append(recovered, dep.ID)
			recoveries = append(recoveries, max(0, end.Sub(dep.FinishedAt).Seconds()))
		}
	}
	days := d.To.Sub(d.From).Hours() / 24
	d.DeploymentFrequency = rate("throughput", "Deployments of change to production that became healthy, a day. Rollbacks are not counted.", "per_day", healthy, days)
	d.ChangeFailRate = rate("instability", "The share of deployments of change to production that needed immediate intervention: not healthy, rolled back, or the cause of an incident.", "ratio", failed, total)
	d.ReworkRate = rate("instability", "The share of deployments of change to production that were not planned: with a merge labelled hotfix, or the first after one that had failed.", "ratio", rework, total)
	d.RecoveryTime = times("The time from the end of a deployment that failed until production was well again: its incidents are closed.", recoveries, recovered)
	d.leadTime()
}

// failedBy says whether a deployment was known to have failed at a time.
func failedBy(d Deployment, incidents []Incident, at time.Time) bool {
	return !d.Healthy || slices.ContainsFunc(incidents, func(i Incident) bool { return !i.OpenedAt.After(at) })
}

// recoveredAt is when the last incident of a deployment was closed; zero while one
// is open.
func recoveredAt(incidents []Incident) (end time.Time) {
	for _, i := range incidents {
		if i.ClosedAt.IsZero() {
			return time.Time{}
		}
		if i.ClosedAt.After(end) {
			end = i.ClosedAt
		}
	}
	return end
}

func (d *Dora) leadTime() {
	since := func(begin func(Change) time.Time) (seconds []float64, rows []string) {
		rows = []string{}
		for _, c := range d.Changes {
			if at := begin(c); !at.IsZero() {
				seconds = append(seconds, max(0, c.FinishedAt.Sub(at).Seconds()))
				rows = append(rows, c.Commit)
			}
		}
		return seconds, rows
	}
	seconds, rows := since(func(c Change) time.Time { return c.CommittedAt })
	d.ChangeLeadTime = times("The time from a change's commit on the default branch until it ran in production. The first deployment of a service has none.", seconds, rows)
	first, _ := since(func(c Change) time.Time { return c.FirstCommitAt })
	merged, _ := since(func(c Change) time.Time { return c.MergedAt })
	d.ChangeLeadTime.Also = map[string]Spread{"from_first_commit": spread(first), "from_merge": spread(merged)}
}

func rate(factor, definition, unit string, rows []string, denominator float64) Figure {
	f := Figure{Factor: factor, Definition: definition, Unit: unit, Numerator: float64(len(rows)), Denominator: denominator, Rows: rows}
	if denominator > 0 {
		v := f.Numerator / denominator
		f.Value = &v
	}
	return f
}

func times(definition string, seconds []float64, rows []string) Figure {
	s := spread(seconds)
	total := 0.0
	for _, v := range seconds {
		total += v
	}
	return Figure{
		Factor: "throughput", Definition: definition, Unit: "seconds", Value: s.Median, P90: s.P90,
		Numerator: total, Denominator: float64(s.Count), Rows: rows,
	}
}

// spread takes the mean of the two in the middle for an even number, and for the
// long end the smallest time that nine of ten do not exceed.
func spread(seconds []float64) Spread {
	n := len(seconds)
	if n == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(seconds))
	median, p90 := (sorted[(n-1)/2]+sorted[n/2])/2, sorted[(n*9+9)/10-1]
	return Spread{Median: &median, P90: &p90, Count: n}
}
