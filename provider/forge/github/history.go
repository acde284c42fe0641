package github

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"nightporter.dev/nightporter/provider/forge"
)

// GitHub lists all that a commit leads to, the commits of merged branches
// included, and has no way to ask for the first-parent line. So the line is
// walked here, over the commits that were read.

type historyNode struct {
	Object struct{ History connection[commitNode] }
}

// line holds the commits read so far.
type line map[string]commitNode

func (l line) add(nodes []commitNode) {
	for _, n := range nodes {
		l[n.OID] = n
	}
}

// walk follows first parents from head, newest first, until since, the first
// commit, limit commits (0: no limit), or one that was not read. Next is where it
// stopped: since, "" or the commit that is missing.
func (l line) walk(head, since string, limit int) (found []commitNode, next string) {
	for next = head; next != "" && next != since; {
		c, ok := l[next]
		if !ok || limit > 0 && len(found) == limit {
			return found, next
		}
		found = append(found, c)
		next = c.merge().Parent
	}
	return found, next
}

// History implements [forge.Historian].
func (f *Forge) History(ctx context.Context, repo string, want forge.Range) (forge.History, error) {
	head, err := f.head(ctx, repo)
	if err != nil || head == "" {
		return forge.History{Reached: err == nil && want.Since == ""}, err
	}
	l := line{}
	size, after := historyPage, ""
	for {
		var answer struct{ Repository *historyNode }
		variables := map[string]any{"owner": f.cfg.Organisation, "name": repo, "head": head, "first": size}
		if after != "" {
			variables["after"] = after
		}
		err := f.query(ctx, "read history of "+repo, "repository "+repo, historyDocument, variables, &answer)
		if errors.Is(err, errSlow) && size > 1 {
			size /= 2
			continue
		}
		if err != nil {
			return forge.History{}, err
		}
		page := answer.Repository.Object.History
		l.add(page.Nodes)
		commits, next := l.walk(head, want.Since, want.Limit)
		reached := next == want.Since
		if reached || next == "" || want.Limit > 0 && len(commits) == want.Limit || !page.PageInfo.HasNextPage {
			merges, err := f.describe(ctx, repo, commits)
			return forge.History{Head: head, Merges: merges, Reached: reached}, err
		}
		after = page.PageInfo.EndCursor
	}
}

func (f *Forge) head(ctx context.Context, repo string) (string, error) {
	var answer struct {
		Repository *struct{ DefaultBranchRef *struct{ Target oid } }
	}
	err := f.query(ctx, "read history of "+repo, "repository "+repo, headDocument, map[string]any{"owner": f.cfg.Organisation, "name": repo}, &answer)
	if err != nil || answer.Repository.DefaultBranchRef == nil {
		return "", err
	}
	return answer.Repository.DefaultBranchRef.Target.OID, nil
}

// describe turns commits, newest first, into merges, oldest first, each with the
// pull request that brought it.
func (f *Forge) describe(ctx context.Context, repo string, commits []commitNode) ([]forge.Merge, error) {
	merges := make([]forge.Merge, 0, len(commits))
	pulls := map[string]*pullNode{}
	var unknown []int // pull requests that a message names and GitHub does not connect
	for _, c := range slices.Backward(commits) {
		merges = append(merges, c.merge())
		i := slices.IndexFunc(c.AssociatedPullRequests.Nodes, func(p pullNode) bool { return p.brought(c.OID) })
		if i >= 0 {
			pulls[c.OID] = &c.AssociatedPullRequests.Nodes[i]
		} else if n := mentioned(c.Message); n > 0 {
			unknown = append(unknown, n)
		}
	}
	for batch := range slices.Chunk(unknown, maxMentions) {
		if err := f.byNumber(ctx, repo, batch, pulls); err != nil {
			return nil, err
		}
	}
	for i := range merges {
		p := pulls[merges[i].Commit]
		if p == nil {
			continue
		}
		if err := f.complete(ctx, repo, p); err != nil {
			return nil, err
		}
		merges[i].PullRequest = p.merged()
	}
	return merges, nil
}

// mention is how GitHub names the pull request in the first line of the messages
// it writes: "Round to pence (#12)", "Merge pull request #12 from acme/rounding".
var mention = regexp.MustCompile(`\(#(\d{1,9})\)$|^Merge pull request #(\d{1,9}) `)

func mentioned(message string) int {
	subject, _, _ := strings.Cut(message, "\n")
	m := mention.FindStringSubmatch(strings.TrimSpace(subject))
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1] + m[2]) // one of them is empty
	return n
}

// byNumber asks for pull requests that merge messages name. In the seconds after
// a merge GitHub's commit does not know its pull request yet, but the pull request
// knows its commit. The message is only a hint: somebody may have typed it, so
// the pull request must claim the commit itself.
func (f *Forge) byNumber(ctx context.Context, repo string, numbers []int, pulls map[string]*pullNode) error {
	var document, parameters strings.Builder
	variables := map[string]any{"owner": f.cfg.Organisation, "name": repo}
	for i, n := range numbers {
		fmt.Fprintf(&parameters, ", $n%d: Int!", i)
		fmt.Fprintf(&document, " p%d: pullRequest(number: $n%d) { ...pullFields }", i, i)
		variables[fmt.Sprint("n", i)] = n
	}
	text := "query byNumber($owner: String!, $name: String!" + parameters.String() +
		") { repository(owner: $owner, name: $name) {" + document.String() + " } }" + pullFields
	var answer struct{ Repository map[string]*pullNode }
	if _, err := f.queryPartly(ctx, "read pull requests of "+repo, text, variables, &answer); err != nil {
		return err
	}
	for _, p := range answer.Repository {
		if p != nil && p.MergeCommit != nil && p.brought(p.MergeCommit.OID) {
			pulls[p.MergeCommit.OID] = p
		}
	}
	return nil
}

// complete reads on until the lists of a pull request are whole.
func (f *Forge) complete(ctx context.Context, repo string, p *pullNode) error {
	for p.Commits.PageInfo.HasNextPage || p.TimelineItems.PageInfo.HasNextPage {
		var answer struct {
			Repository *struct{ PullRequest *pullListsNode }
		}
		what := fmt.Sprintf("pull request %d of %s", p.Number, repo)
		err := f.query(ctx, "read "+what, what, restDocument, map[string]any{
			"owner": f.cfg.Organisation, "name": repo, "number": p.Number,
			"commits": p.Commits.end(), "timeline": p.TimelineItems.end(),
		}, &answer)
		if err != nil {
			return err
		}
		more := answer.Repository.PullRequest
		if more == nil {
			return &forge.NotFoundError{What: what}
		}
		p.Commits.extend(more.Commits)
		p.TimelineItems.extend(more.TimelineItems)
	}
	return nil
}

// end is the cursor to read on from: null when nothing was read.
func (l *connection[T]) end() any {
	if l.PageInfo.EndCursor == "" {
		return nil
	}
	return l.PageInfo.EndCursor
}

func (l *connection[T]) extend(more connection[T]) {
	l.Nodes = append(l.Nodes, more.Nodes...)
	if more.PageInfo.EndCursor == "" { // an empty page has no end
		more.PageInfo.EndCursor = l.PageInfo.EndCursor
	}
	l.PageInfo = more.PageInfo
}
