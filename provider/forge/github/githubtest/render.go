package githubtest

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"time"
)

// What things look like in GitHub's REST API and webhooks. GitHub's answers are
// wide; everything that its description requires is here, with the values that
// say "nothing special" where this server knows nothing.

type object = map[string]any

func itoa(n int) string { return strconv.Itoa(n) }

// node is a global id, as opaque as GitHub's.
func node(kind string, id int64) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s_%d", kind, id))
}

func (s *Server) page(r *repository) string {
	return s.url + "/" + s.cfg.Organisation + "/" + r.name
}

func (s *Server) api(r *repository) string {
	return s.url + "/repos/" + s.cfg.Organisation + "/" + r.name
}

// userID is a number that a login always has.
func userID(login string) int64 {
	var n int64 = 1000
	for _, c := range []byte(login) {
		n = (n*31 + int64(c)) % 1_000_000_007
	}
	return n
}

func (s *Server) renderUser(login string) object {
	at := s.url + "/users/" + login
	u := object{
		"login": login, "id": userID(login), "node_id": node("U", userID(login)), "type": "User",
		"avatar_url": s.url + "/avatars/" + login, "gravatar_id": "", "site_admin": false,
		"url": at, "html_url": s.url + "/" + login, "name": login, "email": nil,
		"gists_url": at + "/gists{/gist_id}", "starred_url": at + "/starred{/owner}{/repo}",
		"events_url": at + "/events{/privacy}", "following_url": at + "/following{/other_user}",
	}
	for _, k := range []string{"followers", "organizations", "received_events", "repos", "subscriptions"} {
		u[k+"_url"] = at + "/" + k
	}
	return u
}

func (s *Server) renderOrganisation() object {
	at := s.url + "/orgs/" + s.cfg.Organisation
	return object{
		"login": s.cfg.Organisation, "id": 1, "node_id": node("O", 1), "url": at, "description": nil,
		"repos_url": at + "/repos", "events_url": at + "/events", "hooks_url": at + "/hooks", "issues_url": at + "/issues",
		"members_url": at + "/members{/member}", "public_members_url": at + "/public_members{/member}",
		"avatar_url": s.url + "/avatars/" + s.cfg.Organisation,
	}
}

func (s *Server) renderRepo(r *repository) object {
	owner := s.renderUser(s.cfg.Organisation)
	owner["type"] = "Organization"
	api, page := s.api(r), s.page(r)
	o := object{
		"id": r.id, "node_id": node("R", r.id), "name": r.name, "full_name": s.cfg.Organisation + "/" + r.name,
		"owner": owner, "private": true, "visibility": "private", "fork": r.conf.Fork, "archived": r.archived, "disabled": false,
		"description": nil, "homepage": nil, "language": nil, "license": nil, "mirror_url": nil, "topics": []any{},
		"default_branch": "main", "url": api, "html_url": page, "clone_url": page + ".git", "git_url": "git://" + page[len("http://"):] + ".git",
		"ssh_url": "git@" + page[len("http://"):] + ".git", "svn_url": page,
		"created_at": r.created, "updated_at": r.created, "pushed_at": r.created,
		"has_issues": r.conf.Issues, "has_projects": r.conf.Projects, "has_wiki": r.conf.Wiki, "has_pages": false, "has_discussions": false, "has_downloads": false,
		"allow_merge_commit": r.conf.MergeCommit, "allow_squash_merge": r.conf.Squash, "allow_rebase_merge": r.conf.Rebase,
		"squash_merge_commit_title": r.conf.SquashTitle, "squash_merge_commit_message": r.conf.SquashMessage,
		"delete_branch_on_merge":      r.conf.DeleteBranchOnMerge,
		"web_commit_signoff_required": false, "is_template": false, "allow_forking": true,
	}
	for _, k := range []string{
		"forks", "forks_count", "open_issues", "open_issues_count", "size", "stargazers_count", "watchers",
		"watchers_count", "network_count", "subscribers_count",
	} {
		o[k] = 0
	}
	for _, k := range []string{
		"archive", "assignees", "blobs", "branches", "collaborators", "comments", "commits", "compare", "contents",
		"contributors", "deployments", "downloads", "events", "forks", "hooks", "issues", "keys", "labels", "languages",
		"merges", "milestones", "notifications", "pulls", "releases", "stargazers", "statuses", "subscribers",
		"subscription", "tags", "teams", "trees",
	} {
		o[k+"_url"] = api + "/" + k
	}
	for k, path := range map[string]string{
		"git_commits_url": "/git/commits{/sha}", "git_refs_url": "/git/refs{/sha}", "git_tags_url": "/git/tags{/sha}",
		"issue_comment_url": "/issues/comments{/number}", "issue_events_url": "/issues/events{/number}",
	} {
		o[k] = api + path
	}
	return o
}

func (s *Server) renderLabel(r *repository, label string) object {
	id := userID(r.name + "/" + label)
	return object{
		"id": id, "node_id": node("LA", id), "url": s.api(r) + "/labels/" + label,
		"name": label, "description": "", "color": "ededed", "default": false,
	}
}

func (s *Server) renderPull(r *repository, p *pull) object {
	api, page := s.api(r)+"/pulls/"+itoa(p.number), s.page(r)+"/pull/"+itoa(p.number)
	issue := s.api(r) + "/issues/" + itoa(p.number)
	links := object{
		"self": api, "html": page, "issue": issue, "comments": issue + "/comments", "commits": api + "/commits",
		"review_comments": api + "/comments", "review_comment": s.api(r) + "/pulls/comments{/number}",
		"statuses": s.api(r) + "/statuses/" + p.head,
	}
	hrefs := object{}
	for k, v := range links {
		hrefs[k] = object{"href": v}
	}
	labels := make([]any, 0, len(p.labels))
	for _, l := range p.labels {
		labels = append(labels, s.renderLabel(r, l))
	}
	o := object{
		"id": p.id, "node_id": node("PR", p.id), "number": p.number, "title": p.title, "body": p.body, "state": p.state,
		"draft": p.draft, "locked": false, "user": s.renderUser(p.author), "labels": labels, "_links": hrefs,
		"url": api, "html_url": page, "diff_url": page + ".diff", "patch_url": page + ".patch", "issue_url": issue,
		"comments_url": links["comments"], "commits_url": links["commits"], "statuses_url": links["statuses"],
		"review_comments_url": links["review_comments"], "review_comment_url": links["review_comment"],
		"created_at": p.created, "updated_at": p.updated, "closed_at": nil, "merged_at": nil, "merged_by": nil,
		"merge_commit_sha": nil, "merged": false, "mergeable": nil, "mergeable_state": "unknown", "rebaseable": nil,
		"head": s.renderEnd(r, p.branch, p.head), "base": s.renderEnd(r, p.baseBranch, p.base),
		"assignee": nil, "assignees": []any{}, "requested_reviewers": []any{}, "requested_teams": []any{}, "milestone": nil,
		"author_association": "MEMBER", "auto_merge": nil, "active_lock_reason": nil, "maintainer_can_modify": false,
		"additions": 0, "deletions": 0, "changed_files": 0, "commits": 0, "comments": len(p.comments), "review_comments": 0,
	}
	if !p.merged.IsZero() {
		o["merged"], o["merged_at"], o["closed_at"] = true, p.merged, p.merged
		o["merge_commit_sha"], o["merged_by"] = p.merge, s.renderUser(p.mergedBy)
	} else if p.state == "closed" {
		o["closed_at"] = p.updated
	}
	return o
}

// renderEnd is one end of a pull request: its base or its head.
func (s *Server) renderEnd(r *repository, branch, sha string) object {
	return object{
		"label": s.cfg.Organisation + ":" + branch, "ref": branch, "sha": sha,
		"repo": s.renderRepo(r), "user": s.renderUser(s.cfg.Organisation),
	}
}

func (s *Server) renderRef(r *repository, ref ref) object {
	return object{
		"ref": ref.name, "node_id": node("REF", r.id), "url": s.api(r) + "/git/" + ref.name,
		"object": object{"type": ref.kind, "sha": ref.object, "url": s.api(r) + "/git/" + ref.kind + "s/" + ref.object},
	}
}

func (s *Server) renderRelease(r *repository, rel *release) object {
	at := s.api(r) + "/releases/" + strconv.FormatInt(rel.id, 10)
	return object{
		"id": rel.id, "node_id": node("RE", rel.id), "tag_name": rel.tag, "target_commitish": rel.target, "name": rel.name,
		"body": rel.body, "draft": false, "prerelease": rel.prerelease, "immutable": false,
		"created_at": rel.created, "published_at": rel.publishedAt, "updated_at": rel.publishedAt,
		"author": s.renderUser(botLogin), "assets": []any{}, "url": at, "html_url": s.page(r) + "/releases/tag/" + rel.tag,
		"assets_url": at + "/assets", "upload_url": at + "/assets{?name,label}",
		"tarball_url": s.api(r) + "/tarball/" + rel.tag, "zipball_url": s.api(r) + "/zipball/" + rel.tag,
	}
}

func (s *Server) renderStatus(r *repository, sha string, st *status) object {
	o := object{
		"id": st.id, "node_id": node("SC", st.id), "url": s.api(r) + "/statuses/" + sha, "avatar_url": nil,
		"state": st.state, "description": st.description, "target_url": nil, "context": st.context,
		"created_at": st.at.Format(time.RFC3339), "updated_at": st.at.Format(time.RFC3339), "creator": s.renderUser(botLogin),
	}
	if st.tourl != "" {
		o["target_url"] = st.tourl
	}
	return o
}

func (s *Server) renderCommit(r *repository, c *commit) object {
	api := s.api(r)
	parents := make([]any, 0, len(c.parents))
	for _, p := range c.parents {
		parents = append(parents, object{"sha": p, "url": api + "/commits/" + p, "html_url": s.page(r) + "/commit/" + p})
	}
	return object{
		"sha": c.sha, "node_id": node("C", userID(c.sha)), "url": api + "/commits/" + c.sha,
		"html_url": s.page(r) + "/commit/" + c.sha, "comments_url": api + "/commits/" + c.sha + "/comments",
		"author": s.renderIdentity(c.author), "committer": s.renderIdentity(c.committer), "parents": parents,
		"commit": object{
			"url": api + "/git/commits/" + c.sha, "message": c.message, "comment_count": 0,
			"author":       object{"name": c.author.name, "email": c.author.email, "date": c.authored.Format(time.RFC3339)},
			"committer":    object{"name": c.committer.name, "email": c.committer.email, "date": c.at.Format(time.RFC3339)},
			"tree":         object{"sha": c.tree, "url": api + "/git/trees/" + c.tree},
			"verification": object{"verified": false, "reason": "unsigned", "signature": nil, "payload": nil, "verified_at": nil},
		},
	}
}

// renderIdentity is the user that a commit's author is, or nil.
func (s *Server) renderIdentity(i identity) any {
	if login := i.login(); login != "" {
		return s.renderUser(login)
	}
	return nil
}

// renderPushed is a commit as a push webhook shows it.
func (s *Server) renderPushed(r *repository, c *commit) object {
	return object{
		"id": c.sha, "tree_id": c.tree, "distinct": true, "message": c.message, "timestamp": c.at.Format(time.RFC3339),
		"url":       s.page(r) + "/commit/" + c.sha,
		"author":    object{"name": c.author.name, "email": c.author.email, "username": c.author.login()},
		"committer": object{"name": c.committer.name, "email": c.committer.email, "username": c.committer.login()},
		"added":     []any{}, "removed": []any{}, "modified": []any{},
	}
}
