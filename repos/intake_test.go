package repos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/forge/mem"
)

// declared is a world with services built from these repositories.
func declared(t testing.TB, names ...string) *catalog.Catalog {
	t.Helper()
	s := catalog.Snapshot{
		Forges: []catalog.Forge{{Name: "github", Kind: "mem", Organisation: "acme"}},
		People: []catalog.Person{{Name: "ana"}}, Teams: []catalog.Team{{Name: "team-dev", Members: []string{"ana"}}},
		Environments: []catalog.Environment{{Environment: nightporter.Environment{Name: "dev", Kind: nightporter.Development}}},
	}
	for _, name := range names {
		s.Services = append(s.Services, catalog.Service{
			Service: nightporter.Service{Name: name, Repo: nightporter.Repo{Forge: "github", Name: name}, Owner: "team-dev"},
			Deploy:  catalog.Deploy{Kind: "mem"},
		})
	}
	c := &catalog.Catalog{}
	if _, err := c.Load(s); err != nil {
		t.Fatal(err)
	}
	return c
}

// told are the merges that were told, in order, by repository.
func (h *house) told() map[string][]nightporter.Merged {
	h.t.Helper()
	out := map[string][]nightporter.Merged{}
	err := h.gate.Look(context.Background(), func(tx *store.Tx) error {
		return tx.Each(context.Background(), `SELECT payload FROM event WHERE name = 'Merged' ORDER BY id`, nil, func(scan func(...any) error) error {
			var payload string
			if err := scan(&payload); err != nil {
				return err
			}
			var m nightporter.Merged
			if err := json.Unmarshal([]byte(payload), &m); err != nil {
				return err
			}
			out[m.Repo.Name] = append(out[m.Repo.Name], m)
			return nil
		})
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// arrived checks that each merge of the line after the first was told once, in
// order and without gaps.
func arrived(t testing.TB, h *house, repo string, want []string) {
	t.Helper()
	var got []string
	for i, m := range h.told()[repo] {
		got = append(got, m.Commit)
		if m.Order != int64(i+1) {
			t.Errorf("%s: merge %d has the order %d", repo, i+1, m.Order)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", repo, diff)
	}
}

func TestEachMergeIsToldOnceAndInOrder(t *testing.T) {
	t.Parallel()
	f := newForge(t, "ledger", "unrelated")
	h := open(t, options{forge: f, catalog: declared(t, "ledger")})
	ctx := context.Background()
	h.repos.Sweep(ctx)
	if got := h.told(); len(got) != 0 {
		t.Errorf("the first look told %v: what was before us is nobody's business", got)
	}
	var want []string
	for range 130 { // more than a look carries, and than a transaction takes
		want = append(want, f.Merge("ledger", mem.PR{Title: "One", Labels: []string{"minor"}}).Commit)
	}
	f.Push("unrelated", "not ours", "ana-gh")
	h.repos.Sweep(ctx)
	h.repos.Sweep(ctx)
	arrived(t, h, "ledger", want)
	if got := h.told(); len(got["unrelated"]) != 0 || got["ledger"][0].Labels[0] != "minor" {
		t.Errorf("got %d of a repository that is not declared, and labels %v", len(got["unrelated"]), got["ledger"][0].Labels)
	}
}

func TestARewrittenBranchBeginsAnew(t *testing.T) {
	t.Parallel()
	f := newForge(t, "ledger")
	h := open(t, options{forge: f, catalog: declared(t, "ledger")})
	ctx := context.Background()
	h.repos.Sweep(ctx)
	f.Push("ledger", "soon gone", "ana-gh")
	h.repos.Sweep(ctx)
	f.Rewrite("ledger")
	h.repos.Sweep(ctx)
	before := len(h.told()["ledger"])
	next := f.Push("ledger", "after", "ana-gh").Commit
	h.repos.Sweep(ctx)
	got := h.told()["ledger"]
	if before != 1 || len(got) != 2 || got[1].Commit != next {
		t.Errorf("got %d merges before and %d after, want 1 and one more", before, len(got))
	}
}

func TestAForgeThatIsDownIsNotedUntilItAnswers(t *testing.T) {
	t.Parallel()
	f := newForge(t, "ledger")
	h := open(t, options{forge: f, catalog: declared(t, "ledger")})
	f.SetFault(mem.Fault{Down: true})
	h.repos.Sweep(context.Background())
	if s := h.forges()[0]; s.FailingSince.IsZero() || s.Error == "" || !s.SweptAt.IsZero() {
		t.Errorf("down: got %+v", s)
	}
	f.SetFault(mem.Fault{})
	h.repos.Sweep(context.Background())
	if s := h.forges()[0]; !s.FailingSince.IsZero() || s.Error != "" || s.SweptAt.IsZero() {
		t.Errorf("up again: got %+v", s)
	}
}

// deliveries is a recorded day: the webhooks of merges in two repositories.
type recorded struct {
	header http.Header
	body   []byte
}

// Webhooks come twice, in any order, late or never. NIGHTPORTER_PERMUTATIONS sets
// how many mixtures are tried; `make reliability` asks for 100,000.
func TestAnyMixtureOfDeliveriesEndsInTheSameState(t *testing.T) {
	t.Parallel()
	permutations := 300
	if n, err := strconv.Atoi(os.Getenv("NIGHTPORTER_PERMUTATIONS")); err == nil {
		permutations = n
	}
	random := rand.New(rand.NewPCG(1, 2))
	var day []recorded
	f, err := mem.New(mem.Config{Deliver: func(h http.Header, body []byte) { day = append(day, recorded{h, body}) }})
	check(t, err)
	f.AddRepo("ledger")
	f.AddRepo("cards")
	h := open(t, options{forge: f, catalog: declared(t, "ledger", "cards")})
	ctx := context.Background()
	h.repos.Sweep(ctx)
	want := map[string][]string{}
	for i := range permutations {
		day = day[:0]
		for range 1 + random.IntN(3) {
			repo := []string{"ledger", "cards"}[random.IntN(2)]
			want[repo] = append(want[repo], f.Merge(repo, mem.PR{Title: fmt.Sprint("change ", i)}).Commit)
		}
		mixed := append(append([]recorded(nil), day...), day...) // each twice
		random.Shuffle(len(mixed), func(a, b int) { mixed[a], mixed[b] = mixed[b], mixed[a] })
		for _, d := range mixed[:random.IntN(len(mixed)+1)] { // some are lost
			check(t, h.repos.Receive(ctx, "github", d.header, d.body))
			if random.IntN(2) == 0 {
				h.repos.RefreshAsked(ctx)
			}
		}
		if random.IntN(10) == 0 {
			h.repos.Sweep(ctx)
		}
	}
	h.repos.Sweep(ctx)
	arrived(t, h, "ledger", want["ledger"])
	arrived(t, h, "cards", want["cards"])
}

func TestAWebhookOfAnUnknownForgeIsNotFound(t *testing.T) {
	t.Parallel()
	h := open(t, options{forge: newForge(t)})
	if err := h.repos.Receive(context.Background(), "gitlab", http.Header{}, nil); nightporter.CodeOf(err) != nightporter.NotFound {
		t.Errorf("got %v, want it not found", err)
	}
}

func FuzzReceive(f *testing.F) {
	fake, err := mem.New(mem.Config{})
	if err != nil {
		f.Fatal(err)
	}
	h := open(f, options{forge: fake, catalog: declared(f, "ledger")})
	f.Add("push", "settings/labels", []byte(`{"repo":"ledger","sender":"ana-gh"}`))
	f.Add("", "1", []byte(`{`))
	f.Fuzz(func(t *testing.T, event, id string, body []byte) {
		header := http.Header{"X-Mem-Event": {event}, "X-Mem-Delivery": {id}, forge.SignatureHeader: {forge.Sign([]byte("mem"), body)}}
		if err := h.repos.Receive(context.Background(), "github", header, body); err != nil && nightporter.CodeOf(err) == nightporter.Internal {
			t.Errorf("%q %q: %v", event, body, err)
		}
	})
}
