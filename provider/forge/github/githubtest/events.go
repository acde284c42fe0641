package githubtest

import "strings"

// The webhooks that GitHub sends for what can happen here. The caller of each
// holds the lock.

func (s *Server) emitPull(r *repository, p *pull, action, sender string, fields map[string]any) {
	all := map[string]any{"number": p.number, "pull_request": s.renderPull(r, p)}
	for k, v := range fields {
		all[k] = v
	}
	s.emit(r, "pull_request", action, sender, all)
}

func (s *Server) emitReview(r *repository, p *pull, ev event) {
	page := s.page(r) + "/pull/" + itoa(p.number)
	s.emit(r, "pull_request_review", "submitted", ev.actor, map[string]any{
		"pull_request": s.renderPull(r, p),
		"review": map[string]any{
			"id": ev.id, "node_id": node("PRR", ev.id), "user": s.renderUser(ev.actor), "body": nil,
			"commit_id": ev.review.commit, "submitted_at": ev.at, "state": strings.ToLower(ev.review.state),
			"html_url": page + "#review", "pull_request_url": s.api(r) + "/pulls/" + itoa(p.number),
			"author_association": "MEMBER",
			"_links": map[string]any{
				"html":         map[string]any{"href": page + "#review"},
				"pull_request": map[string]any{"href": s.api(r) + "/pulls/" + itoa(p.number)},
			},
		},
	})
}

func (s *Server) emitCreate(r *repository, name, sender string) {
	kind, short := "branch", strings.TrimPrefix(name, "refs/heads/")
	if tag, ok := strings.CutPrefix(name, "refs/tags/"); ok {
		kind, short = "tag", tag
	}
	s.emit(r, "create", "", sender, map[string]any{
		"ref": short, "ref_type": kind, "master_branch": "main", "description": nil, "pusher_type": "user",
	})
}

func (s *Server) emitPush(r *repository, name, before, after, sender string) {
	null := strings.Repeat("0", 40)
	fields := map[string]any{
		"ref": name, "before": or(before, null), "after": or(after, null),
		"created": before == "", "deleted": after == "", "forced": false, "base_ref": nil,
		"compare": s.page(r) + "/compare/" + or(before, null) + "..." + or(after, null),
		"commits": []any{}, "head_commit": nil,
		"pusher": map[string]any{"name": sender, "email": sender + mailDomain},
	}
	if c := r.lookup(after); c != nil {
		head := s.renderPushed(r, c)
		fields["head_commit"] = head
		fields["commits"] = []any{head}
	}
	s.emit(r, "push", "", sender, fields)
}

func (s *Server) emitRelease(r *repository, rel *release, sender string) {
	s.emit(r, "release", "published", sender, map[string]any{"release": s.renderRelease(r, rel)})
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
