package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/httpapi"
)

const (
	entriesPerPage = 50
	// maxScanned bounds what one page reads when a filter matches little. The
	// list then ends early, and goes on from there.
	maxScanned = 5000
	scanBatch  = 500
)

// activity answers GET /activity: who did what?
func (c *Console) activity(ctx context.Context, v *visit) (Page, error) {
	q := v.r.URL.Query()
	before, err := cursor(q.Get("after"))
	if err != nil {
		return nil, err
	}
	l, err := v.layout(ctx, "Activity", "Activity")
	if err != nil {
		return nil, err
	}
	a := &Activity{
		Layout: l, CLI: "nightporter audit list",
		Filter: ActivityFilter{Actor: q.Get("actor"), Action: q.Get("action"), Resource: q.Get("resource"), Result: q.Get("result")},
	}
	entries, next, err := v.entries(ctx, a.Filter, before)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		a.Entries = append(a.Entries, entryOf(e))
	}
	if next >= 0 {
		a.Older = a.Filter.url(next)
	}
	if before > 0 {
		a.Newer = a.Filter.url(-1) // back to the newest
	}
	midnight := time.Date(v.now.Year(), v.now.Month(), v.now.Day(), 0, 0, 0, 0, v.now.Location())
	if a.Today, err = countToday(ctx, v.tx, midnight); err != nil {
		return nil, err
	}
	a.Chain, err = v.chain(ctx)
	return a, err
}

// url is the list's address below an entry; from the newest with -1.
func (f ActivityFilter) url(below int64) string {
	q := url.Values{}
	for name, value := range map[string]string{"actor": f.Actor, "action": f.Action, "resource": f.Resource, "result": f.Result} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if below >= 0 {
		q.Set("after", strconv.FormatInt(below, 10))
	}
	if len(q) == 0 {
		return "/activity"
	}
	return "/activity?" + q.Encode()
}

func cursor(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, nightporter.E(nightporter.Invalid, "after is not a cursor of this list")
	}
	return n, nil
}

// entries reads one page of the register below an entry. next is where the page
// after it begins, -1 at the end.
func (v *visit) entries(ctx context.Context, f ActivityFilter, before int64) (page []audit.Entry, next int64, err error) {
	for scanned := 0; scanned < maxScanned; {
		limit := scanBatch
		if f.Action == "" && f.Result == "" {
			limit = entriesPerPage + 1
		}
		batch, err := audit.List(ctx, v.tx, audit.Filter{Actor: f.Actor, Resource: f.Resource, Before: before, Limit: limit})
		if err != nil {
			return nil, -1, err
		}
		for _, e := range batch {
			if len(page) == entriesPerPage {
				return page, page[len(page)-1].Seq, nil
			}
			if f.passes(e) {
				page = append(page, e)
			}
			before = e.Seq
		}
		if len(batch) < limit || before == 0 {
			return page, -1, nil
		}
		scanned += len(batch)
	}
	return page, before, nil
}

// passes applies the filters that the register has no index for.
func (f ActivityFilter) passes(e audit.Entry) bool {
	if f.Action != "" && e.Action != f.Action && !strings.HasPrefix(e.Action, strings.TrimSuffix(f.Action, ".")+".") {
		return false
	}
	switch f.Result {
	case "done":
		return e.Decision == audit.Allowed
	case "":
		return true
	}
	return e.Decision == f.Result
}

// chain is what is known of the register's hash chain without reading all of it.
func (v *visit) chain(ctx context.Context) (Chain, error) {
	c := Chain{State: Unknown, CLI: "nightporter audit verify"}
	newest, err := audit.List(ctx, v.tx, audit.Filter{Limit: 1})
	if err != nil {
		return c, err
	}
	if len(newest) > 0 {
		c.Entries = int(newest[0].Seq) + 1
	}
	last, err := audit.Last(ctx, v.tx)
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	c.State, c.Signed, c.SignedAt = OK, int(last.Size), last.At
	if c.Signed > c.Entries {
		c.State = Failed
		c.Problem = fmt.Sprintf("The last checkpoint covers %s entries, the register holds %s.", count(c.Signed), count(c.Entries))
	}
	return c, nil
}

// entryOf is a line of the register as a page shows it.
func entryOf(e audit.Entry) Entry {
	out := Entry{
		Number: e.Seq, At: e.At, Who: e.Actor.Name, Kind: e.Actor.Kind, OnBehalfOf: e.Actor.OnBehalfOf, Did: e.Action,
		To: e.Resource.String(), ToURL: resourceURL(e.Resource), Result: Badge{State: OK, Word: "done"}, RequestID: e.RequestID, Remote: e.Actor.Remote,
	}
	if e.Resource.ID == "" {
		out.To = e.Resource.Kind
	}
	if e.Decision == audit.Refused {
		out.Result = Badge{State: Failed, Word: "denied"}
	}
	return out
}

// resourceURL is the page about a thing, or "".
func resourceURL(r nightporter.Resource) string {
	switch {
	case r.Kind == "release" && strings.HasPrefix(r.ID, "rel_"):
		return "/releases/" + url.PathEscape(r.ID)
	case r.Kind == "service" && r.ID != "":
		return "/services/" + url.PathEscape(r.ID)
	case r.Kind == "plan" && r.ID != "":
		return planURL(r.ID)
	case r.Kind == "lease" && strings.Contains(r.ID, "/"):
		return loginURL(r.ID)
	}
	return ""
}

// activityTwin is what /api/audit answers.
func activityTwin(ctx context.Context, v *visit) (any, error) {
	page, err := httpapi.ReadPage(v.r)
	if err != nil {
		return nil, err
	}
	before, err := cursor(page.After)
	if err != nil {
		return nil, err
	}
	q := v.r.URL.Query()
	entries, err := audit.List(ctx, v.tx, audit.Filter{Actor: q.Get("actor"), Resource: q.Get("resource"), Before: before, Limit: page.Limit + 1})
	if err != nil {
		return nil, err
	}
	return listOf(page, entries, func(e audit.Entry) string { return strconv.FormatInt(e.Seq, 10) }), nil
}

// find reads the entry of the path.
func (v *visit) find(ctx context.Context) (audit.Entry, error) {
	number, err := strconv.ParseInt(v.r.PathValue("entry"), 10, 64)
	if err != nil || number < 0 || number == 1<<63-1 {
		return audit.Entry{}, nightporter.E(nightporter.NotFound, "the register has no entry %s", v.r.PathValue("entry"))
	}
	entries, err := audit.List(ctx, v.tx, audit.Filter{Before: number + 1, Limit: 1})
	if err != nil {
		return audit.Entry{}, err
	}
	if len(entries) == 0 || entries[0].Seq != number {
		return audit.Entry{}, nightporter.E(nightporter.NotFound, "the register has no entry %d", number)
	}
	return entries[0], nil
}

// entry answers GET /activity/{entry}: what exactly was written?
func (c *Console) entry(ctx context.Context, v *visit) (Page, error) {
	e, err := v.find(ctx)
	if err != nil {
		return nil, err
	}
	l, err := v.layout(ctx, fmt.Sprintf("Entry %d", e.Seq), "Activity")
	if err != nil {
		return nil, err
	}
	p := &EntryPage{Layout: l, Entry: entryOf(e), Detail: details(e.Detail), CLI: fmt.Sprintf("nightporter audit proof %d", e.Seq)}
	for _, f := range []Fact{
		{Label: "When", Value: e.At.In(v.now.Location()).Format("2 Jan 2006 15:04:05.000000 MST")},
		{Label: "Who", Value: strings.TrimSpace(string(e.Actor.Kind) + " " + e.Actor.Name), URL: ActivityFilter{Actor: e.Actor.Name}.url(-1)},
		{Label: "For", Value: e.Actor.OnBehalfOf},
		{Label: "Proved by", Value: e.Actor.Method},
		{Label: "Token", Value: e.Actor.Accessor},
		{Label: "From", Value: e.Actor.Remote},
		{Label: "To", Value: p.To, URL: ActivityFilter{Resource: e.Resource.String()}.url(-1)},
		{Label: "Policy", Value: e.Policy},
		{Label: "Request", Value: e.RequestID},
	} {
		if f.Value != "" {
			p.Facts = append(p.Facts, f)
		}
	}
	p.Proof, err = v.prove(ctx, e.Seq)
	return p, err
}

// entryTwin is what /api/audit/proof answers, or the entry alone while no
// checkpoint covers it.
func entryTwin(ctx context.Context, v *visit) (any, error) {
	e, err := v.find(ctx)
	if err != nil {
		return nil, err
	}
	proof, err := audit.Prove(ctx, v.tx, e.Seq)
	switch nightporter.CodeOf(err) {
	case "":
		return proof, nil
	case nightporter.Conflict, nightporter.NotFound:
		return struct {
			Entry audit.Entry `json:"entry"`
		}{e}, nil
	}
	return nil, err
}

// prove checks that an entry, as it is read now, is in the tree of the last
// checkpoint. Whether that checkpoint is genuine is for `audit verify`, which
// knows the public key.
func (v *visit) prove(ctx context.Context, seq int64) (Proof, error) {
	p, err := audit.Prove(ctx, v.tx, seq)
	switch nightporter.CodeOf(err) {
	case "":
	case nightporter.Conflict, nightporter.NotFound:
		return Proof{State: Unknown, Text: "No checkpoint covers it yet. One is signed within a minute of a change."}, nil
	default:
		return Proof{}, err
	}
	out := Proof{State: OK, Leaf: p.Leaf, Hashes: p.Hashes, Root: p.Checkpoint.Root}
	out.Text = fmt.Sprintf("It is in the tree of %s entries that was signed at %s.", count(int(p.Checkpoint.Size)), v.shortly(p.Checkpoint.At))
	if err := inTree(p); err != nil {
		out.State, out.Text = Failed, "It does not fit the tree that was signed at "+v.shortly(p.Checkpoint.At)+": the register was changed afterwards."
	}
	return out, nil
}

// inTree recomputes the root from the entry's hash (RFC 6962 §2.1.1).
func inTree(p audit.Proof) error {
	root, err := tlog.ParseHash(p.Checkpoint.Root)
	if err != nil {
		return err
	}
	leaf, err := tlog.ParseHash(p.Leaf)
	if err != nil {
		return err
	}
	var hashes tlog.RecordProof
	for _, s := range p.Hashes {
		h, err := tlog.ParseHash(s)
		if err != nil {
			return err
		}
		hashes = append(hashes, h)
	}
	return tlog.CheckRecord(hashes, p.Checkpoint.Size, root, p.Entry.Seq, leaf)
}

// details lists what an entry remembers, sorted by name.
func details(raw json.RawMessage) []Fact {
	var all map[string]json.RawMessage
	if json.Unmarshal(raw, &all) != nil {
		return nil
	}
	var list []Fact
	for name, value := range all {
		var text string
		if json.Unmarshal(value, &text) != nil {
			var b bytes.Buffer
			if json.Compact(&b, value) != nil {
				continue
			}
			text = b.String()
		}
		if text != "" {
			list = append(list, Fact{Label: strings.ReplaceAll(name, "_", " "), Value: text})
		}
	}
	slices.SortFunc(list, func(a, b Fact) int { return strings.Compare(a.Label, b.Label) })
	return list
}
