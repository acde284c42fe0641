package world

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
)

// sign follows the page of notifications: HMAC-SHA256 over the time, a full stop
// and the body.
func sign(secret, at, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(at + "." + body))
	return "t=" + at + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

func TestTheInboxTakesOnlyWhatIsSignedAndEachMessageOnce(t *testing.T) {
	t.Parallel()
	in, err := startInbox()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	body := `{"key":"release/1/waits/prod","title":"ledger 0.3.0 waits"}`
	post := func(signature string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, in.url+"/payments", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Nightporter-Signature", signature)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	good := sign(in.secret, "1789045200", body)
	for _, bad := range []string{"", "t=1789045200", sign("guessed", "1789045200", body), strings.Replace(good, "t=1", "t=2", 1)} {
		if got := post(bad); got != http.StatusUnauthorized {
			t.Errorf("signed %q: %d, want 401", bad, got)
		}
	}
	if got := len(in.Refused()); got != 4 {
		t.Errorf("%d refused, want 4", got)
	}
	for range 2 {
		if got := post(good); got != http.StatusOK {
			t.Errorf("signed well: %d", got)
		}
	}
	list := in.Messages()
	if len(list) != 1 || list[0].To != "payments" || list[0].Title != "ledger 0.3.0 waits" {
		t.Errorf("got %+v", list)
	}
}

func TestTwoNotesAreNeverInEachOthersWay(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 100 {
		for path := range note("Say hello, warmly/../!") {
			if seen[path] || strings.Contains(path, "..") || !strings.HasPrefix(path, "changes/") {
				t.Fatalf("a note is at %q", path)
			}
			seen[path] = true
		}
	}
}
