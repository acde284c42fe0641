package leaks

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/security"
	"nightporter.dev/nightporter/security/scan"
)

// macPurpose derives the key of fingerprints. It never changes: the fingerprints
// are how a finding is known again.
const macPurpose = "secret scan fingerprints"

// secretCheck is the check of the posture that secrets count for.
const secretCheck = "C1"

// key is what a secret's finding is known by: not its line, not its commit.
func (l *Leaks) key(repo nightporter.Repo, rule string, secret scan.Secret) (string, error) {
	mac, err := l.cfg.MAC(macPurpose, []byte(secret))
	return "secret/" + hex.EncodeToString(mac) + "/" + repo.String() + "/" + rule, err
}

// seen is a secret of one scan, in all its places. It lives as long as the scan.
type seen struct {
	Leak
	secret  scan.Secret
	allowed bool // a line asks scanners to look away
}

// scanner is the step that reads one repository.
type scanner struct{ l *Leaks }

func (scanner) Start(context.Context, run.Task) (string, error) { return "", nil }

func (scanner) Cancel(context.Context, run.Task, string) error { return nil }

// Observe takes as long as the history is long: most take some seconds, and the
// scanner's own limit ends the others.
func (s scanner) Observe(ctx context.Context, t run.Task, _ string) (run.Observation, error) {
	var in scanInput
	if err := t.Decode(&in); err != nil {
		return run.Observation{}, err
	}
	repo, err := nightporter.ParseRepo(in.Repo)
	if err != nil {
		return run.Observation{}, err
	}
	before, err := s.l.begin(ctx, repo)
	if err != nil {
		return run.Observation{}, err
	}
	full := in.Full || before.State == stateFailed || len(before.tips) == 0
	now := before
	now.began, now.ScannedAt = s.l.cfg.Now(), s.l.cfg.Now()
	found, err := s.l.read(ctx, repo, &now, full)
	if ctx.Err() != nil {
		return run.Observation{}, ctx.Err() // another process goes on
	}
	lines, werr := s.l.report(ctx, repo, found)
	if err != nil {
		now.State, now.Message = stateFailed, nightporter.MessageOf(err)
		s.l.cfg.Log.WarnContext(ctx, "scan "+repo.String(), "error", err)
		if werr := s.l.end(ctx, repo, now); werr != nil {
			return run.Observation{}, werr
		}
		return run.Observation{State: run.Failed, Message: now.Message, Lines: lines}, nil
	}
	if werr != nil {
		return run.Observation{}, werr
	}
	now.State, now.Message = stateDone, fmt.Sprintf("%d commits, %d secrets in %d places", now.Commits, len(found), now.Hits)
	if full {
		now.FullAt = now.ScannedAt
		if err := s.l.gone(ctx, repo, found, now); err != nil {
			return run.Observation{}, err
		}
	}
	if err := s.l.end(ctx, repo, now); err != nil {
		return run.Observation{}, err
	}
	return run.Observation{State: run.Succeeded, Message: now.Message, Lines: lines}, nil
}

// begin notes that a scan has begun: what is pushed from now on is another scan's.
func (l *Leaks) begin(ctx context.Context, repo nightporter.Repo) (r Repo, err error) {
	err = l.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		list, err := repos(ctx, tx, `WHERE repo = ?`, repo.String())
		if err == nil && len(list) > 0 {
			r = list[0]
		}
		return err
	})
	r.Repo = repo.String()
	return r, err
}

// read scans a history and gathers what it holds. What was found is real also when
// there is an error.
func (l *Leaks) read(ctx context.Context, repo nightporter.Repo, now *Repo, full bool) (map[string]*seen, error) {
	found := map[string]*seen{}
	head, tips, err := l.cfg.Source.Branches(ctx, repo)
	if err != nil {
		return found, err
	}
	since := now.tips
	if full {
		since = nil
	}
	now.Hits, now.Commits = 0, 0
	if len(tips) > 0 {
		var r scan.Result
		r, err = l.cfg.Scanner.Scan(ctx, func(ctx context.Context, w io.Writer) error {
			return l.cfg.Source.Log(ctx, repo, since, w, append(slices.Clone(scan.GitLog), "--branches")...)
		}, func(h scan.Hit) error { return l.gather(repo, found, h) })
		now.Hits, now.Commits, now.Rules = r.Hits, r.Commits, r.Rules
		if err != nil {
			return found, err
		}
	}
	now.Head, now.tips = head, tips
	return found, nil
}

// plainText is what may be shown of a login's surroundings: they were read from a
// file by a pattern, which may have taken something else for a name.
var plainText = regexp.MustCompile(`^[\w.@-]{1,80}$`)

// gather keeps a hit with the others of its secret. git shows the newest commit
// first, so the last hit is where it came in.
func (l *Leaks) gather(repo nightporter.Repo, found map[string]*seen, h scan.Hit) error {
	key, err := l.key(repo, h.Rule, h.Secret)
	if err != nil {
		return err
	}
	k := found[key]
	if k == nil {
		k = &seen{Leak: Leak{ID: security.FindingID(key), Repo: repo.String(), Rule: h.Rule, key: key, SeenAt: l.cfg.Now()}, secret: h.Secret}
		found[key] = k
	}
	k.Commit, k.Path, k.Line = h.Commit, h.Path, h.Line
	k.Places++
	k.allowed = k.allowed || h.Allowed
	k.Suspect = k.allowed || strings.Contains(h.Rule, "generic")
	if h.Login == nil {
		return nil
	}
	if k.Login == nil {
		k.Login = &scan.Login{}
	}
	for _, part := range []struct {
		into *string
		text string
	}{
		{&k.Login.Kind, h.Login.Kind},
		{&k.Login.User, h.Login.User},
		{&k.Login.Host, h.Login.Host},
		{&k.Login.Port, h.Login.Port},
		{&k.Login.Database, h.Login.Database},
	} {
		if plainText.MatchString(part.text) {
			*part.into = cmp.Or(*part.into, part.text)
		}
	}
	return nil
}

// report writes down what a scan found, each with what the databases said to it,
// and returns a line of each for the run.
func (l *Leaks) report(ctx context.Context, repo nightporter.Repo, found map[string]*seen) (lines []string, err error) {
	if len(found) == 0 {
		return nil, nil
	}
	known := map[string]Leak{}
	err = l.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		list, err := leaks(ctx, tx, `WHERE repo = ?`, repo.String())
		for _, k := range list {
			known[k.key] = k
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	keys := slices.SortedFunc(maps.Keys(found), func(a, b string) int {
		return cmp.Or(strings.Compare(found[a].Path, found[b].Path), found[a].Line-found[b].Line, strings.Compare(a, b))
	})
	for _, key := range keys {
		k := found[key]
		if old, ok := known[key]; ok {
			k.Places = max(k.Places, old.Places)
			k.Tried, k.TriedAt, k.Repaired = old.Tried, old.TriedAt, old.Repaired
			if k.Login != nil && k.Login.User == "" && old.Login != nil {
				k.Login = old.Login
			}
		}
		if err := l.try(ctx, &k.Leak, k.secret); err != nil {
			return lines, err
		}
		if err := l.record(ctx, &k.Leak); err != nil {
			return lines, err
		}
		lines = append(lines, fmt.Sprintf("%s: %s, line %d%s", k.Rule, k.Path, k.Line, said(k.Tried)))
	}
	return lines, nil
}

// try asks the databases, where that is allowed.
func (l *Leaks) try(ctx context.Context, k *Leak, secret scan.Secret) error {
	if k.Login == nil || !l.cfg.MayTry() {
		return nil
	}
	tried, err := l.cfg.Databases.Try(ctx, *k.Login, string(secret))
	if err != nil {
		return err
	}
	k.Tried, k.TriedAt = tried, l.cfg.Now()
	return nil
}

// verdict is what the databases said in all: live when one let it in, refused when
// all refused it, "" otherwise.
func (k *Leak) verdict() string {
	says := func(state string) bool {
		return slices.ContainsFunc(k.Tried, func(t Tried) bool { return t.State == state })
	}
	switch {
	case says(Live):
		return Live
	case len(k.Tried) > 0 && !says(Unknown):
		return Refused
	}
	return ""
}

// record writes a secret down and reports it, or closes its finding when the
// databases refuse it. The row comes first: a finding without it could not be
// tested.
func (l *Leaks) record(ctx context.Context, k *Leak) error {
	resource := nightporter.Resource{Kind: "finding", ID: k.ID}
	err := l.cfg.Gate.Do(ctx, nightporter.Action{Name: "scan.found"}, resource, func(tx *gate.Tx) error {
		tx.Detail("repo", k.Repo)
		tx.Detail("rule", k.Rule)
		return k.put(ctx, tx.Tx)
	})
	if err != nil {
		return err
	}
	if k.verdict() == Refused {
		return l.cfg.Findings.Fixed(ctx, k.key, fmt.Sprintf("tried on %s: %s", k.TriedAt.UTC().Format("2 Jan 2006 15:04 MST"), strings.TrimPrefix(said(k.Tried), ", ")))
	}
	_, err = l.cfg.Findings.Record(ctx, k.finding())
	return err
}

// finding is what people are told.
func (k *Leak) finding() security.Finding {
	f := security.Finding{
		Key: k.key, Repo: k.Repo, Check: secretCheck, Rule: k.Rule, Severity: nightporter.High, Source: "secret scan", Suspect: k.Suspect,
		Title:    "A secret (" + k.Rule + ") is in the history, in " + k.Path,
		Evidence: fmt.Sprintf("%s, line %d, came in with %s", k.Path, k.Line, k.Commit[:min(8, len(k.Commit))]),
	}
	if k.Login != nil {
		f.Title = "The password of a database is in the history, in " + k.Path
		if k.Login.User != "" {
			f.Title = "The password of " + k.Login.User + at(k.Login.Host) + " is in the history, in " + k.Path
		}
	}
	if strings.Contains(k.Rule, "generic") {
		f.Severity = nightporter.Medium
	}
	if k.verdict() == Live {
		f.Severity, f.Suspect = nightporter.Critical, false
		f.Title = strings.Replace(f.Title, " is in", " works, and is in", 1)
	}
	if k.Places > 1 {
		f.Evidence += fmt.Sprintf(", and stands in %d places", k.Places)
	}
	f.Evidence += said(k.Tried)
	return f
}

func at(host string) string {
	if host == "" {
		return ""
	}
	return " at " + host
}

// said says in words what databases answered.
func said(tried []Tried) string {
	var b strings.Builder
	words := map[string]string{Live: "let it in", Refused: "refused it", Unknown: "could not be asked"}
	refused := 0
	for _, t := range tried {
		if t.State == Refused && len(tried) > 5 {
			refused++ // a password without a name is tried on many accounts
			continue
		}
		b.WriteString(", " + t.Database + " " + words[t.State])
		if t.User != "" {
			b.WriteString(" as " + t.User)
		}
		if t.Reason != "" {
			b.WriteString(" (" + t.Reason + ")")
		}
	}
	if refused > 0 {
		fmt.Fprintf(&b, ", %d accounts refused it", refused)
	}
	return b.String()
}

// gone closes the findings of secrets that a whole history does not hold any more:
// it was written anew. A password that was seen to work is not closed by that: it
// has leaked.
func (l *Leaks) gone(ctx context.Context, repo nightporter.Repo, found map[string]*seen, now Repo) error {
	var list []Leak
	err := l.cfg.Gate.Look(ctx, func(tx *store.Tx) (err error) {
		list, err = leaks(ctx, tx, `WHERE repo = ? AND seen_at < ?`, repo.String(), store.Micros(now.began))
		return err
	})
	for _, k := range list {
		if err != nil {
			return err
		}
		if found[k.key] == nil && k.verdict() != Live {
			err = l.cfg.Findings.Fixed(ctx, k.key, fmt.Sprintf("the whole history of %s, %d commits up to %s, does not hold it any more", repo, now.Commits, now.Head[:min(8, len(now.Head))]))
		}
	}
	return err
}

// end writes down how a scan went.
func (l *Leaks) end(ctx context.Context, repo nightporter.Repo, r Repo) error {
	tips, err := json.Marshal(append([]string{}, r.tips...))
	if err != nil {
		return err
	}
	err = l.cfg.Gate.Do(ctx, nightporter.Action{Name: "scan.end"}, nightporter.Resource{Kind: "repo", ID: repo.String()}, func(tx *gate.Tx) error {
		tx.Detail("state", r.State)
		tx.Detail("commit", r.Head)
		tx.Detail("commits", r.Commits)
		_, err := tx.Exec(ctx, `INSERT INTO leak_repo (repo, state, message, head, tips, rules, commits, hits, hinted_at, began_at, scanned_at, full_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?) ON CONFLICT (repo) DO UPDATE SET state = excluded.state, message = excluded.message,
			head = excluded.head, tips = excluded.tips, rules = excluded.rules, commits = excluded.commits, hits = excluded.hits,
			began_at = excluded.began_at, scanned_at = excluded.scanned_at, full_at = excluded.full_at`,
			r.Repo, r.State, r.Message, r.Head, string(tips), r.Rules, r.Commits, r.Hits, store.Micros(r.began), store.Micros(r.ScannedAt), store.Micros(r.FullAt))
		return err
	})
	if err != nil {
		return err
	}
	s := Scanned{Repo: repo, Commit: r.Head, Rules: r.Rules, At: r.ScannedAt}
	if r.State == stateFailed {
		s.Failure = r.Message
	}
	return l.cfg.Scanned(ctx, s)
}

// again reads one commit and returns the secret of a leak, which is written down
// nowhere. Errors: not_found when the commit does not hold it any more.
func (l *Leaks) again(ctx context.Context, k *Leak) (secret scan.Secret, err error) {
	repo, err := nightporter.ParseRepo(k.Repo)
	if err != nil {
		return "", err
	}
	if l.cfg.Source == nil {
		return "", nightporter.E(nightporter.Unavailable, "no forge is configured")
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	_, err = l.cfg.Scanner.Scan(ctx, func(ctx context.Context, w io.Writer) error {
		return l.cfg.Source.Log(ctx, repo, nil, w, append(slices.Clone(scan.GitLog), "--max-count=1", k.Commit)...)
	}, func(h scan.Hit) error {
		key, err := l.key(repo, h.Rule, h.Secret)
		if key == k.key {
			secret = h.Secret
		}
		return err
	})
	if err == nil && secret == "" {
		err = nightporter.E(nightporter.NotFound, "%s does not hold it any more", k.Commit)
	}
	return secret, err
}
