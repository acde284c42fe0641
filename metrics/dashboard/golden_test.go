package dashboard_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter/metrics/dashboard"
)

var update = flag.Bool("update", false, "write the golden drawings anew")

// A golden file is a page as a browser gets it: the variables, where each panel
// stands, its drawing and the table that says the same, and the report.
type golden struct {
	Variables map[string][]string  `json:"variables"`
	Places    []place              `json:"places"`
	Issues    []dashboard.Issue    `json:"issues"`
	Drawings  []*dashboard.Drawing `json:"drawings"`
	Twins     [][]dashboard.Grille `json:"twins"`
	Links     []dashboard.Link     `json:"links"`
}

type place struct {
	Section string         `json:"section"`
	Open    bool           `json:"open"`
	Key     string         `json:"key"`
	Title   string         `json:"title"`
	Grid    dashboard.Grid `json:"grid"`
}

func TestEveryDashboardOfTheCorpusIsDrawnAsBefore(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) < 5 {
		t.Fatalf("found %d dashboards, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			d := compile(t, file)
			v := resolve(t, d, dashboard.Ask{})
			g := golden{Variables: v.Values(), Issues: d.Issues}
			for _, link := range d.Links {
				g.Links = append(g.Links, dashboard.Link{Title: v.Text(link.Title), URL: v.Link(link.URL)})
			}
			for _, s := range v.Sections {
				for _, p := range s.Places {
					g.Places = append(g.Places, place{s.Title, s.Open, p.Key, p.Title, p.Grid})
					// Twelve points are enough to see a mistake.
					drawing, err := v.Draw(t.Context(), world{}, p.Key, 12)
					if err != nil {
						t.Fatal(err)
					}
					if blank(drawing) {
						t.Errorf("panel %s (%s) is blank", p.Key, p.Title)
					}
					g.Drawings = append(g.Drawings, drawing)
					g.Twins = append(g.Twins, v.Twin(drawing))
				}
			}
			got, err := json.MarshalIndent(g, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(compact(got), '\n')
			path := filepath.Join("testdata", "golden", filepath.Base(file))
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
				t.Errorf("%s is drawn in another way (-want +got; -update writes it anew):\n%s", file, diff)
			}
		})
	}
}

// compact puts lists of numbers on one line, so that a difference can be read.
func compact(b []byte) []byte {
	var out bytes.Buffer
	lines := bytes.Split(b, []byte("\n"))
	for i := 0; i < len(lines); i++ {
		trimmed := bytes.TrimSpace(lines[i])
		numeric := len(trimmed) > 0 && (trimmed[0] == '-' || trimmed[0] >= '0' && trimmed[0] <= '9' || bytes.HasPrefix(trimmed, []byte("null"))) && !bytes.Contains(trimmed, []byte(":"))
		if numeric {
			out.Write(trimmed)
			continue
		}
		if i > 0 {
			out.WriteByte('\n')
		}
		out.Write(lines[i])
	}
	return out.Bytes()
}

// blank reports whether a drawing shows neither data nor words.
func blank(d *dashboard.Drawing) bool {
	return d.Chart == nil && len(d.Tiles) == 0 && len(d.Tables) == 0 && d.Heat == nil && d.HTML == "" && d.Empty == "" && d.Problem == ""
}
