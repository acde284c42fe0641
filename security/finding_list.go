package security

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
)

// FindingFilter narrows a list of findings. Empty fields narrow nothing.
type FindingFilter struct {
	Service string
	Repo    string
	Owner   string
	Check   string
	Rule    string
	// State is a state, "standing" for what is open or triaged, or "all". ""
	// means standing.
	State string
	After string // the cursor of the last one seen
	Limit int    // 0 means all
}

// Findings lists findings, the first due first.
func Findings(ctx context.Context, tx *store.Tx, f FindingFilter) ([]Finding, error) {
	where, args := []string{"1 = 1"}, []any{}
	is := func(column, value string) {
		if value != "" {
			where, args = append(where, column+" = ?"), append(args, value)
		}
	}
	is("service", f.Service)
	is("repo", f.Repo)
	is("owner", f.Owner)
	is("check_id", f.Check)
	is("rule", f.Rule)
	switch f.State {
	case "", "standing":
		where = append(where, "state IN ('open', 'triaged')")
	case "all":
	case string(Open), string(Triaged), string(Accepted), string(Fixed):
		is("state", f.State)
	default:
		return nil, nightporter.E(nightporter.Invalid, "%q is no state of a finding", f.State).
			WithHint("open, triaged, accepted, fixed, standing or all")
	}
	if f.After != "" {
		due, id, ok := strings.Cut(f.After, "~")
		us, err := strconv.ParseInt(due, 10, 64)
		if err != nil || !ok {
			return nil, nightporter.E(nightporter.Invalid, "after is not a cursor of this list")
		}
		where, args = append(where, "(due_at > ? OR due_at = ? AND id > ?)"), append(args, us, us, id)
	}
	text := "WHERE " + strings.Join(where, " AND ") + " ORDER BY due_at, id"
	if f.Limit > 0 {
		text, args = text+" LIMIT ?", append(args, f.Limit)
	}
	list, err := findings(ctx, tx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("read the findings: %w", err)
	}
	return list, nil
}

// GetFinding reads one finding. Errors: not_found.
func GetFinding(ctx context.Context, tx *store.Tx, id string) (*Finding, error) {
	list, err := findings(ctx, tx, `WHERE id = ?`, id)
	if err != nil {
		return nil, fmt.Errorf("read the finding %s: %w", id, err)
	}
	if len(list) == 0 {
		return nil, nightporter.E(nightporter.NotFound, "there is no finding %s", id)
	}
	return &list[0], nil
}

// FindingCursor is where a list goes on after a finding.
func FindingCursor(f Finding) string { return fmt.Sprintf("%d~%s", store.Micros(f.Due), f.ID) }
