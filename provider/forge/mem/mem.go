// Package mem is a forge in memory, for tests of those who use one. It keeps no
// git objects: commits are names without contents. Where a test wants real git,
// provider/forge/github/githubtest has it.
//
// A *Forge is two things at once: the [forge.Forge] that the code under test
// holds, and the world that the test moves ([Forge.Merge], [Forge.Push],
// [Forge.PushTag] and so on). Faults are set with [Forge.SetFault].
package mem

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"nightporter.dev/nightporter/provider/forge"
)

// Config says how the forge behaves. The zero value works.
type Config struct {
	// Now is the forge's clock. Default: time.Now. The forge keeps whole
	// seconds, as the real ones do.
	Now func() time.Time
	// Secret signs the webhooks. Default: "mem".
	Secret []byte
	// Deliver gets each webhook, in a call that returns before the change
	// that caused it does. Default: none are sent.
	Deliver func(http.Header, []byte)
	// LookMerges, LookPulls are how many of each a look carries before it says
	// that it is partial. Default: 25 and 10.
	LookMerges, LookPulls int
	// ClassicRules offers the old branch protection only. Default: rules for
	// the organisation and for repositories too.
	ClassicRules bool
}

// Forge is the forge and its world. Use [New].
type Forge struct {
	cfg Config

	mu        sync.Mutex
	repos     map[string]*repository
	serial    int
	fault     Fault
	calls     map[string]int
	delivered delivery
	teams     map[string]string // id by slug
	rules     []*forge.Ruleset
}

var (
	_ forge.Forge     = (*Forge)(nil)
	_ forge.Commenter = (*Forge)(nil)
	_ forge.Checker   = (*Forge)(nil)

	_ forge.DeploymentReporter = (*Forge)(nil)
	_ forge.Annotator          = (*Forge)(nil)
)

type repository struct {
	deployments []forge.Deployment // oldest first
	id          string
	name        string
	archived    bool
	fork        bool
	line        []forge.Merge // the first-parent line, oldest first
	commits     map[string]bool
	pulls       []*pull // pull request n is at n-1
	tags        map[string]string
	statuses    map[string]map[string]forge.Status // commit, context
	releases    map[string]forge.Release
	comments    map[int][]string
	settings    forge.Settings
}

// New makes an empty forge.
func New(cfg Config) (*Forge, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if len(cfg.Secret) == 0 {
		cfg.Secret = []byte("mem")
	}
	if cfg.LookMerges == 0 {
		cfg.LookMerges = 25
	}
	if cfg.LookPulls == 0 {
		cfg.LookPulls = 10
	}
	return &Forge{cfg: cfg, repos: map[string]*repository{}, calls: map[string]int{}}, nil
}

// Sweep implements [forge.Sweeper].
func (f *Forge) Sweep(ctx context.Context, known forge.Known) ([]forge.RepoState, error) {
	if err := f.enter(ctx, "Sweep"); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	states := make([]forge.RepoState, 0, len(f.repos))
	for name, r := range f.repos {
		states = append(states, f.look(r, known[name]))
	}
	sort.Slice(states, func(i, j int) bool { return states[i].Name < states[j].Name })
	return states, nil
}

// Refresh implements [forge.Refresher].
func (f *Forge) Refresh(ctx context.Context, repo, since string) (forge.RepoState, error) {
	r, err := f.open(ctx, "Refresh", repo)
	if err != nil {
		return forge.RepoState{}, err
	}
	defer f.mu.Unlock()
	return f.look(r, since), nil
}

// History implements [forge.Historian].
func (f *Forge) History(ctx context.Context, repo string, want forge.Range) (forge.History, error) {
	r, err := f.open(ctx, "History", repo)
	if err != nil {
		return forge.History{}, err
	}
	defer f.mu.Unlock()
	return r.history(want), nil
}

// Tags implements [forge.Tagger].
func (f *Forge) Tags(ctx context.Context, repo string) (map[string]string, error) {
	r, err := f.open(ctx, "Tags", repo)
	if err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	return cloneMap(r.tags), nil
}

// CreateTag implements [forge.Tagger].
func (f *Forge) CreateTag(ctx context.Context, repo, tag, commit string) (err error) {
	r, err := f.open(ctx, "CreateTag", repo)
	if err != nil {
		return err
	}
	defer f.leave("CreateTag", &err)
	if at, ok := r.tags[tag]; ok {
		return &forge.TagExistsError{Repo: repo, Tag: tag, Commit: at}
	}
	return r.tag(tag, commit)
}

// MoveTag implements [forge.Tagger].
func (f *Forge) MoveTag(ctx context.Context, repo, tag, commit string) (err error) {
	r, err := f.open(ctx, "MoveTag", repo)
	if err != nil {
		return err
	}
	defer f.leave("MoveTag", &err)
	return r.tag(tag, commit)
}

// CreateRelease implements [forge.Releaser].
func (f *Forge) CreateRelease(ctx context.Context, repo string, rel forge.Release) (url string, err error) {
	r, err := f.open(ctx, "CreateRelease", repo)
	if err != nil {
		return "", err
	}
	defer f.leave("CreateRelease", &err)
	if _, ok := r.tags[rel.Tag]; !ok {
		return "", &forge.NotFoundError{What: "tag " + rel.Tag + " of " + repo}
	}
	if _, ok := r.releases[rel.Tag]; !ok {
		r.releases[rel.Tag] = rel
	}
	return f.url(repo) + "/releases/tag/" + rel.Tag, nil
}

// SetStatus implements [forge.StatusSetter].
func (f *Forge) SetStatus(ctx context.Context, repo, commit string, s forge.Status) (err error) {
	r, err := f.open(ctx, "SetStatus", repo)
	if err != nil {
		return err
	}
	defer f.leave("SetStatus", &err)
	if !r.commits[commit] {
		return &forge.NotFoundError{What: "commit " + commit + " of " + repo}
	}
	if r.statuses[commit] == nil {
		r.statuses[commit] = map[string]forge.Status{}
	}
	r.statuses[commit][s.Context] = s
	return nil
}

// Comment implements [forge.Commenter].
func (f *Forge) Comment(ctx context.Context, repo string, number int, markdown string) (err error) {
	r, err := f.open(ctx, "Comment", repo)
	if err != nil {
		return err
	}
	defer f.leave("Comment", &err)
	if number < 1 || number > len(r.pulls) {
		return &forge.NotFoundError{What: fmt.Sprintf("pull request %d of %s", number, repo)}
	}
	r.comments[number] = append(r.comments[number], markdown)
	return nil
}

// CloneURL implements [forge.Source]. Nothing can be fetched there.
func (f *Forge) CloneURL(repo string) string { return f.url(repo) + ".git" }

// GitCredentials implements [forge.Source].
func (f *Forge) GitCredentials(ctx context.Context, repo string) (forge.Credentials, error) {
	if _, err := f.open(ctx, "GitCredentials", repo); err != nil {
		return forge.Credentials{}, err
	}
	f.mu.Unlock()
	return forge.Credentials{}, nil
}

func (f *Forge) url(repo string) string { return "https://forge.test/acme/" + repo }

// look is what one look sees. The caller holds the lock.
func (f *Forge) look(r *repository, since string) forge.RepoState {
	s := forge.RepoState{
		Name: r.name, ID: r.id, Archived: r.archived, Fork: r.fork,
		Empty: len(r.line) == 0, Tags: cloneMap(r.tags), ObservedAt: f.now(),
	}
	if !s.Empty {
		s.DefaultBranch, s.Head = "main", r.head()
	}
	if since != "" && since != s.Head {
		h := r.history(forge.Range{Since: since, Limit: f.cfg.LookMerges})
		s.Merges, s.MergesPartial = h.Merges, !h.Reached
	}
	open := slices.DeleteFunc(slices.Clone(r.pulls), func(p *pull) bool { return p.state != open })
	slices.SortStableFunc(open, func(a, b *pull) int { return b.updated - a.updated })
	s.PullsPartial = len(open) > f.cfg.LookPulls
	for _, p := range open[:min(len(open), f.cfg.LookPulls)] {
		s.Pulls = append(s.Pulls, p.view(f.url(r.name)))
	}
	return s
}

func (r *repository) head() string {
	if len(r.line) == 0 {
		return ""
	}
	return r.line[len(r.line)-1].Commit
}

func (r *repository) history(want forge.Range) forge.History {
	h := forge.History{Head: r.head(), Reached: want.Since == ""}
	from := 0
	if i := slices.IndexFunc(r.line, func(m forge.Merge) bool { return m.Commit == want.Since }); i >= 0 {
		from, h.Reached = i+1, true
	}
	h.Merges = slices.Clone(r.line[from:])
	if want.Limit > 0 && len(h.Merges) > want.Limit {
		h.Merges, h.Reached = h.Merges[len(h.Merges)-want.Limit:], false
	}
	return h
}

func (r *repository) tag(tag, commit string) error {
	if !r.commits[commit] {
		return &forge.NotFoundError{What: "commit " + commit + " of " + r.name}
	}
	r.tags[tag] = commit
	return nil
}

func cloneMap(m map[string]string) map[string]string {
	c := make(map[string]string, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// Check implements [forge.Checker]: here a check is a status.
func (f *Forge) Check(ctx context.Context, repo, commit, name string) (forge.CheckState, error) {
	r, err := f.open(ctx, "Check", repo)
	if err != nil {
		return forge.CheckState{}, err
	}
	defer f.mu.Unlock()
	if !r.commits[commit] {
		return forge.CheckState{}, &forge.NotFoundError{What: "commit " + commit + " of " + repo}
	}
	s, ok := r.statuses[commit][name]
	if !ok {
		return forge.CheckState{}, nil
	}
	return forge.CheckState{State: s.State, Description: s.Description, URL: s.TargetURL, At: f.now().UTC()}, nil
}

// ReportDeployment implements [forge.DeploymentReporter].
func (f *Forge) ReportDeployment(ctx context.Context, repo string, d forge.Deployment) (err error) {
	r, err := f.open(ctx, "ReportDeployment", repo)
	if err != nil {
		return err
	}
	defer f.leave("ReportDeployment", &err)
	if !r.commits[d.Commit] {
		return &forge.NotFoundError{What: "commit " + d.Commit + " of " + repo}
	}
	for i, have := range r.deployments {
		if have.Key == d.Key && have.Environment == d.Environment && have.Commit == d.Commit {
			r.deployments[i] = d
			return nil
		}
	}
	r.deployments = append(r.deployments, d)
	return nil
}

// Deployments returns what was reported of a repository, oldest first, each with
// its last state.
func (f *Forge) Deployments(repo string) []forge.Deployment {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.repos[repo].deployments)
}

// Annotate implements [forge.Annotator].
func (f *Forge) Annotate(ctx context.Context, repo, tag, section string) (err error) {
	r, err := f.open(ctx, "Annotate", repo)
	if err != nil {
		return err
	}
	defer f.leave("Annotate", &err)
	rel, ok := r.releases[tag]
	if !ok {
		return &forge.NotFoundError{What: "release " + tag + " of " + repo}
	}
	notes, _, _ := strings.Cut(rel.Notes, annotation)
	rel.Notes = notes + annotation + section
	r.releases[tag] = rel
	return nil
}

// annotation stands before what [Forge.Annotate] wrote.
const annotation = "\n\n---\n"
