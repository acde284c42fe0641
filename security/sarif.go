package security

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/store"
)

// The limits of a report: what a scanner of one service writes is far below them.
const (
	maxSARIF   = 8 << 20 // bytes
	maxResults = 5000
)

// sarifLog is as much of SARIF 2.1.0 (OASIS, section 3) as becomes findings.
type sarifLog struct {
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool struct {
		Driver     sarifTool   `json:"driver"`
		Extensions []sarifTool `json:"extensions"`
	} `json:"tool"`
	// Invocations say whether the tool got to its end (3.20.14).
	Invocations []struct {
		Successful *bool `json:"executionSuccessful"`
	} `json:"invocations"`
	Results []sarifResult `json:"results"`
}

type sarifTool struct {
	Name    string      `json:"name"`
	Version string      `json:"version"`
	Rules   []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID    string `json:"id"`
	Short struct {
		Text string `json:"text"`
	} `json:"shortDescription"`
	Default struct {
		Level string `json:"level"`
	} `json:"defaultConfiguration"`
	Properties struct {
		Severity string   `json:"security-severity"` // 0.0 to 10.0, GitHub's convention
		Tags     []string `json:"tags"`
	} `json:"properties"`
}

type sarifResult struct {
	RuleID    string `json:"ruleId"`
	RuleIndex *int   `json:"ruleIndex"`
	Level     string `json:"level"`
	Kind      string `json:"kind"`
	Message   struct {
		Text string `json:"text"`
	} `json:"message"`
	Locations []struct {
		Physical struct {
			Artifact struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region struct {
				Line int `json:"startLine"`
			} `json:"region"`
		} `json:"physicalLocation"`
	} `json:"locations"`
	Partial      map[string]string `json:"partialFingerprints"`
	Fingerprints map[string]string `json:"fingerprints"`
	Suppressions []struct {
		Status string `json:"status"`
	} `json:"suppressions"`
}

// Report is what a scanner's report changed.
type Report struct {
	Recorded
	Tools []string `json:"tools"`
	Fixed int      `json:"fixed"` // were in the last report of the same tool, and are not in this one
}

// ReadSARIF reads a report about a service into findings of check I6. Each tool that
// ran to its end is named. Errors: invalid.
func ReadSARIF(service string, body []byte) (list []Finding, tools []string, err error) {
	if err := httpapi.CheckJSON(body, 64); err != nil {
		return nil, nil, err
	}
	var log sarifLog
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&log); err != nil {
		return nil, nil, nightporter.Wrap(err, nightporter.Invalid, "the report is not SARIF")
	}
	if log.Version != "2.1.0" || len(log.Runs) == 0 {
		return nil, nil, nightporter.E(nightporter.Invalid, "the report is not SARIF 2.1.0 with at least one run")
	}
	seen := map[string]bool{}
	for _, run := range log.Runs {
		tool := cut(run.Tool.Driver.Name, 60)
		if tool == "" {
			return nil, nil, nightporter.E(nightporter.Invalid, "a run does not name its tool")
		}
		for _, i := range run.Invocations {
			if i.Successful != nil && !*i.Successful {
				return nil, nil, nightporter.E(nightporter.Invalid, "%s did not get to its end: such a report proves nothing", tool)
			}
		}
		if !slices.Contains(tools, tool) {
			tools = append(tools, tool)
		}
		for _, r := range run.Results {
			if f, ok := run.finding(service, tool, r); ok && !seen[f.Key] {
				seen[f.Key] = true
				list = append(list, f)
			}
			if len(list) > maxResults {
				return nil, nil, nightporter.E(nightporter.Invalid, "a report has at most %d results", maxResults)
			}
		}
	}
	return list, tools, nil
}

// finding is what one result becomes; none for what passed or was suppressed there.
func (run sarifRun) finding(service, tool string, r sarifResult) (Finding, bool) {
	if r.Kind != "" && r.Kind != "fail" || slices.ContainsFunc(r.Suppressions, func(s struct {
		Status string `json:"status"`
	},
	) bool {
		return s.Status == "" || s.Status == "accepted"
	}) {
		return Finding{}, false
	}
	rule := run.rule(r)
	where, line := "", 0
	if len(r.Locations) > 0 {
		where = strings.TrimPrefix(path.Clean("/"+r.Locations[0].Physical.Artifact.URI), "/")
		line = r.Locations[0].Physical.Region.Line
	}
	id := cmp.Or(r.RuleID, rule.ID, "result")
	// The tool's own fingerprint names the same thing after lines moved (3.27.16);
	// without one, the rule, the file and the message do.
	print := ""
	for _, prints := range []map[string]string{r.Fingerprints, r.Partial} {
		names := make([]string, 0, len(prints))
		for name := range prints {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			print = cmp.Or(print, prints[name])
		}
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{id, where, cmp.Or(print, r.Message.Text)}, "\x00")))
	f := Finding{
		Key: "sarif/" + service + "/" + tool + "/" + hex.EncodeToString(sum[:]), Service: service, Check: "I6", Rule: id, Severity: run.severity(r, rule),
		Title: cmp.Or(firstLine(r.Message.Text), rule.Short.Text, id), Evidence: where, Source: "sarif: " + tool,
	}
	if line > 0 {
		f.Evidence += " line " + strconv.Itoa(line)
	}
	return f, true
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(s)
}

func (run sarifRun) rule(r sarifResult) sarifRule {
	for _, t := range append([]sarifTool{run.Tool.Driver}, run.Tool.Extensions...) {
		for _, rule := range t.Rules {
			if rule.ID != "" && rule.ID == r.RuleID {
				return rule
			}
		}
	}
	if i := r.RuleIndex; i != nil && *i >= 0 && *i < len(run.Tool.Driver.Rules) {
		return run.Tool.Driver.Rules[*i]
	}
	return sarifRule{}
}

// severity is CVSS's word for the number where the tool gives one, and else follows
// the level (3.27.10).
func (run sarifRun) severity(r sarifResult, rule sarifRule) nightporter.Severity {
	if score, err := strconv.ParseFloat(rule.Properties.Severity, 64); err == nil {
		switch {
		case score >= 9:
			return nightporter.Critical
		case score >= 7:
			return nightporter.High
		case score >= 4:
			return nightporter.Medium
		}
		return nightporter.Low
	}
	switch cmp.Or(r.Level, rule.Default.Level, "warning") {
	case "error":
		return nightporter.High
	case "warning":
		return nightporter.Medium
	}
	return nightporter.Low
}

// Receive takes over a scanner's report about a service. What the same tool found
// before and does not find any more is fixed: the report is the new test.
func (s *Security) Receive(ctx context.Context, service string, body []byte) (*Report, error) {
	if _, ok := s.cfg.Catalog.Current().Service(service); !ok {
		return nil, nightporter.E(nightporter.NotFound, "no service is called %q", service)
	}
	list, tools, err := ReadSARIF(service, body)
	if err != nil {
		return nil, err
	}
	action := nightporter.Action{Name: "finding.report", Capability: nightporter.Update, Path: "api/services/" + service + "/sarif"}
	resource := nightporter.Resource{Kind: "service", ID: service}
	r := &Report{Tools: tools}
	if r.Recorded, err = s.record(ctx, action, resource, list); err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for _, f := range list {
		there[f.Key] = true
	}
	var gone []Finding
	err = s.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		for _, tool := range tools {
			all, err := findings(ctx, tx, `WHERE service = ? AND source = ? AND state <> ?`, service, "sarif: "+tool, string(Fixed))
			if err != nil {
				return err
			}
			gone = append(gone, slices.DeleteFunc(all, func(f Finding) bool { return there[f.Key] })...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	// The report proves it, so the house notes it, on behalf of whoever sent it.
	inside := nightporter.WithActor(ctx, nightporter.SystemActor("security", nightporter.ActorFrom(ctx).Cause()))
	for _, f := range gone {
		if err := s.Fixed(inside, f.Key, "the newest report of "+strings.TrimPrefix(f.Source, "sarif: ")+" does not have it"); err != nil {
			return nil, err
		}
		r.Fixed++
	}
	return r, s.Observe(inside, Claim{
		Check: "I6", About: "service/" + service, State: Pass, At: s.cfg.Now(), Event: "the report of " + strings.Join(tools, ", "),
		Proof: fmt.Sprintf("%s looked and found %d things; none of them is overdue", strings.Join(tools, ", "), len(list)), Page: "/security/findings?state=all&service=" + service,
	})
}

func (s *Security) postSARIF(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return nightporter.E(nightporter.Invalid, "a report has at most %d MiB", maxSARIF>>20)
		}
		return nightporter.Wrap(err, nightporter.Invalid, "the body did not arrive whole")
	}
	report, err := s.Receive(r.Context(), r.PathValue("name"), body)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, report)
}
