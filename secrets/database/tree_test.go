package database_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/secrets/database"
)

// draw writes a tree as people see it.
func draw(list []database.Holder, names map[string]string) (lines []string) {
	for _, h := range list {
		name := names[h.ID]
		if name == "" {
			name = h.Kind
		}
		lines = append(lines, strings.Repeat("  ", h.Depth)+name+" "+h.State)
	}
	return lines
}

func TestTheTreeOfWhoHoldsWhat(t *testing.T) {
	t.Parallel()
	h, _ := inMemory(t, options{asleep: true})
	made := func(parent string, ttl string) (token, accessor string) {
		a := h.want(200, parent, "POST", "auth/token/create", m{"policies": []string{"root"}, "ttl": ttl})
		return a.text("auth", "client_token"), a.text("auth", "accessor")
	}
	ci, ciAccessor := made("root", "2h")
	job, jobAccessor := made(ci, "30m")
	_, idle := made(ci, "1h")
	first, second := h.creds(ci, "app"), h.creds(job, "app")
	rootAccessor := h.want(200, "root", "GET", "auth/token/lookup-self", nil).text("data", "accessor")
	names := map[string]string{
		rootAccessor: "root", ciAccessor: "ci", jobAccessor: "job", idle: "idle", first.lease: "first", second.lease: "second",
	}
	tree := func(r database.Roots) []string {
		t.Helper()
		list, err := h.engine.Tree(context.Background(), r)
		must(t, err)
		return draw(list, names)
	}
	for _, tt := range []struct {
		name  string
		roots database.Roots
		want  []string
	}{
		{"of everything shows logins and the tokens above them", database.Roots{}, []string{"root live", "  ci live", "    job live", "      second live", "    first live"}},
		{"of a token shows the way to it and all below", database.Roots{Of: ciAccessor}, []string{"root live", "  ci live", "    job live", "      second live", "    idle live", "    first live"}},
		{"of a lease shows who holds it", database.Roots{Of: second.lease}, []string{"root live", "  ci live", "    job live", "      second live"}},
		{"below a token shows nothing above it", database.Roots{Below: []string{jobAccessor}}, []string{"job live", "  second live"}},
		{"below nothing shows nothing", database.Roots{Below: []string{}}, nil},
		{"of a lease below a token", database.Roots{Of: first.lease, Below: []string{ciAccessor}}, []string{"ci live", "  first live"}},
	} {
		if got := tree(tt.roots); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
		}
	}

	_, err := h.engine.Tree(context.Background(), database.Roots{Of: first.lease, Below: []string{jobAccessor}})
	if nightporter.CodeOf(err) != nightporter.NotFound {
		t.Errorf("a lease that is somebody else's: %v, want not_found", err)
	}

	list, err := h.engine.Tree(context.Background(), database.Roots{Of: second.lease})
	must(t, err)
	last := list[len(list)-1]
	if last.Username != second.username || last.Database != "database/db" || last.Role != "app" {
		t.Errorf("got %+v", last)
	}
	if in := time.Until(last.Ends); in > 31*time.Minute || !last.Ends.Before(last.Expires) {
		t.Errorf("a login of an hour whose token has 30 minutes ends in %s", in)
	}

	h.want(204, "root", "POST", "auth/token/revoke-accessor", m{"accessor": ciAccessor})
	for _, line := range tree(database.Roots{Of: second.lease})[1:] {
		if !strings.HasSuffix(line, " doomed") {
			t.Errorf("below a token that was ended: %s", line)
		}
	}
	if s := fmt.Sprint(list); strings.Contains(s, second.password) {
		t.Error("the tree holds a password")
	}
}
