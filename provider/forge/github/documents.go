package github

// The GraphQL documents. What they cost, by GitHub's formula (docs.github.com,
// "Rate limits and query limits for the GraphQL API": connections / 100):
//
//	sweep    12 points for a page of 100 repositories
//	moved     2 points for each repository that moved
//	history   5 points for a page of 50 commits
//
// Numbers that are part of a document stand beside it.

const (
	maxPage     = 100 // GitHub's limit for first
	lookMerges  = 20  // commits that a look reads
	movedBatch  = 20  // repositories in a query for what moved: 20 × 20 × 3 × 100 nodes, of 500,000 allowed
	historyPage = 50
	maxMentions = 20 // pull requests in a query by number
)

// repositoryFields is what one look at a repository sees. Its numbers are what a
// page of 100 can afford; the partial flags say when they are too small.
const repositoryFields = `
fragment repositoryFields on Repository {
  id name isArchived isFork
  defaultBranchRef { name target { oid } }
  refs(refPrefix: "refs/tags/", first: 100, orderBy: {field: TAG_COMMIT_DATE, direction: DESC}) { ...tagFields }
  pullRequests(states: [OPEN], first: 10, orderBy: {field: UPDATED_AT, direction: DESC}) {
    pageInfo { hasNextPage }
    nodes {
      number title url isDraft headRefOid baseRefName updatedAt
      author { __typename login }
      labels(first: 20) { nodes { name } }
    }
  }
}` + tagFields

// tagFields follows an annotated tag, and one that is about another.
const tagFields = `
fragment tagFields on RefConnection {
  pageInfo { hasNextPage endCursor }
  nodes { name target { __typename oid ... on Tag { target { __typename oid ... on Tag { target { __typename oid } } } } } }
}`

// commitFields is one commit and the pull requests that may have brought it.
const commitFields = `
fragment commitFields on Commit {
  oid message committedDate
  parents(first: 1) { nodes { oid } }
  authors(first: 10) { nodes { user { login } } }
  associatedPullRequests(first: 3) { nodes { ...pullFields } }
}` + pullFields

// pullFields is a pull request as it was when it was merged. The timeline tells
// the labels and the reviews of that moment.
const pullFields = `
fragment pullFields on PullRequest {
  number title url mergedAt headRefOid
  mergeCommit { oid }
  author { __typename login }
  mergedBy { __typename login }
  commits(first: 50) { ...pullCommits }
  timelineItems(first: 50, itemTypes: [LABELED_EVENT, UNLABELED_EVENT, PULL_REQUEST_REVIEW, MERGED_EVENT]) { ...pullTimeline }
}` + pullLists

const pullLists = `
fragment pullCommits on PullRequestCommitConnection {
  pageInfo { hasNextPage endCursor }
  nodes { commit { authoredDate author { user { login } } } }
}
fragment pullTimeline on PullRequestTimelineItemsConnection {
  pageInfo { hasNextPage endCursor }
  nodes {
    __typename
    ... on LabeledEvent { label { name } }
    ... on UnlabeledEvent { label { name } }
    ... on PullRequestReview { state author { __typename login } commit { oid } }
  }
}`

const sweepDocument = `
query sweep($owner: String!, $first: Int!, $after: String) {
  repositoryOwner(login: $owner) {
    repositories(first: $first, after: $after, ownerAffiliations: [OWNER], orderBy: {field: NAME, direction: ASC}) {
      pageInfo { hasNextPage endCursor }
      nodes { ...repositoryFields }
    }
  }
}` + repositoryFields

const refreshDocument = `
query refresh($owner: String!, $name: String!) {
  repository(owner: $owner, name: $name) { ...repositoryFields }
}` + repositoryFields

const tagsDocument = `
query tags($owner: String!, $name: String!, $after: String) {
  repository(owner: $owner, name: $name) {
    refs(refPrefix: "refs/tags/", first: 100, after: $after) { ...tagFields }
  }
}` + tagFields

// historyDocument reads the line of one commit. Asking by the commit, not by the
// branch, keeps the pages together when the branch moves meanwhile.
const historyDocument = `
query history($owner: String!, $name: String!, $head: GitObjectID!, $first: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    object(oid: $head) {
      ... on Commit { history(first: $first, after: $after) { pageInfo { hasNextPage endCursor } nodes { ...commitFields } } }
    }
  }
}` + commitFields

const headDocument = `
query head($owner: String!, $name: String!) {
  repository(owner: $owner, name: $name) { defaultBranchRef { target { oid } } }
}`

// restDocument reads on in the lists of one pull request.
const restDocument = `
query rest($owner: String!, $name: String!, $number: Int!, $commits: String, $timeline: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      commits(first: 100, after: $commits) { ...pullCommits }
      timelineItems(first: 100, after: $timeline, itemTypes: [LABELED_EVENT, UNLABELED_EVENT, PULL_REQUEST_REVIEW, MERGED_EVENT]) { ...pullTimeline }
    }
  }
}` + pullLists
