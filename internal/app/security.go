package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/cloud"
	"nightporter.dev/nightporter/provider/notify"
	"nightporter.dev/nightporter/releases"
	"nightporter.dev/nightporter/repos"
	"nightporter.dev/nightporter/repos/standard"
	"nightporter.dev/nightporter/secrets/database"
	"nightporter.dev/nightporter/security"
)

// makeSecurity makes the capability that keeps findings, risks and evidence. What
// happened reaches it as events (flows.go); what is so now it reads here.
func (a *App) makeSecurity() (err error) {
	a.modules.security, err = security.New(security.Config{
		Gate: a.gate, Catalog: a.catalog, Log: a.log,
		Sources: []security.Source{a.proveLogins, a.proveReaders, a.proveRepos, a.proveBoard, a.proveOwners, a.proveNights},
	})
	return err
}

// proveLogins answers C2, C3 and C4 for the services that are lent credentials.
func (a *App) proveLogins(ctx context.Context, tx *store.Tx, now time.Time) ([]security.Claim, error) {
	proofs, err := a.databases.Proofs(ctx, tx)
	if err != nil {
		return nil, err
	}
	lentAt := map[string]*database.Proof{}
	rotated := map[string]audit.Entry{}
	for i := range proofs {
		p := &proofs[i]
		for _, path := range p.Roles {
			lentAt[path] = p
		}
		if rotated[p.Database], err = lastRotation(ctx, tx, p.Database); err != nil {
			return nil, err
		}
	}
	listed := a.config.Load().Databases
	var out []security.Claim
	world := a.catalog.Current()
	for _, s := range world.Services() {
		used := map[string]*database.Proof{}
		var unknown []string
		for _, env := range world.EnvironmentsOf(s.Name) {
			for _, path := range s.CredentialsIn(env) {
				if p := lentAt[path]; p != nil {
					used[p.Database] = p
				} else {
					unknown = append(unknown, path)
				}
			}
		}
		about := "service/" + s.Name
		if len(used) == 0 && len(unknown) == 0 {
			for _, check := range []string{"C2", "C3", "C4"} {
				out = append(out, security.Claim{Check: check, About: about, State: security.NA, At: now, Proof: "it is lent no credentials"})
			}
			continue
		}
		for _, path := range unknown {
			for _, check := range []string{"C2", "C3", "C4"} {
				out = append(out, security.Claim{Check: check, About: about, State: security.Unknown, Proof: "there is no role at " + path})
			}
		}
		for _, p := range used {
			out = append(out, ofDatabase(about, *p, listed[p.Database].Logins, rotated[p.Database], now)...)
		}
	}
	return out, nil
}

// ofDatabase is what a service may claim of one database that it uses.
func ofDatabase(about string, p database.Proof, listed []string, rotated audit.Entry, now time.Time) []security.Claim {
	c2 := security.Claim{Check: "C2", About: about, At: p.Compared, Event: "the login list of " + p.Database, Page: "/secrets"}
	strange := slices.DeleteFunc(slices.Clone(p.Standing), func(name string) bool { return slices.Contains(listed, name) })
	switch {
	case p.Dark:
		c2.State, c2.At, c2.Proof = security.NA, now, p.Database+" is down with its environment"
	case p.Compared.IsZero():
		c2.State, c2.Event, c2.Proof = security.Unknown, "", "the logins of "+p.Database+" have not been listed since the server started"
		if p.Trouble != "" {
			c2.Proof += ": " + p.Trouble
		}
	case len(strange) > 0:
		c2.State = security.Fail
		c2.Proof = fmt.Sprintf("%s has %d logins that nobody leases: %s", p.Database, len(strange), strings.Join(strange[:min(5, len(strange))], ", "))
	default:
		c2.State, c2.Proof = security.Pass, fmt.Sprintf("each login of %s is one of %d leases", p.Database, p.Logins)
		if len(p.Standing) > 0 {
			c2.Proof += " or one of " + strings.Join(p.Standing, ", ") + ", which the configuration lists"
		}
	}
	c3 := security.Claim{Check: "C3", About: about, At: now, State: security.Pass, Event: "the leases, read now", Page: "/secrets"}
	switch {
	case p.Dark && p.Overdue == 0:
		c3.State, c3.Proof = security.NA, p.Database+" is down with its environment"
	case p.Overdue > 0:
		c3.State, c3.Proof = security.Fail, fmt.Sprintf("%d logins of %s outlive their lease", p.Overdue, p.Database)
		if p.Trouble != "" {
			c3.Proof += ": " + p.Trouble
		}
	case p.TooLong > 0:
		c3.State, c3.Proof = security.Fail, fmt.Sprintf("%d leases of %s end later than their maximum", p.TooLong, p.Database)
	default:
		c3.Proof = fmt.Sprintf("%d live leases of %s, none overdue", p.Logins, p.Database)
	}
	c4 := security.Claim{
		Check: "C4", About: about, State: security.Fail, At: now, Event: "the audit log, read now", Page: "/secrets",
		Proof: "the administrator's password of " + p.Database + " was never changed by the porter: somebody knows it",
	}
	if rotated.Action != "" {
		c4.State, c4.At, c4.Event = security.Pass, rotated.At, fmt.Sprintf("audit entry %d", rotated.Seq)
		c4.Proof = fmt.Sprintf("the administrator's password of %s was changed by the porter, for %s", p.Database, rotated.Actor.Cause())
	}
	return []security.Claim{c2, c3, c4}
}

// lastRotation is the newest entry of a change of an administrator's password, by
// hand or when its environment was rebuilt.
func lastRotation(ctx context.Context, tx *store.Tx, name string) (last audit.Entry, err error) {
	mount, short, _ := strings.Cut(name, "/")
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		mount, short = name[:i], name[i+1:]
	}
	for _, f := range []audit.Filter{
		{Resource: "database/" + mount + "/rotate-root/" + short, Limit: 1}, {Resource: "database/" + short, Action: "database.rotate", Limit: 1},
	} {
		list, err := audit.List(ctx, tx, f)
		if err != nil {
			return last, err
		}
		if len(list) > 0 && list[0].Decision == audit.Allowed && list[0].At.After(last.At) {
			last = list[0]
		}
	}
	return last, nil
}

// proveRepos answers I2 from the last survey.
func (a *App) proveRepos(ctx context.Context, tx *store.Tx, _ time.Time) ([]security.Claim, error) {
	rows, err := repos.Rows(ctx, tx)
	if err != nil {
		return nil, err
	}
	var out []security.Claim
	for _, r := range rows {
		var drift, unknown []string
		exempt := 0
		for _, c := range r.Cells {
			switch c.State {
			case standard.Drift:
				drift = append(drift, string(c.Rule))
			case standard.Unknown:
				unknown = append(unknown, string(c.Rule))
			case standard.Exempt:
				exempt++
			}
		}
		c := security.Claim{Check: "I2", About: "repo/" + r.Repo.String(), State: security.Pass, At: r.LookedAt, Event: "the survey of " + r.Repo.Forge, Page: "/repos"}
		switch {
		case len(drift) > 0:
			c.State, c.Proof = security.Fail, fmt.Sprintf("%s differs in %s", r.Repo, strings.Join(drift, ", "))
		case len(unknown) > 0:
			c.State, c.Proof = security.Unknown, fmt.Sprintf("%s could not be seen of %s", strings.Join(unknown, ", "), r.Repo)
		default:
			c.Proof = fmt.Sprintf("%d rules hold", len(r.Cells)-exempt)
			if exempt > 0 {
				c.Proof += fmt.Sprintf(", and %d have an exception that ends", exempt)
			}
		}
		out = append(out, c)
	}
	return out, nil
}

// behindAtMost is how long a merge may wait for production.
const behindAtMost = 7 * 24 * time.Hour

// proveBoard answers A5.
func (a *App) proveBoard(ctx context.Context, tx *store.Tx, now time.Time) ([]security.Claim, error) {
	rows, err := releases.Board(ctx, tx, a.catalog.Current())
	if err != nil {
		return nil, err
	}
	var out []security.Claim
	for _, r := range rows {
		if !r.Production.Released {
			continue
		}
		c := security.Claim{
			Check: "A5", About: "service/" + r.Service, State: security.Pass, At: now, Event: "the board, read now", Page: "/services/" + r.Service,
			Proof: "production has everything that was merged",
		}
		if n := r.Production.Behind; n > 0 {
			oldest := r.Production.OldestUnreleased
			c.Proof = fmt.Sprintf("production is %d merges behind, the oldest of %s", n, oldest.Format(time.DateOnly))
			if now.Sub(oldest) > behindAtMost {
				c.State = security.Fail
			}
		}
		out = append(out, c)
	}
	return out, nil
}

// proveOwners answers A6 as far as the configuration can: whether the people of a
// team are still in the organisation it does not say.
func (a *App) proveOwners(_ context.Context, _ *store.Tx, now time.Time) ([]security.Claim, error) {
	world := a.catalog.Current()
	var out []security.Claim
	for _, s := range world.Services() {
		team, ok := world.OwnerOf(s.Name)
		c := security.Claim{Check: "A6", About: "service/" + s.Name, At: now, Event: "the configuration", Page: "/services/" + s.Name}
		switch {
		case !ok || len(team.Members) == 0:
			c.State, c.Proof = security.Fail, "nobody is in "+s.Owner+", which owns it"
		default:
			c.State, c.Proof = security.Unknown, fmt.Sprintf("%s has %d people in the configuration; whether they are still in the organisation is not read", team.Name, len(team.Members))
		}
		out = append(out, c)
	}
	return out, nil
}

// proveNights answers M2 from what was last seen of the environments that sleep.
func (a *App) proveNights(ctx context.Context, tx *store.Tx, _ time.Time) ([]security.Claim, error) {
	all, err := a.modules.environments.List(ctx, tx)
	if err != nil {
		return nil, err
	}
	var out []security.Claim
	for _, e := range all {
		c := security.Claim{Check: "M2", About: "environment/" + e.Name, At: e.ObservedAt, Event: "the inventory of " + e.Name, Page: "/environments/" + e.Name}
		switch {
		case !e.Managed:
			c.State, c.Proof = security.NA, e.Name+" does not sleep"
		case strings.HasPrefix(e.Message, "alive in the dark"):
			c.State, c.Proof = security.Fail, e.Name+": "+e.Message
		case e.State == environments.Down:
			c.State, c.Proof = security.Pass, e.Name+" is down, and its inventory is empty"
		default:
			continue // it is day: what was proved at its last night stands
		}
		out = append(out, c)
	}
	return out, nil
}

const (
	firstProof     = time.Minute // after the start, when there are more urgent things
	inventoryEvery = time.Hour
	verifyEvery    = 12 * time.Hour
)

// prove looks at what no event tells of: now and then at what runs in each
// environment, and twice a day at the whole audit log.
func (a *App) prove(ctx context.Context) {
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("security", ""))
	timer := time.NewTimer(firstProof)
	defer timer.Stop()
	var verified time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			timer.Reset(inventoryEvery)
		}
		a.proveInventories(ctx)
		if now := time.Now(); now.Sub(verified) >= verifyEvery {
			if err := a.proveAudit(ctx); err != nil && ctx.Err() == nil {
				a.log.ErrorContext(ctx, "verify the audit log", "error", err)
			} else {
				verified = now
			}
		}
	}
}

// proveAudit verifies the audit log and says what came of it.
func (a *App) proveAudit(ctx context.Context) error {
	if err := a.Anchor(ctx); err != nil {
		return err
	}
	report, where, err := a.VerifyAnchored(ctx)
	if err != nil {
		return err
	}
	e := nightporter.AuditVerified{Entries: report.Entries, Anchor: where, Damage: report.Damage[:min(3, len(report.Damage))], At: time.Now().UTC()}
	return a.gate.Do(ctx, nightporter.Action{Name: "audit.verify"}, e.EventSubject(), func(tx *gate.Tx) error {
		tx.Detail("damage", len(report.Damage))
		tx.Publish(e)
		return nil
	})
}

// proveInventories answers M1: whether an environment has what belongs to no
// component of its code.
func (a *App) proveInventories(ctx context.Context) {
	for _, e := range a.catalog.Current().Environments() {
		p := a.providers.Clouds[e.Cloud.Kind]
		if p == nil || ctx.Err() != nil {
			continue
		}
		all, err := p.Inventory(ctx, cloud.Target{Environment: e.Name, Settings: e.Cloud.Settings})
		if err == nil {
			err = a.modules.security.Observe(ctx, undeclared(e.Name, all, time.Now()))
		}
		if err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "read the inventory", "environment", e.Name, "error", err)
		}
	}
}

func undeclared(environment string, all []cloud.Resource, now time.Time) security.Claim {
	var strange []string
	for _, r := range cloud.Alive(all) {
		if r.Component == "" || r.Environment != "" && r.Environment != environment {
			strange = append(strange, r.Kind+" "+r.ID)
		}
	}
	c := security.Claim{
		Check: "M1", About: "environment/" + environment, State: security.Pass, At: now, Event: "the inventory of " + environment,
		Proof: fmt.Sprintf("each of the %d resources of %s belongs to a component of its code", len(all), environment), Page: "/environments/" + environment,
	}
	if len(strange) > 0 {
		c.State = security.Fail
		c.Proof = fmt.Sprintf("%s has %d resources that nobody declared: %s", environment, len(strange), strings.Join(strange[:min(3, len(strange))], ", "))
	}
	return c
}

// tellFinding tells the owner of what is critical or high, and of nothing that a
// person has to look at first.
func (a *App) tellFinding(ctx context.Context, e nightporter.FindingOpened) error {
	if e.Suspect || e.Owner == "" || e.Severity.Rank() < nightporter.High.Rank() {
		return nil
	}
	m := notify.Message{
		Key: "finding/" + e.ID + "/" + e.Due.Format(time.RFC3339), Title: fmt.Sprintf("%s: %s (%s)", e.Repo, e.Title, e.Severity),
		Text: fmt.Sprintf("It is due on %s.", e.Due.Format("Mon 2 Jan 15:04 MST")), URL: a.page("/security/findings/" + e.ID),
		Severity: notify.Problem, Service: e.Service, At: a.clock.Now(),
	}
	if e.Again != "" {
		m.Text = "It is open again: " + e.Again + ". " + m.Text
	}
	return a.Tell(ctx, e.Owner, m)
}

// tellRisk tells the owner of a risk that it is to be decided about again.
func (a *App) tellRisk(ctx context.Context, e nightporter.RiskReopened) error {
	return a.Tell(ctx, e.Owner, notify.Message{
		Key: "risk/" + e.ID + "/" + e.Why, Title: "The risk \"" + e.Title + "\" is open again", Text: "It is, because " + e.Why + ".",
		URL: a.page("/security/risks"), Severity: notify.Action, At: a.clock.Now(),
	})
}
