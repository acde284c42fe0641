package githubtest

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v4"
)

// authorised says whether a call carries a token that is good now. An App's own
// requests carry something else and are checked by postToken.
func (s *Server) authorised(r *http.Request) bool {
	if strings.HasPrefix(r.URL.Path, "/app/") {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") && !strings.EqualFold(scheme, "token") {
		token = ""
	}
	return s.good(token)
}

func (s *Server) good(token string) bool {
	if s.cfg.Token == "" && s.cfg.App == nil {
		return true
	}
	if s.cfg.Token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(s.cfg.Token)) == 1 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now().Before(s.tokens[token])
}

// postToken hands an App a token for one hour, as GitHub does.
func (s *Server) postToken(w http.ResponseWriter, r *http.Request) {
	app := s.cfg.App
	signed, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if app == nil || !ok {
		writeError(w, http.StatusUnauthorized, "A JSON web token could not be decoded")
		return
	}
	var claims jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(signed, &claims, func(t *jwt.Token) (any, error) {
		if t.Method != jwt.SigningMethodRS256 {
			return nil, fmt.Errorf("signed with %v", t.Method.Alg())
		}
		return app.Key, nil
	})
	if err != nil || claims.Issuer != strconv.FormatInt(app.ID, 10) {
		writeError(w, http.StatusUnauthorized, "A JSON web token could not be decoded")
		return
	}
	if r.PathValue("installation") != strconv.FormatInt(app.Installation, 10) {
		writeError(w, http.StatusNotFound, "Not Found")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	token := "ghs_" + strings.ReplaceAll(newDelivery(), "-", "")
	end := s.now().Add(time.Hour)
	s.tokens[token] = end
	writeJSON(w, http.StatusCreated, object{
		"token": token, "expires_at": end.Format(time.RFC3339), "repository_selection": "all",
		"permissions": object{"contents": "write", "metadata": "read", "pull_requests": "write", "statuses": "write"},
	})
}

// body is a request's body, to be read more than once.
type body struct{ bytes []byte }

func readBody(r *http.Request) body {
	b, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return body{}
	}
	return body{b}
}

func (b body) again() io.ReadCloser { return io.NopCloser(bytes.NewReader(b.bytes)) }
