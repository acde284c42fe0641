package versions

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/forge"
)

// Cut gives a merge its version. It hears [nightporter.Merged], in the order of
// the default branch, and is idempotent on the merge commit.
func (v *Versions) Cut(ctx context.Context, m nightporter.Merged) error {
	row, found, err := v.row(ctx, m.Repo, m.Commit)
	if err != nil {
		return err
	}
	if found && row.State != Intended {
		return nil
	}
	f, err := v.forge(m.Repo)
	if err != nil {
		return err
	}
	if !found {
		if row, err = v.decide(ctx, f, m); err != nil {
			return err
		}
	}
	if row.State == Rides {
		return nil
	}
	// A crash may have left an intent whose tag somebody else then pushed to
	// another commit; the version is taken, and the row moves on to the next.
	for {
		version, err := nightporter.ParseVersion(row.Version)
		if err != nil {
			return fmt.Errorf("read the ledger of %s: %w", m.Repo, err)
		}
		err = f.CreateTag(ctx, m.Repo.Name, version.Tag(), m.Commit)
		var exists *forge.TagExistsError
		if errors.As(err, &exists) && exists.Commit != m.Commit {
			if row, err = v.move(ctx, f, m, row); err != nil {
				return err
			}
			continue
		}
		if err != nil && exists == nil {
			return fmt.Errorf("tag %s of %s: %w", version.Tag(), m.Repo, err)
		}
		if _, err := f.CreateRelease(ctx, m.Repo.Name, forge.Release{
			Tag: version.Tag(), Name: version.Tag(), Notes: v.notes(ctx, m), Prerelease: version.Pre != "",
		}); err != nil {
			return fmt.Errorf("publish %s of %s: %w", version.Tag(), m.Repo, err)
		}
		return v.done(ctx, m, row, version)
	}
}

// decide chooses the version of a merge and commits the intent.
func (v *Versions) decide(ctx context.Context, f Forge, m nightporter.Merged) (Row, error) {
	row := Row{Repo: m.Repo, Place: m.Order, Commit: m.Commit, State: Rides, Merge: m}
	rules := v.cfg.Rules()
	bump, problem := nightporter.Bump(""), ""
	if m.PullRequest > 0 {
		bump, problem = bumpOf(m.Labels, m.Title, rules)
		if problem != "" && !rules.HoldUnlabelled {
			bump = nightporter.PatchBump
			row.Flag = fmt.Sprintf("#%d was merged without exactly one version label and counts as patch", m.PullRequest)
		} else if problem != "" {
			row.Flag = fmt.Sprintf("#%d was merged without exactly one version label and waits for the next version", m.PullRequest)
		}
	}
	tags, err := f.Tags(ctx, m.Repo.Name)
	if err != nil {
		return row, fmt.Errorf("read the tags of %s: %w", m.Repo, err)
	}
	last, own := latest(tags, m.Commit)
	switch {
	case own != nil:
		// Somebody tagged this very commit: that is its version.
		row.State, row.Version, row.Bump = Intended, own.String(), string(bump)
	case bump != "" && bump != nightporter.NoBump:
		row.State, row.Bump = Intended, string(bump)
	}
	return v.intend(ctx, row, last, rules)
}

// move takes the next free version for an intent whose version is taken.
func (v *Versions) move(ctx context.Context, f Forge, m nightporter.Merged, row Row) (Row, error) {
	tags, err := f.Tags(ctx, m.Repo.Name)
	if err != nil {
		return row, fmt.Errorf("read the tags of %s: %w", m.Repo, err)
	}
	last, _ := latest(tags, m.Commit)
	row.Version = ""
	return v.intend(ctx, row, last, v.cfg.Rules())
}

// intend commits the row. The version follows on the highest of what the forge
// shows and what the ledger holds, which may not be tagged yet.
func (v *Versions) intend(ctx context.Context, row Row, last *nightporter.Version, rules Rules) (Row, error) {
	err := v.change(ctx, "version.intend", row.Repo, func(tx *gate.Tx) error {
		r := row // fn may run twice
		if r.State == Intended && r.Version == "" {
			ledger, err := highest(ctx, tx.Tx, r.Repo)
			if err != nil {
				return err
			}
			r.Version = next(maxVersion(last, ledger), nightporter.Bump(r.Bump), IsPre(r.Merge.Labels), rules).String()
		}
		merge, err := json.Marshal(r.Merge)
		if err != nil {
			return fmt.Errorf("encode merge %s: %w", r.Commit, err)
		}
		r.At = tx.Now()
		tx.Detail("commit", r.Commit)
		tx.Detail("version", r.Version)
		tx.Detail("state", string(r.State))
		_, err = tx.Exec(ctx, `INSERT INTO version (repo, place, commit_id, version, bump, state, flag, merge, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (repo, commit_id) DO UPDATE SET version = excluded.version, state = excluded.state`,
			r.Repo.String(), r.Place, r.Commit, r.Version, r.Bump, r.State, r.Flag, string(merge), store.Micros(r.At))
		if err != nil {
			return fmt.Errorf("write the ledger of %s: %w", r.Repo, err)
		}
		tx.AfterCommit(func() { row = r })
		return nil
	})
	return row, err
}

func (v *Versions) done(ctx context.Context, m nightporter.Merged, row Row, version nightporter.Version) error {
	return v.change(ctx, "version.cut", m.Repo, func(tx *gate.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE version SET state = ? WHERE repo = ? AND commit_id = ? AND state = ?`,
			Cut, m.Repo.String(), m.Commit, Intended)
		if err != nil || n == 0 {
			return err
		}
		tx.Detail("commit", m.Commit)
		tx.Detail("version", row.Version)
		tx.Publish(nightporter.VersionCut{
			Repo: m.Repo, Version: version, Commit: m.Commit, Bump: nightporter.Bump(row.Bump), Merge: m,
		})
		return nil
	})
}

func (v *Versions) change(ctx context.Context, action string, repo nightporter.Repo, fn func(*gate.Tx) error) error {
	return v.cfg.Gate.Do(ctx, nightporter.Action{Name: action}, nightporter.Resource{Kind: "repo", ID: repo.String()}, fn)
}

func (v *Versions) row(ctx context.Context, repo nightporter.Repo, commit string) (row Row, found bool, err error) {
	err = v.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		rows, err := list(ctx, tx, `WHERE repo = ? AND commit_id = ?`, repo.String(), commit)
		if err == nil && len(rows) > 0 {
			row, found = rows[0], true
		}
		return err
	})
	return row, found, err
}

// latest finds the highest version among tags, and the one that is on commit.
func latest(tags map[string]string, commit string) (last, own *nightporter.Version) {
	for tag, at := range tags {
		if tag == "" || tag[0] != 'v' {
			continue
		}
		version, err := nightporter.ParseVersion(tag)
		if err != nil {
			continue
		}
		last = maxVersion(last, &version)
		if at == commit {
			own = maxVersion(own, &version)
		}
	}
	return last, own
}

// highest is the highest version in the ledger, tagged or intended.
func highest(ctx context.Context, tx *store.Tx, repo nightporter.Repo) (last *nightporter.Version, err error) {
	err = tx.Each(ctx, `SELECT version FROM version WHERE repo = ? AND version <> '' ORDER BY place DESC LIMIT 20`,
		[]any{repo.String()}, func(scan func(...any) error) error {
			var s string
			if err := scan(&s); err != nil {
				return err
			}
			version, err := nightporter.ParseVersion(s)
			if err != nil {
				return err
			}
			last = maxVersion(last, &version)
			return nil
		})
	return last, err
}

func maxVersion(a, b *nightporter.Version) *nightporter.Version {
	if a == nil || b != nil && a.Compare(*b) < 0 {
		return b
	}
	return a
}

// next is the version after last; without one it is the initial version. A
// pre-release is one of the version that would come: 1.5.0-rc.1, and after it
// 1.5.0-rc.2, or 1.5.0 when it is none.
func next(last *nightporter.Version, bump nightporter.Bump, pre bool, rules Rules) nightporter.Version {
	v := rules.Initial
	switch {
	case last != nil:
		zero := rules.ZeroMajor
		if zero == "" {
			zero = nightporter.Minor
		}
		v = after(*last, bump, zero)
	case v == (nightporter.Version{}):
		v = nightporter.Version{Minor: 1}
	}
	if !pre {
		return v
	}
	name, n := cmp.Or(rules.Pre, "rc"), 1
	if last != nil && last.Major == v.Major && last.Minor == v.Minor && last.Patch == v.Patch {
		if number, err := strconv.Atoi(strings.TrimPrefix(last.Pre, name+".")); err == nil {
			n = number + 1
		}
	}
	v.Pre = fmt.Sprintf("%s.%d", name, n)
	return v
}

// after is the version after last. A pre-release holds the bumps that led to it, so
// that only a greater one goes beyond the version that it is of.
func after(last nightporter.Version, bump, zero nightporter.Bump) nightporter.Version {
	if bump == nightporter.Major && last.Major == 0 {
		bump = zero
	}
	held := bump == nightporter.PatchBump || bump == nightporter.Minor && last.Patch == 0 || bump == nightporter.Major && last.Minor == 0 && last.Patch == 0
	if last.Pre != "" && held {
		return nightporter.Version{Major: last.Major, Minor: last.Minor, Patch: last.Patch}
	}
	return last.Next(bump, zero)
}

// notes lists what a version brings: its own merge and those that ride with it.
func (v *Versions) notes(ctx context.Context, m nightporter.Merged) string {
	rows := []Row{{Merge: m}}
	err := v.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		rides, err := list(ctx, tx, `WHERE repo = ? AND state = 'rides' AND place < ? AND place >
			(SELECT COALESCE(MAX(place), 0) FROM version WHERE repo = ? AND place < ? AND state <> 'rides') ORDER BY place DESC`,
			m.Repo.String(), m.Order, m.Repo.String(), m.Order)
		rows = append(rows, rides...)
		return err
	})
	if err != nil {
		v.cfg.Log.WarnContext(ctx, "read what rides with a version", "repo", m.Repo.String(), "error", err)
	}
	text := ""
	for _, row := range rows {
		text += noteLine(row.Merge)
	}
	return text
}

func noteLine(m nightporter.Merged) string {
	line := "- " + m.Title
	if m.PullRequest > 0 {
		line += fmt.Sprintf(" (#%d)", m.PullRequest)
	}
	for i, a := range m.Authors {
		if i == 0 {
			line += " by"
		}
		line += " @" + a
	}
	return line + "\n"
}

// Next is what the next merge of a repository would become, by label.
type Next struct {
	Repo    nightporter.Repo            `json:"repo"`
	Current string                      `json:"current,omitempty"` // "" when there is no version yet
	Next    map[nightporter.Bump]string `json:"next"`
}

// LastOf is the newest version that the forge's tags show; nil for none.
func LastOf(ctx context.Context, f forge.Tagger, repo nightporter.Repo) (*nightporter.Version, error) {
	tags, err := f.Tags(ctx, repo.Name)
	last, _ := latest(tags, "")
	return last, err
}

// NextOf works that out from the forge's tags alone, so that it needs no server.
func NextOf(ctx context.Context, f forge.Tagger, repo nightporter.Repo, rules Rules) (Next, error) {
	tags, err := f.Tags(ctx, repo.Name)
	if err != nil {
		return Next{}, err
	}
	last, _ := latest(tags, "")
	out := Next{Repo: repo, Next: map[nightporter.Bump]string{}}
	if last != nil {
		out.Current = last.String()
	}
	for _, b := range []nightporter.Bump{nightporter.Major, nightporter.Minor, nightporter.PatchBump} {
		out.Next[b] = next(last, b, false, rules).String()
	}
	return out, nil
}
