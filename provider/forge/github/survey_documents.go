package github

import "strings"

// The documents of a survey, with their cost by GitHub's formula. For 1,000
// repositories, 10 pages of each:
//
//	repositories   3 points a page of 100: labels, rulesets and classic rules
//	               are a connection each; topics make it 4
//	teams          1 point a page: all teams with their first 100 repositories,
//	               then those that have more, by alias
//	rulesets       the organisation's come with the first page of teams; those
//	               of single repositories 1 point for 100
//
// Rules are not asked for under each repository's rulesets: that would be 23
// points a page. A set is read once, by its id.

const (
	surveyRulesets = 20 // of one repository, the organisation's included
	surveyRules    = 30 // of one set
	rulesetBatch   = 100
)

// surveyParts says what a survey's document asks for.
type surveyParts struct {
	topics, classic bool
}

func (p surveyParts) fields() string {
	var b strings.Builder
	b.WriteString(`
fragment settingsFields on Repository {
  id name isArchived isFork isEmpty
  defaultBranchRef { name }
  hasIssuesEnabled hasWikiEnabled hasProjectsEnabled
  mergeCommitAllowed squashMergeAllowed rebaseMergeAllowed deleteBranchOnMerge
  squashMergeCommitTitle squashMergeCommitMessage
  labels(first: 100) { totalCount pageInfo { hasNextPage endCursor } nodes { id name color description } }
  rulesets(first: 20, includeParents: true) { totalCount nodes { id name enforcement target source { __typename } conditions { refName { include exclude } } } }`)
	if p.topics {
		b.WriteString("\n  repositoryTopics(first: 20) { nodes { topic { name } } }")
	}
	if p.classic {
		b.WriteString(`
  branchProtectionRules(first: 10) {
    nodes {
      id pattern requiresApprovingReviews requiredApprovingReviewCount requiresStatusChecks requiresStrictStatusChecks
      requiredStatusChecks { context app { databaseId } }
      requiresLinearHistory requiresCommitSignatures
    }
  }`)
	}
	b.WriteString("\n}")
	return b.String()
}

func (p surveyParts) page() string {
	return `
query survey($owner: String!, $first: Int!, $after: String) {
  rateLimit { cost }
  repositoryOwner(login: $owner) {
    repositories(first: $first, after: $after, ownerAffiliations: [OWNER], orderBy: {field: NAME, direction: ASC}) {
      totalCount
      pageInfo { hasNextPage endCursor }
      nodes { ...settingsFields }
    }
  }
}` + p.fields()
}

func (p surveyParts) one() string {
	return `
query inspect($owner: String!, $name: String!) {
  rateLimit { cost }
  repository(owner: $owner, name: $name) { ...settingsFields }
}` + p.fields()
}

// ruleFields are a set's rules: those that we know the meaning of.
const ruleFields = `
fragment ruleFields on RepositoryRuleset {
  id databaseId name enforcement target source { __typename }
  conditions { refName { include exclude } repositoryName { include exclude } }
  rules(first: 30) {
    totalCount
    nodes {
      type
      parameters {
        ... on PullRequestParameters { requiredApprovingReviewCount }
        ... on RequiredStatusChecksParameters { strictRequiredStatusChecksPolicy requiredStatusChecks { context integrationId } }
      }
    }
  }
}`

const rulesetsDocument = `
query rulesets($ids: [ID!]!) {
  rateLimit { cost }
  nodes(ids: $ids) { ... on RepositoryRuleset { ...ruleFields } }
}` + ruleFields

const grantFields = `
fragment grantFields on Team {
  id slug
  repositories(first: 100, after: $after) { totalCount pageInfo { hasNextPage endCursor } edges { permission node { name } } }
}`

// organisationDocument reads the teams and the organisation's rulesets.
const organisationDocument = `
query organisation($owner: String!, $teams: String, $after: String) {
  rateLimit { cost }
  organization(login: $owner) {
    teams(first: 100, after: $teams) { totalCount pageInfo { hasNextPage endCursor } nodes { ...grantFields } }
    rulesets(first: 20) { totalCount nodes { ...ruleFields } }
  }
}` + grantFields + ruleFields

const labelsDocument = `
query labels($owner: String!, $name: String!, $after: String) {
  rateLimit { cost }
  repository(owner: $owner, name: $name) {
    labels(first: 100, after: $after) { totalCount pageInfo { hasNextPage endCursor } nodes { id name color description } }
  }
}`
