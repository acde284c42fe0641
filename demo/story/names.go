package story

// The names of steps that a sabotage must be noticed at.
const (
	StepFirstApprovals = "approved, they run in prod, and git's tag prod is there"
	StepMerge          = "merged: v0.3.0 is on the merge commit; dev and preprod run it, prod still v0.2.0"
	StepGraphs         = "affordability's own dashboard and rules are in its owner's workspace as git has them, and what it counts is there"
	StepTenant         = "a customer of affordability in dev shows the bank, and the profile is what it must be"
	StepLost           = "a merge whose webhook was lost is found by the sweep"
	StepTwoMerges      = "two merges within a second, webhooks late, doubled and backwards: two versions, in order, once each"
	StepRevoked        = "50 requests a second come in and the login in use is revoked: PostgreSQL does not know it any more, and another is in use"
	StepDusk           = "at 21:00 dev goes dark: no process of dev is left, nobody can log in to its database, and prod answers throughout"
	StepNight          = "the night passes, and until 07:00 nothing of dev is alive"
	StepProven         = "the drill asked the rebuilt affordability for the profile of tenant 1, and it is the one of the evening"
	StepEnd            = "asked to end, every service ends, and no process is left"
)
