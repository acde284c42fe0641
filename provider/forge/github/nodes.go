package github

import (
	"slices"
	"time"

	"nightporter.dev/nightporter/provider/forge"
)

// What the GraphQL documents answer, and what it means.

type connection[T any] struct {
	PageInfo struct {
		HasNextPage bool
		EndCursor   string
	}
	Nodes []T
}

type oid struct{ OID string }

type actor struct {
	Typename string `json:"__typename"`
	Login    string
}

// login is how REST, webhooks and people write it. GraphQL drops a bot's suffix,
// and knows nobody for a deleted account.
func (a *actor) login() string {
	if a == nil {
		return ""
	}
	if a.Typename == "Bot" {
		return a.Login + "[bot]"
	}
	return a.Login
}

type named struct{ Name string }

type repositoryNode struct {
	ID               string
	Name             string
	IsArchived       bool
	IsFork           bool
	DefaultBranchRef *struct {
		Name   string
		Target oid
	}
	Refs         connection[refNode]
	PullRequests connection[openPullNode]
}

type refNode struct {
	Name   string
	Target target
}

type target struct {
	Typename string `json:"__typename"`
	OID      string
	Target   *target
}

// commit is what a tag leads to.
func (t target) commit() string {
	for t.Target != nil {
		t = *t.Target
	}
	return t.OID
}

type openPullNode struct {
	Number      int
	Title       string
	URL         string
	IsDraft     bool
	HeadRefOID  string
	BaseRefName string
	UpdatedAt   time.Time
	Author      *actor
	Labels      connection[named]
}

func (n repositoryNode) state(now time.Time) forge.RepoState {
	s := forge.RepoState{
		Name: n.Name, ID: n.ID, Archived: n.IsArchived, Fork: n.IsFork, ObservedAt: now,
		Empty: n.DefaultBranchRef == nil, Tags: map[string]string{},
		TagsPartial: n.Refs.PageInfo.HasNextPage, PullsPartial: n.PullRequests.PageInfo.HasNextPage,
	}
	if n.DefaultBranchRef != nil {
		s.DefaultBranch, s.Head = n.DefaultBranchRef.Name, n.DefaultBranchRef.Target.OID
	}
	for _, ref := range n.Refs.Nodes {
		s.Tags[ref.Name] = ref.Target.commit()
	}
	for _, p := range n.PullRequests.Nodes {
		pull := forge.Pull{
			Number: p.Number, Title: p.Title, URL: p.URL, Author: p.Author.login(), Head: p.HeadRefOID, Base: p.BaseRefName, Draft: p.IsDraft,
			UpdatedAt: p.UpdatedAt.UTC(),
		}
		for _, l := range p.Labels.Nodes {
			pull.Labels = append(pull.Labels, l.Name)
		}
		slices.Sort(pull.Labels)
		s.Pulls = append(s.Pulls, pull)
	}
	return s
}

type commitNode struct {
	OID                    string
	Message                string
	CommittedDate          time.Time
	Parents                connection[oid]
	Authors                connection[struct{ User *actor }]
	AssociatedPullRequests connection[pullNode]
}

type pullNode struct {
	Number      int
	Title       string
	URL         string
	MergedAt    *time.Time
	HeadRefOID  string
	MergeCommit *oid
	Author      *actor
	MergedBy    *actor
	pullListsNode
}

type pullListsNode struct {
	Commits connection[struct {
		Commit struct {
			AuthoredDate time.Time
			Author       *struct{ User *actor }
		}
	}]
	TimelineItems connection[timelineNode]
}

// timelineNode is a label that came or went, a review, or the merge.
type timelineNode struct {
	Typename string `json:"__typename"`
	Label    *named
	State    string // of a review
	Author   *actor
	Commit   *oid
}

func (c commitNode) merge() forge.Merge {
	m := forge.Merge{Commit: c.OID, Message: c.Message, CommittedAt: c.CommittedDate.UTC()}
	if len(c.Parents.Nodes) > 0 {
		m.Parent = c.Parents.Nodes[0].OID
	}
	for _, a := range c.Authors.Nodes {
		m.Authors = add(m.Authors, a.User.login())
	}
	return m
}

// brought says whether merging p put commit where it is. A commit can be part of
// several pull requests, and a pull request can bring many commits.
func (p pullNode) brought(commit string) bool {
	return p.MergedAt != nil && p.MergeCommit != nil && p.MergeCommit.OID == commit
}

func (p pullNode) merged() *forge.MergedPull {
	m := &forge.MergedPull{
		Number: p.Number, Title: p.Title, URL: p.URL, MergedBy: p.MergedBy.login(), MergedAt: p.MergedAt.UTC(),
	}
	m.Authors = add(m.Authors, p.Author.login())
	for _, c := range p.Commits.Nodes {
		if c.Commit.Author != nil {
			m.Authors = add(m.Authors, c.Commit.Author.User.login())
		}
		if at := c.Commit.AuthoredDate.UTC(); m.FirstCommitAt.IsZero() || at.Before(m.FirstCommitAt) {
			m.FirstCommitAt = at
		}
	}
	before := untilMerge(p.TimelineItems.Nodes)
	m.Labels = labels(before)
	m.Reviewers, m.StaleReviewers = reviewers(before, p.HeadRefOID)
	return m
}

// untilMerge is what happened before the merge. The order of the items decides:
// their times are whole seconds, and a label can change in the second of the
// merge.
func untilMerge(items []timelineNode) []timelineNode {
	for i, item := range items {
		if item.Typename == "MergedEvent" {
			return items[:i]
		}
	}
	return items
}

// labels replays a timeline.
func labels(items []timelineNode) []string {
	var labels []string
	for _, item := range items {
		switch {
		case item.Label == nil:
		case item.Typename == "LabeledEvent":
			labels = add(labels, item.Label.Name)
		case item.Typename == "UnlabeledEvent":
			labels = slices.DeleteFunc(labels, func(l string) bool { return l == item.Label.Name })
		}
	}
	slices.Sort(labels)
	return labels
}

// reviewers returns whose last opinion was to approve: those who saw head, and
// those who saw something older. A comment is no opinion. A review that was
// dismissed says so instead of what it said before.
func reviewers(items []timelineNode, head string) (fresh, stale []string) {
	last := map[string]timelineNode{}
	for _, item := range items {
		if item.Typename == "PullRequestReview" && item.State != "COMMENTED" {
			last[item.Author.login()] = item
		}
	}
	for login, r := range last {
		switch {
		case login == "" || r.State != "APPROVED":
		case r.Commit != nil && r.Commit.OID == head:
			fresh = append(fresh, login)
		default:
			stale = append(stale, login)
		}
	}
	slices.Sort(fresh)
	slices.Sort(stale)
	return fresh, stale
}

// add appends what is not empty and not there yet.
func add(list []string, s string) []string {
	if s == "" || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
