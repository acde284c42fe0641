package githubtest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The GraphQL types, as far as Nightporter asks for them. Everything here runs
// while the server's lock is held.

type fields = map[string]func(arguments) (any, error)

func (s *Server) rootThing(e *execution) *thing {
	return &thing{"Query", fields{
		"repositoryOwner": func(a arguments) (any, error) {
			if a.text("login") != s.cfg.Organisation {
				return nil, nil
			}
			return &thing{"Organization", fields{
				"login":        give(s.cfg.Organisation),
				"repositories": s.repositories(e),
			}}, nil
		},
		"repository": func(a arguments) (any, error) {
			r, ok := s.repos[a.text("name")]
			if !ok || a.text("owner") != s.cfg.Organisation {
				return nil, &queryError{
					Type:    "NOT_FOUND",
					Message: fmt.Sprintf("Could not resolve to a Repository with the name '%s/%s'.", a.text("owner"), a.text("name")),
				}
			}
			return s.repoThing(r), nil
		},
		"organization": s.organisationThing,
		"nodes":        s.nodesOf,
		"rateLimit": give(&thing{"RateLimit", fields{
			"cost": give(e.points()), "limit": give(5000), "remaining": give(5000 - e.points()),
			"resetAt": give(stamp(s.now().Add(time.Hour))), "nodeCount": give(e.nodes), "used": give(e.points()),
		}}),
	}}
}

func (s *Server) repositories(*execution) func(arguments) (any, error) {
	return func(a arguments) (any, error) {
		var list []*thing
		for _, r := range s.sorted() {
			if !r.conf.HiddenAway {
				list = append(list, s.repoThing(r))
			}
		}
		if field, descending := a.order(); field != "NAME" || descending {
			return nil, fmt.Errorf("githubtest orders repositories by name only, ascending")
		}
		if s.fault.HalfPages {
			return halfPage("RepositoryConnection", list, a)
		}
		return connection("RepositoryConnection", list, a)
	}
}

func (s *Server) repoThing(r *repository) *thing {
	t := &thing{kind: "Repository"}
	t.fields = fields{
		"id": give(node("R", r.id)), "databaseId": give(r.id), "name": give(r.name),
		"isArchived": give(r.archived),
		"isEmpty": func(arguments) (any, error) {
			if r.shell {
				return false, nil
			}
			head, err := r.head("main")
			return head == "", err
		},
		"defaultBranchRef": func(arguments) (any, error) {
			if r.shell {
				return &thing{"Ref", fields{"name": give("main"), "target": give(nil)}}, nil
			}
			head, err := r.head("main")
			if err != nil || head == "" {
				return nil, err
			}
			return &thing{"Ref", fields{"name": give("main"), "target": s.commitByName(r, head)}}, nil
		},
		"object": func(a arguments) (any, error) { return s.commitByName(r, a.text("oid"))(nil) },
		"refs":   func(a arguments) (any, error) { return s.refsPage(r, a) },
		"pullRequest": func(a arguments) (any, error) {
			p, err := r.pull(number(a["number"]))
			if err != nil {
				return nil, &queryError{
					Type:    "NOT_FOUND",
					Message: fmt.Sprintf("Could not resolve to a PullRequest with the number of %d.", number(a["number"])),
				}
			}
			return s.pullThing(r, p), nil
		},
		"pullRequests": func(a arguments) (any, error) { return s.pullsPage(r, a) },
	}
	maps.Copy(t.fields, s.settingsFields(r))
	return t
}

func (s *Server) refsPage(r *repository, a arguments) (any, error) {
	all, err := r.refs()
	if err != nil {
		return nil, err
	}
	prefix := a.text("refPrefix")
	var list []ref
	for name, ref := range all {
		if strings.HasPrefix(name, prefix) && r.lookup(ref.commit) != nil {
			list = append(list, ref)
		}
	}
	field, descending := a.order()
	slices.SortFunc(list, func(x, y ref) int {
		by := strings.Compare(x.name, y.name)
		if field == "TAG_COMMIT_DATE" {
			by = cmp.Or(r.lookup(x.commit).at.Compare(r.lookup(y.commit).at), by)
		}
		if descending {
			return -by
		}
		return by
	})
	var things []*thing
	for _, ref := range list {
		target := s.commitByName(r, ref.commit)
		if ref.kind == "tag" {
			target = give(&thing{"Tag", fields{"oid": give(ref.object), "target": s.commitByName(r, ref.commit)}})
		}
		things = append(things, &thing{"Ref", fields{"name": give(strings.TrimPrefix(ref.name, prefix)), "target": target}})
	}
	return connection("RefConnection", things, a)
}

func (s *Server) pullsPage(r *repository, a arguments) (any, error) {
	states := a.words("states")
	var list []*pull
	for _, p := range r.pulls {
		if len(states) == 0 || slices.Contains(states, p.graphState()) {
			list = append(list, p)
		}
	}
	if field, descending := a.order(); field == "UPDATED_AT" {
		slices.SortFunc(list, func(x, y *pull) int {
			by := cmp.Or(x.updated.Compare(y.updated), cmp.Compare(x.touched, y.touched))
			if descending {
				return -by
			}
			return by
		})
	}
	return connection("PullRequestConnection", s.pullThings(r, list), a)
}

func (p *pull) graphState() string {
	switch {
	case !p.merged.IsZero():
		return "MERGED"
	case p.state == "open":
		return "OPEN"
	}
	return "CLOSED"
}

func (s *Server) pullThings(r *repository, list []*pull) []*thing {
	var things []*thing
	for _, p := range list {
		things = append(things, s.pullThing(r, p))
	}
	return things
}

func (s *Server) pullThing(r *repository, p *pull) *thing {
	t := &thing{"PullRequest", fields{
		"id": give(node("PR", p.id)), "number": give(p.number), "title": give(p.title), "isDraft": give(p.draft),
		"url": give(s.page(r) + "/pull/" + itoa(p.number)), "state": give(p.graphState()),
		"headRefOid": give(p.head), "baseRefName": give(p.baseBranch), "author": give(actorThing(p.author)),
		"updatedAt": give(stamp(p.updated)), "mergedAt": give(nil), "mergedBy": give(nil), "mergeCommit": give(nil),
		"labels": func(a arguments) (any, error) {
			var list []*thing
			for _, l := range p.labels {
				list = append(list, labelThing(l))
			}
			return connection("LabelConnection", list, a)
		},
		"commits": func(a arguments) (any, error) {
			own, err := r.commitsOf(p)
			if err != nil {
				return nil, err
			}
			var list []*thing
			for _, c := range own {
				list = append(list, &thing{"PullRequestCommit", fields{"commit": give(s.commitThing(r, c))}})
			}
			return connection("PullRequestCommitConnection", list, a)
		},
		"timelineItems": func(a arguments) (any, error) {
			kinds := a.words("itemTypes")
			var list []*thing
			for _, ev := range p.timeline {
				if len(kinds) > 0 && !slices.Contains(kinds, enumOf[ev.kind]) {
					continue
				}
				t := &thing{ev.kind, fields{"createdAt": give(stamp(ev.at)), "actor": give(actorThing(ev.actor))}}
				switch {
				case ev.label != "":
					t.fields["label"] = give(labelThing(ev.label))
				case ev.review != nil:
					t.fields = fields{
						"state": give(ev.review.state), "submittedAt": give(stamp(ev.at)),
						"author": give(actorThing(ev.actor)), "commit": s.commitByName(r, ev.review.commit),
					}
				}
				list = append(list, t)
			}
			return connection("PullRequestTimelineItemsConnection", list, a)
		},
	}}
	if !p.merged.IsZero() {
		t.fields["mergedAt"] = give(stamp(p.merged))
		t.fields["mergedBy"] = give(actorThing(p.mergedBy))
		t.fields["mergeCommit"] = s.commitByName(r, p.merge)
	}
	return t
}

// enumOf is what PullRequestTimelineItemsItemType calls a type.
var enumOf = map[string]string{
	"LabeledEvent": "LABELED_EVENT", "UnlabeledEvent": "UNLABELED_EVENT", "MergedEvent": "MERGED_EVENT",
	"PullRequestReview": "PULL_REQUEST_REVIEW",
}

func (s *Server) commitByName(r *repository, sha string) func(arguments) (any, error) {
	return func(arguments) (any, error) {
		c := r.lookup(sha)
		if c == nil {
			return nil, nil
		}
		return s.commitThing(r, c), nil
	}
}

func (s *Server) commitThing(r *repository, c *commit) *thing {
	return &thing{"Commit", fields{
		"oid": give(c.sha), "message": give(c.message), "committedDate": give(stamp(c.at)), "authoredDate": give(stamp(c.authored)),
		"author": give(gitActor(c.author)),
		"authors": func(a arguments) (any, error) {
			var list []*thing
			for _, who := range c.authors() {
				list = append(list, gitActor(who))
			}
			return connection("GitActorConnection", list, a)
		},
		"parents": func(a arguments) (any, error) {
			var list []*thing
			for _, p := range c.parents {
				if parent := r.lookup(p); parent != nil {
					list = append(list, s.commitThing(r, parent))
				}
			}
			return connection("CommitConnection", list, a)
		},
		"associatedPullRequests": func(a arguments) (any, error) {
			var list []*pull
			if !s.fault.StaleAssociations {
				list = r.pullsOf(c.sha)
			}
			return connection("PullRequestConnection", s.pullThings(r, list), a)
		},
		"history": func(a arguments) (any, error) { return s.historyPage(r, c.sha, a) },
	}}
}

// historyPage is all that a commit leads to, in git's order. Its cursors are
// GitHub's: the commit and how many to pass over.
func (s *Server) historyPage(r *repository, sha string, a arguments) (any, error) {
	n, skip := number(a["first"]), 0
	if after := a.text("after"); after != "" {
		from, offset, ok := strings.Cut(after, " ")
		i, err := strconv.Atoi(offset)
		if !ok || err != nil || from != sha {
			return nil, &queryError{Type: "INVALID_CURSOR_ARGUMENTS", Message: "`" + after + "` does not appear to be a valid cursor."}
		}
		skip = i + 1
	}
	list, err := r.log(sha, "--skip", itoa(skip), "-n", itoa(n+1))
	if err != nil {
		return nil, err
	}
	var things []*thing
	for _, c := range list[:min(n, len(list))] {
		things = append(things, s.commitThing(r, c))
	}
	return page("CommitHistoryConnection", things, skip+len(list), len(list) > n, sha+" "+itoa(skip+len(things)-1)), nil
}

func gitActor(who identity) *thing {
	t := &thing{"GitActor", fields{"name": give(who.name), "email": give(who.email), "user": give(nil)}}
	if login := who.login(); login != "" {
		t.fields["user"] = give(actorThing(login))
	}
	return t
}

func actorThing(login string) *thing {
	kind := "User"
	if strings.HasSuffix(login, "[bot]") {
		kind, login = "Bot", strings.TrimSuffix(login, "[bot]")
	}
	return &thing{kind, fields{"login": give(login)}}
}

func labelThing(name string) *thing { return &thing{"Label", fields{"name": give(name)}} }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
