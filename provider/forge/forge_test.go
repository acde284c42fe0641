package forge_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/forge"
)

func TestErrorsHaveTheCodeThatUsersSee(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want nightporter.Code
	}{
		{&forge.NotFoundError{What: "repository ledger"}, nightporter.NotFound},
		{&forge.ForbiddenError{Doing: "create tag v1.0.0 in ledger", Needs: "contents=write"}, nightporter.Unavailable},
		{&forge.RateLimitedError{Until: time.Unix(0, 0)}, nightporter.Unavailable},
		{&forge.UnavailableError{Doing: "sweep", Cause: errors.New("connection refused")}, nightporter.Unavailable},
		{&forge.TagExistsError{Repo: "ledger", Tag: "v1.0.0", Commit: "1f3c"}, nightporter.Conflict},
		{&forge.NotOfferedError{What: "check runs"}, nightporter.Invalid},
		{&forge.PartialError{What: "repositories", Got: 50, Want: 100}, nightporter.Unavailable},
		{&forge.SignatureError{Reason: "signature does not match"}, nightporter.Unauthenticated},
	} {
		wrapped := fmt.Errorf("doing something: %w", tt.err)
		if got := nightporter.CodeOf(wrapped); got != tt.want {
			t.Errorf("%T: got code %q, want %q", tt.err, got, tt.want)
		}
		if tt.err.Error() == "" || nightporter.MessageOf(wrapped) == "" {
			t.Errorf("%T says nothing", tt.err)
		}
	}
}

func TestAnUnavailableForgeDoesNotShowItsCauseToUsers(t *testing.T) {
	t.Parallel()
	cause := errors.New("dial tcp 10.0.0.7:443: connection refused")
	err := error(&forge.UnavailableError{Doing: "sweep", Cause: cause})
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
	if m := nightporter.MessageOf(err); strings.Contains(m, "10.0.0.7") {
		t.Errorf("users see %q", m)
	}
}

func TestCredentialsAreNotPrinted(t *testing.T) {
	t.Parallel()
	c := forge.Credentials{Username: "x-access-token", Password: "ghs_secret"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(format, c); strings.Contains(s, "ghs_secret") {
			t.Errorf("%s prints %q", format, s)
		}
	}
}

// RFC 4231 has no 4-byte message, so the expected value is GitHub's own, from
// the documentation page "Validating webhook deliveries".
func TestSignatureIsGitHubsOwnExample(t *testing.T) {
	t.Parallel()
	secret, body := []byte("It's a Secret to Everybody"), []byte("Hello, World!")
	const want = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	if got := forge.Sign(secret, body); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	header := http.Header{forge.SignatureHeader: {want}}
	if err := forge.Verify(secret, header, body); err != nil {
		t.Error(err)
	}
	if err := forge.Verify(nil, http.Header{forge.SignatureHeader: {forge.Sign(nil, body)}}, body); err == nil {
		t.Error("an empty secret verifies")
	}
}

func TestRewrittenMeansTheWholeLineWasRead(t *testing.T) {
	t.Parallel()
	root, next := forge.Merge{Commit: "a"}, forge.Merge{Commit: "b", Parent: "a"}
	for name, tt := range map[string]struct {
		h    forge.History
		want bool
	}{
		"reached":           {forge.History{Merges: []forge.Merge{next}, Reached: true}, false},
		"stopped at limit":  {forge.History{Merges: []forge.Merge{next}}, false},
		"read to the start": {forge.History{Merges: []forge.Merge{root, next}}, true},
		"no commits":        {forge.History{}, false},
	} {
		if got := tt.h.Rewritten(); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

func TestWhatAForgeDoesNotOfferIsSaid(t *testing.T) {
	t.Parallel()
	var plain struct{ forge.Forge }
	_, err := forge.Offer[forge.Commenter](plain, "comments on pull requests")
	var missing *forge.NotOfferedError
	if !errors.As(err, &missing) {
		t.Fatalf("got %v, want it not offered", err)
	}
	const want = "comments on pull requests: not offered by this forge"
	if err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}
