package policy

import (
	"fmt"
	"slices"
	"strings"

	"nightporter.dev/nightporter"
)

// The role bundles' names. A team's owners carry OwnerName(team).
const (
	ViewerName    = "viewer"
	DeveloperName = "developer"
	OperatorName  = "operator"
)

// OwnerName is the name of the bundle of the services that a team owns.
func OwnerName(team string) string { return "service-owner-" + strings.ToLower(team) }

// InstanceName is the name of the policy of a service's instances in an
// environment.
func InstanceName(service, environment string) string {
	return "instance-" + strings.ToLower(service) + "@" + strings.ToLower(environment)
}

// Instance writes the policy of a service's instances in an environment: they
// read the credentials at paths, and look after their own token and leases.
func Instance(service, environment string, paths []string) (Bundle, error) {
	var own []bundleRule
	for _, path := range paths {
		for segment := range strings.SplitSeq(path, "/") {
			if err := segmentName("path of credentials", segment); err != nil {
				return Bundle{}, err
			}
		}
		own = append(own, bundleRule{path, canRead})
	}
	for what, name := range map[string]string{"service": service, "environment": environment} {
		if err := segmentName(what, name); err != nil {
			return Bundle{}, err
		}
	}
	return Bundle{
		InstanceName(service, environment),
		"Reads the credentials of " + service + " in " + environment + ".",
		write([]section{
			{"The credentials of " + service + " in " + environment + ".", own},
			{"Its own token, and the leases that it knows.", append(
				rules(canRead, "auth/token/lookup-self"),
				rules(press, "auth/token/renew-self", "sys/wrapping/unwrap", "sys/leases/renew", "sys/leases/lookup")...)},
		}),
	}, nil
}

// The policies of a workspace, for tokens that programs get. read asks questions
// and sees rules, write sends samples, rules changes rules and silences.
const (
	WorkspaceRead  = "read"
	WorkspaceWrite = "write"
	WorkspaceRules = "rules"
)

// WorkspaceName is the name of one of the policies of a metrics workspace.
func WorkspaceName(workspace, scope string) string {
	return "workspace-" + strings.ToLower(workspace) + "-" + scope
}

// Workspace writes the policies of a metrics workspace. They are about this one
// alone.
func Workspace(name string) ([]Bundle, error) {
	if err := segmentName("workspace", name); err != nil {
		return nil, err
	}
	at := "api/workspaces/" + name
	return []Bundle{
		{WorkspaceName(name, WorkspaceRead), "Queries the workspace " + name + ".", write([]section{
			{"Ask questions of " + name + ".", rules(look, at, at+"/query", at+"/rules", at+"/alerts", at+"/silences", at+"/usage", at+"/dashboards", at+"/dashboards/*")},
		})},
		{WorkspaceName(name, WorkspaceWrite), "Writes samples into the workspace " + name + ".", write([]section{
			{"Send samples to " + name + ".", rules(press, at+"/write")},
		})},
		{WorkspaceName(name, WorkspaceRules), "Changes rules and silences of the workspace " + name + ".", write([]section{
			{"Change the rules of " + name + ".", rules(canList|manage, at+"/rules", at+"/rules/*", at+"/silences", at+"/silences/*")},
		})},
	}, nil
}

// BundleConfig is what role bundles are generated from: the catalog.
type BundleConfig struct {
	// NonProduction are the environments that developers may change by
	// themselves. Default: none, which leaves them the deploy button.
	NonProduction []string
	// Owners are the services of each team. Default: nobody owns anything.
	Owners map[string][]string
	// Credentials are the paths that each service's logins are lent at. Its
	// owners see those logins and may end them. Default: none.
	Credentials map[string][]string
}

// Bundle is a role as a policy, with a sentence for the page that shows it.
type Bundle struct {
	Name    string
	Summary string
	Text    string
}

// Bundles writes the policies of the roles as text, to be stored and shown like
// any other. Each is complete: a developer needs no viewer beside it. The names
// of teams, services and environments become path segments, so a name with path
// syntax is refused as [nightporter.Invalid].
//
// Bundles say who may press a button. Rules that are not about paths, such as
// "not the author" or a freeze, are the workflow's and hold for every role.
func Bundles(c BundleConfig) ([]Bundle, error) {
	nonProduction := slices.Sorted(slices.Values(c.NonProduction))
	for _, name := range nonProduction {
		if err := segmentName("environment", name); err != nil {
			return nil, err
		}
	}
	bundles := []Bundle{
		{ViewerName, "Sees everything that is not a secret, changes nothing.", write(viewerRules())},
		{DeveloperName, "Deploys, and runs everything that is not production.", write(viewerRules(), findingRules(), developerRules(nonProduction))},
		{OperatorName, "Runs the house: every environment, freezes, runs, leases and repositories; not policies or tokens.", write(viewerRules(), operatorRules())},
	}
	teams := make([]string, 0, len(c.Owners))
	for team := range c.Owners {
		teams = append(teams, team)
	}
	slices.Sort(teams)
	written := map[string]string{}
	for _, team := range teams {
		if err := segmentName("team", team); err != nil {
			return nil, err
		}
		if other, ok := written[OwnerName(team)]; ok {
			return nil, nightporter.E(nightporter.Invalid, "the teams %q and %q differ only in case", other, team)
		}
		written[OwnerName(team)] = team
		services := slices.Sorted(slices.Values(c.Owners[team]))
		for _, name := range services {
			if err := segmentName("service", name); err != nil {
				return nil, err
			}
			for _, path := range c.Credentials[name] {
				for segment := range strings.SplitSeq(path, "/") {
					if err := segmentName("path of credentials", segment); err != nil {
						return nil, err
					}
				}
			}
		}
		bundles = append(bundles, Bundle{
			OwnerName(team),
			"Decides about production for " + listed(services) + ".",
			write(viewerRules(), ownerRules(team, services, c.Credentials)),
		})
	}
	return bundles, nil
}

// segmentName makes sure that a name stays one segment of a path, and one string
// of a policy's text.
func segmentName(what, name string) error {
	if name == "" || !safeValue(name) || strings.ContainsAny(name, "\"$") {
		return nightporter.E(nightporter.Invalid, "the %s %q cannot stand in a policy", what, name).
			WithHint("use letters, digits, dots, hyphens and underscores")
	}
	return nil
}

func listed(names []string) string {
	if len(names) == 0 {
		return "no service yet"
	}
	return strings.Join(names, ", ")
}

// section is a group of rules under one comment.
type section struct {
	comment string
	rules   []bundleRule
}

type bundleRule struct {
	path string
	can  capabilities
}

const (
	look   = canRead | canList
	press  = canUpdate
	manage = canRead | canCreate | canUpdate | canDelete
)

func viewerRules() []section {
	return []section{
		{"See services, versions, releases, runs and environments.", rules(look,
			"api/board", "api/services", "api/services/*", "api/versions", "api/versions/*",
			"api/releases", "api/releases/*", "api/runs", "api/runs/*",
			"api/environments", "api/environments/*", "api/repos", "api/repos/*",
			"api/people", "api/teams", "api/events", "api/freezes")},
		{"See evidence, and the audit log as far as one may see its subjects.", rules(look,
			"api/security/posture", "api/audit", "api/audit/*", "api/leases", "api/workspaces", "api/workspaces/*")},
	}
}

// findingRules let whoever builds services see what is wrong with them. That is not
// for everybody who may look at a board: it says where to find what leaked.
func findingRules() []section {
	return []section{
		{"See findings and risks, and write a risk down.", append(
			rules(look, "api/security/findings", "api/security/findings/+"),
			bundleRule{risksPath, look | press})},
	}
}

const risksPath = "api/security/risks"

// incidentPaths are where incidents of services are opened and closed.
var incidentPaths = []string{"api/services/+/incidents", "api/services/+/incidents/+/close"}

func developerRules(nonProduction []string) []section {
	sections := []section{
		{"Say when a service is unwell, and when it is well again.", rules(press, incidentPaths...)},
		// The request names the environment in its body. A deploy to production
		// stops at its approval, which this bundle does not grant.
		{"Deploy any service.", rules(press, "api/services/+/deploy")},
	}
	for _, env := range nonProduction {
		sections = append(sections, section{
			"Run " + env + ".",
			append(rules(press,
				"api/releases/+/"+env+"/retry", "api/releases/+/"+env+"/promote", "api/releases/+/"+env+"/rollback",
				"api/environments/"+env+"/up", "api/environments/"+env+"/drill"),
				rules(manage, "api/environments/"+env+"/keep")...),
		})
	}
	return sections
}

func ownerRules(team string, services []string, credentials map[string][]string) []section {
	sections := append(findingRules(), section{"Decide about risks. Who owns one may not approve it.", rules(press, risksPath+"/+")})
	for _, s := range services {
		r := "api/releases/" + s + "/+/"
		sections = append(sections, section{
			team + " decides about " + s + ".",
			append(rules(press, r+"approve", r+"reject", r+"retry", r+"promote", r+"rollback", "api/services/"+s+"/deploy", "api/services/"+s+"/artifacts",
				"api/services/"+s+"/sarif", "api/security/findings/"+s+"/+"),
				rules(manage, "api/services/"+s+"/hold")...),
		})
		var logins []bundleRule
		for _, path := range slices.Compact(slices.Sorted(slices.Values(credentials[s]))) {
			logins = append(logins, bundleRule{"sys/leases/lookup/" + path, canList | canSudo}, bundleRule{"sys/leases/lookup/" + path + "/*", canList | canSudo},
				bundleRule{"sys/leases/revoke/" + path + "/*", press})
		}
		if len(logins) > 0 {
			sections = append(sections, section{"See the logins of " + s + ", and end them.", logins})
		}
	}
	return sections
}

func operatorRules() []section {
	r := "api/releases/+/+/"
	return []section{
		{"Move and stop releases everywhere.", append(
			rules(press, r+"approve", r+"reject", r+"retry", r+"promote", r+"rollback", "api/services/+/deploy", "api/services/+/artifacts", "api/services/+/sarif", "api/runs/+/cancel", "api/dora/rebuild", incidentPaths[0], incidentPaths[1]),
			rules(manage, "api/services/+/hold", "api/freezes/+", "api/freezes/+/override")...)},
		{"Run every environment.", append(
			rules(press, "api/environments/+/up", "api/environments/+/down", "api/environments/+/drill"),
			rules(manage, "api/environments/+/keep")...)},
		{"Keep repositories alike.", rules(canCreate|press, "api/repos/plan", "api/repos/plans/+/apply", "api/repos/plans/+/undo", "api/repos/adopt")},
		{"Look after leases, workspaces and findings.", append(append(
			rules(press, "sys/leases/revoke"),
			bundleRule{"sys/leases/lookup/*", canList | canSudo},
			bundleRule{"sys/leases/revoke-prefix/*", press | canSudo}),
			rules(canList|manage, "api/workspaces", "api/workspaces/*", "api/security/*", "api/security/findings", "api/security/findings/+", "api/security/findings/+/+",
				risksPath, risksPath+"/+")...)},
		{"Read the server's state.", rules(canRead, "sys/mounts", "sys/auth", "sys/metrics", "api/doctor")},
	}
}

func rules(can capabilities, paths ...string) []bundleRule {
	list := make([]bundleRule, len(paths))
	for i, p := range paths {
		list[i] = bundleRule{p, can}
	}
	return list
}

// write prints sections as HCL. A pattern that several sections hold is joined
// when the policy is compiled, like patterns of several policies.
func write(groups ...[]section) string {
	var b strings.Builder
	for _, sections := range groups {
		for _, s := range sections {
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "# %s\n", s.comment)
			for _, r := range s.rules {
				fmt.Fprintf(&b, "path %q {\n  capabilities = [\"%s\"]\n}\n", r.path, strings.Join(r.can.names(), `", "`))
			}
		}
	}
	return b.String()
}
