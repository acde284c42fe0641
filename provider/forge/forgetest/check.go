package forgetest

import (
	"errors"
	"strings"
	"testing"

	"nightporter.dev/nightporter/provider/forge"
)

// The suite reports checks as statuses, which every forge has.
var checkTests = []test{
	{"a check is unknown, pending, red and green as it is reported", func(t *testing.T, h Harness) {
		f, ok := h.Forge.(forge.Checker)
		if !ok {
			t.Skip("this forge does not say how checks went: it has no forge.Checker to judge")
		}
		h.World.AddRepo(t, "ledger")
		head := state(t, h, "ledger", "").Head
		look := func(want forge.StatusState) {
			t.Helper()
			c, err := f.Check(t.Context(), "ledger", head, "build")
			if err != nil || c.State != want {
				t.Errorf("the check is %q, %v; want %q", c.State, err, want)
			}
		}
		look("")
		for _, s := range []forge.StatusState{forge.Pending, forge.Failure, forge.Success} {
			for _, context := range []string{"build", "another"} {
				st := forge.Status{Context: context, State: s}
				if context == "another" {
					st.State = forge.Failure
				}
				if err := h.Forge.SetStatus(t.Context(), "ledger", head, st); err != nil {
					t.Fatal(err)
				}
			}
			look(s)
		}
		_, err := f.Check(t.Context(), "ledger", strings.Repeat("ab", 20), "build")
		var missing *forge.NotFoundError
		if !errors.As(err, &missing) {
			t.Errorf("a commit that is not there: got %v, want not found", err)
		}
	}},
}
