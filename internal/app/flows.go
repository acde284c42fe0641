package app

import (
	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/outbox"
)

// flows is the plot on one screen: which event calls which method. A listener's
// name is what the store knows it by, so it never changes.
func (a *App) flows() {
	m, b := a.modules, a.bus

	// A pull request becomes a version.
	outbox.On(b, "versions.check", m.versions.Check) // PullRequestChanged -> a status on its head
	outbox.On(b, "versions.cut", m.versions.Cut)     // Merged             -> VersionCut

	// A version reaches production.
	outbox.On(b, "releases.record", m.releases.Record) // Merged     -> (the board counts it)
	outbox.On(b, "releases.open", m.releases.Open)     // VersionCut -> ReleaseOpened, Deployed, AwaitingApproval, ReleaseHealthy, ReleaseRolledBack

	// The forge shows where a version is.
	outbox.On(b, "releases.reported", m.releases.Reported)                // Deployed          -> a deployment and a status of its commit
	outbox.On(b, "releases.reported.waiting", m.releases.ReportedWaiting) // AwaitingApproval  -> the same, as queued
	outbox.On(b, "releases.reported.back", m.releases.ReportedBack)       // ReleaseRolledBack -> the same, as failed
	outbox.On(b, "releases.noted", m.releases.Noted)                      // ReleaseHealthy    -> the notes of the version's release

	// What production went through is counted.
	outbox.On(b, "services.shipped", m.services.Shipped)     // ReleaseHealthy    -> (DORA)
	outbox.On(b, "services.failed", m.services.Failed)       // ReleaseRolledBack -> (DORA)
	outbox.On(b, "services.recovered", m.services.Recovered) // Deployed          -> (an incident ends)

	// What happened is what a service may claim.
	outbox.On(b, "security.shipped", m.security.Shipped)       // ReleaseHealthy    -> (I3; A2 for a rollback)
	outbox.On(b, "security.wentback", m.security.WentBack)     // ReleaseRolledBack -> (A2)
	outbox.On(b, "security.rebuilt", m.security.Rebuilt)       // DrillPassed       -> (A1)
	outbox.On(b, "security.notrebuilt", m.security.NotRebuilt) // DrillFailed       -> (A1)
	outbox.On(b, "security.slept", m.security.Slept)           // EnvironmentDown   -> (M2)
	outbox.On(b, "security.verified", m.security.Verified)     // AuditVerified     -> (I5)
	outbox.On(b, "tell.finding", a.tellFinding)                // FindingOpened     -> the owner
	outbox.On(b, "tell.risk", a.tellRisk)                      // RiskReopened      -> the owner

	// What is pushed is searched for secrets.
	outbox.On(b, "leaks.merged", m.leaks.Merged) // Merged             -> FindingOpened
	outbox.On(b, "leaks.pushed", m.leaks.Pushed) // PullRequestChanged -> FindingOpened

	// What happened is a mark on every graph.
	a.marks()

	// People are told what they may want to act on.
	outbox.On(b, "tell.waiting", a.tellWaiting)       // AwaitingApproval  -> the approvers
	outbox.On(b, "tell.rolledback", a.tellRolledBack) // ReleaseRolledBack -> the owner
	outbox.On(b, "tell.healthy", a.tellHealthy)       // ReleaseHealthy    -> the owner
	outbox.On(b, "tell.down", a.tellDown)             // ServiceDown       -> the owner
	outbox.On(b, "tell.up", a.tellUp)                 // ServiceUp         -> the owner
	outbox.On(b, "tell.drifted", a.tellDrifted)       // RepoDrifted       -> the owner

	// A night passes. Its hand-offs are awaited, so they are steps of its runs and
	// not events: undeploy, drain, enrol and redeploy (modules.go).
	outbox.On(b, "secrets.gone", a.databasesGone)                // EnvironmentDown -> (leases whose database is gone are closed)
	outbox.On(b, "tell.drill.failed", m.environments.TellFailed) // DrillFailed -> the operators
	outbox.On(b, "tell.drill.passed", m.environments.TellPassed) // DrillPassed -> the operators, after a failure
}

// shown are the events that no method hears and pages show: Home and the pages of
// a release read them from the outbox, and open pages look again with every
// commit that wrote one. Incidents are written by the change that publishes them;
// a rebuild of the services' rows reads their events.
var shown = []string{
	nightporter.IncidentOpened{}.EventName(),
	nightporter.IncidentClosed{}.EventName(),
	nightporter.ReleaseOpened{}.EventName(),
	nightporter.EnvironmentClosing{}.EventName(),
	nightporter.EnvironmentUp{}.EventName(),
	nightporter.EnvironmentKept{}.EventName(),
	nightporter.FindingFixed{}.EventName(),
}
