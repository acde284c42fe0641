package catalog_test

import (
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	if got := house().Validate(); len(got) != 0 {
		t.Fatalf("the house has problems: %v", got)
	}
	tests := []struct {
		name  string
		spoil func(*catalog.Snapshot)
		want  string
	}{
		{
			"an owner that is no team", func(s *catalog.Snapshot) { s.Services[0].Owner = "team-paymnts" },
			`services[0].owner: there is no team "team-paymnts" (did you mean "team-payments"?)`,
		},
		{
			"an owner that is a person", func(s *catalog.Snapshot) { s.Services[0].Owner = "ana" },
			`services[0].owner: "ana" is a person, and a service is owned by a team (people change jobs; make a team of one)`,
		},
		{
			"a service without an owner", func(s *catalog.Snapshot) { s.Services[0].Owner = "" },
			`services[0]: service "ledger" has no owner (add owner: with the name of a team)`,
		},
		{
			"a member who is nobody", func(s *catalog.Snapshot) { s.Teams[0].Members[1] = "an" },
			`teams.team-payments.members[1]: there is no person "an" (did you mean "ana"?)`,
		},
		{
			"a pipeline with an unknown environment", func(s *catalog.Snapshot) { s.Pipeline[0][1] = "staging" },
			`pipeline[0][1]: there is no environment "staging" (declared: dev, preprod, prod)`,
		},
		{
			"a pipeline that passes an environment twice", func(s *catalog.Snapshot) { s.Pipeline[1] = append(s.Pipeline[1], "dev") },
			`pipeline[1][1]: "dev" is in the pipeline already, at pipeline[0][0] (a release passes each environment once)`,
		},
		{
			"an empty stage", func(s *catalog.Snapshot) { s.Pipeline = append(s.Pipeline, nil) },
			`pipeline[2]: the stage is empty (remove it)`,
		},
		{
			"production with a schedule", func(s *catalog.Snapshot) { s.Environments[2].Schedule.Windows = "always" },
			`environments.prod.schedule: production cannot have a schedule (production is never torn down by a clock; remove the schedule, or change the kind if this is not production)`,
		},
		{
			"a kind that does not exist", func(s *catalog.Snapshot) { s.Environments[1].Kind = "test" },
			`environments.preprod.kind: "test" is no kind of environment (choose development, staging or production)`,
		},
		{
			"a service declared twice", func(s *catalog.Snapshot) { s.Services[1].Name = "ledger" },
			`services[1].name: service "ledger" is declared twice`,
		},
		{
			"a repository on an unknown forge", func(s *catalog.Snapshot) { s.Services[0].Repo.Forge = "gitlab" },
			`services[0].repo: there is no forge "gitlab" (did you mean "github"?)`,
		},
		{
			"infrastructure on an unknown forge", func(s *catalog.Snapshot) { s.Environments[0].Cloud.Repo.Forge = "guthub" },
			`environments.dev.cloud.repo: there is no forge "guthub" (did you mean "github"?)`,
		},
		{
			"a login of two people", func(s *catalog.Snapshot) { s.People[1].Logins["github"] = "ANA-gh" },
			`people.ben.github: the login "ANA-gh" belongs to ana already`,
		},
		{
			"an approver who is nobody", func(s *catalog.Snapshot) { s.Environments[2].Approval.From[0] = "ownr" },
			`environments.prod.approval.from[0]: there is no person or team "ownr" (did you mean "owner"?)`,
		},
		{
			"an approval that nobody may give", func(s *catalog.Snapshot) { s.Environments[2].Approval.From = nil },
			`environments.prod.approval.from: nobody may approve (write from: [owner])`,
		},
		{
			"an author rule that does not exist", func(s *catalog.Snapshot) { s.Environments[2].Approval.Author = "sometimes" },
			`environments.prod.approval.author: "sometimes" is no author rule (choose reviewed, refuse or allow)`,
		},
		{
			"a reminder without a time", func(s *catalog.Snapshot) { s.Environments[2].Approval.Remind[1].After = 0 },
			`environments.prod.approval.remind[1]: a reminder needs a time to wait (write "4h owner")`,
		},
		{
			"a reminder to operators who are nobody", func(s *catalog.Snapshot) { s.Operators = nil },
			`environments.prod.approval.remind[1]: nobody is an operator, so this reaches nobody (add operators: [a person or a team])`,
		},
		{
			"a team called owner", func(s *catalog.Snapshot) {
				s.Teams[1].Name = "owner"
				s.Operators = []string{"eve"}
				s.Services[1].Owner = "owner"
			},
			`teams.owner: "owner" is a word of the approval rules (choose another name)`,
		},
		{
			"a team called like a person", func(s *catalog.Snapshot) { s.Teams = append(s.Teams, catalog.Team{Name: "eve"}) },
			`teams.eve: "eve" is a person already (an approval rule could not tell them apart)`,
		},
		{
			"a calendar that does not exist", func(s *catalog.Snapshot) { s.Environments[0].Schedule.Except[0] = "bank-holiday" },
			`environments.dev.except[0]: there is no calendar "bank-holiday" (did you mean "bank-holidays"?)`,
		},
		{
			"exceptions without a schedule", func(s *catalog.Snapshot) { s.Environments[0].Schedule.Windows = "" },
			`environments.dev: except and also need a schedule (add schedule: "Mon-Fri 07:00-21:00")`,
		},
		{"a name that does not fit into a path", func(s *catalog.Snapshot) {
			s.Environments = append(s.Environments, catalog.Environment{Environment: nightporter.Environment{Name: "../prod", Kind: nightporter.Staging}})
		}, `environments["../prod"]: "../prod" cannot name an environment (use lower-case letters, digits, dots, hyphens and underscores, at most 63, with a letter or digit at both ends)`},
		{
			"an environment outside the pipeline", func(s *catalog.Snapshot) { s.Pipeline = [][]string{{"dev"}, {"preprod"}} },
			`services[1].environments[1]: "prod" is in no stage of the pipeline (add it to the pipeline)`,
		},
		{
			"a dependency on nothing", func(s *catalog.Snapshot) { s.Services[1].DependsOn[0] = "leger" },
			`services[1].depends_on[0]: there is no service "leger" (did you mean "ledger"?)`,
		},
		{"an approval rule for an unknown environment", func(s *catalog.Snapshot) {
			s.Services[1].Approval = map[string]catalog.Approval{"prd": {}}
		}, `services[1].approval.prd: there is no environment "prd" (did you mean "prod"?)`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := house()
			tt.spoil(&s)
			got := s.Validate()
			if len(got) != 1 || got[0].String() != tt.want {
				t.Errorf("got  %v\nwant %s", got, tt.want)
			}
		})
	}

	t.Run("no problem hides another", func(t *testing.T) {
		t.Parallel()
		s := house()
		s.Services[0].Owner = "nobody"
		s.Services[0].Repo.Forge = "nowhere"
		s.Pipeline[1][0] = "never"
		s.Environments[2].Schedule.Windows = "never"
		// Four that were made, and docs, whose prod is in no stage any more.
		if got := s.Validate(); len(got) != 5 {
			t.Errorf("got %d problems, want 5: %v", len(got), got)
		}
	})
}
