package security

import (
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// exportedAtMost bounds an export.
const exportedAtMost = 50_000

// wantsCSV says whether a request asks for a file for a spreadsheet.
func wantsCSV(r *http.Request) bool { return r.URL.Query().Get("format") == "csv" }

// writeCSV answers RFC 4180. A cell that a spreadsheet would run as a formula gets an
// apostrophe in front: titles come from repositories, and those from anybody.
func writeCSV(w http.ResponseWriter, name string, rows [][]string) error {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`.csv"`)
	out := csv.NewWriter(w)
	for _, row := range rows {
		for i, text := range row {
			if strings.IndexAny(text, "=+-@\t\r") == 0 {
				row[i] = "'" + text
			}
		}
		if err := out.Write(row); err != nil {
			return nil // a client that went away is no fault of ours
		}
	}
	out.Flush()
	return nil
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func findingRows(list []Finding) [][]string {
	rows := [][]string{{
		"id", "service", "repo", "check", "rule", "severity", "title", "evidence", "source", "owner", "state", "due", "first_seen_at",
		"accepted_until", "accepted_by", "accepted_why", "fixed_at", "proof",
	}}
	for _, f := range list {
		var a Acceptance
		if f.Accepted != nil {
			a = *f.Accepted
		}
		rows = append(rows, []string{
			f.ID, f.Service, f.Repo, f.Check, f.Rule, string(f.Severity), f.Title, f.Evidence, f.Source, f.Owner, string(f.State), stamp(f.Due),
			stamp(f.FirstSeenAt), stamp(a.Until), a.By, a.Why, stamp(f.FixedAt), f.Proof,
		})
	}
	return rows
}

func riskRows(list []Risk) [][]string {
	rows := [][]string{{
		"id", "title", "asset", "pillar", "likelihood", "impact", "score", "treatment", "plan", "owner", "state", "review", "approver",
		"approved_at", "findings",
	}}
	for _, r := range list {
		rows = append(rows, []string{
			r.ID, r.Title, r.Asset, string(r.Pillar), strconv.Itoa(r.Likelihood), strconv.Itoa(r.Impact), strconv.Itoa(r.Score), string(r.Treatment),
			r.Plan, r.Owner, string(r.State), stamp(r.Review), r.Approver, stamp(r.ApprovedAt), strings.Join(r.Findings, " "),
		})
	}
	return rows
}
