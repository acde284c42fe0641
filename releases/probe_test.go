package releases

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/provider/deploy"
)

// serving is a deployer of which only what runs is asked.
type serving struct {
	deploy.Deployer
	instances []deploy.Instance
}

func (s serving) Running(context.Context, string, string) ([]deploy.Instance, error) {
	return s.instances, nil
}

func TestAProbeAsksTheInstanceThatServes(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.Header.Get("Cookie") != "session=s3cret":
			w.WriteHeader(http.StatusUnauthorized)
		case req.URL.Path == "/away":
			http.Redirect(w, req, "/v1/profile", http.StatusSeeOther)
		default:
			_, _ = w.Write([]byte(`{"hash":"9eb4","explain":"` + req.URL.Query().Get("explain") + `"}`))
		}
	}))
	t.Cleanup(service.Close)
	address := strings.TrimPrefix(service.URL, "http://")
	live := deploy.Instance{Role: deploy.Serving, Address: address}
	for _, tt := range []struct {
		name      string
		instances []deploy.Instance
		probe     Probe
		code      nightporter.Code
		says      string
	}{
		{"a right answer", []deploy.Instance{live}, Probe{Path: "/v1/profile?explain=1", Header: "Cookie: session=s3cret", Contains: `"hash":"9eb4","explain":"1"`}, "", ""},
		{"any answer will do", []deploy.Instance{live}, Probe{Path: "/v1/profile", Header: "Cookie: session=s3cret"}, "", ""},
		{"another answer", []deploy.Instance{live}, Probe{Path: "/v1/profile", Header: "Cookie: session=s3cret", Contains: `"hash":"beef"`}, nightporter.Conflict, "does not hold"},
		{"a refusal", []deploy.Instance{live}, Probe{Path: "/v1/profile", Header: "Cookie: session=other"}, nightporter.Conflict, "with 401"},
		{"the way to somewhere else", []deploy.Instance{live}, Probe{Path: "/away", Header: "Cookie: session=s3cret"}, nightporter.Conflict, "with 303"},
		{"a header without a name", []deploy.Instance{live}, Probe{Path: "/", Header: "s3cret"}, nightporter.Invalid, "Name: value"},
		{"only a candidate", []deploy.Instance{{Role: deploy.Candidate, Address: address}}, Probe{Path: "/"}, nightporter.Unavailable, "no instance"},
		{"nobody listens", []deploy.Instance{{Role: deploy.Serving, Address: "127.0.0.1:1"}}, Probe{Path: "/"}, nightporter.Unavailable, "does not answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &catalog.Catalog{}
			if _, err := c.Load(declared(1)); err != nil {
				t.Fatal(err)
			}
			r := &Releases{cfg: Config{Catalog: c, Deployers: map[string]deploy.Deployer{"mem": serving{instances: tt.instances}}, Now: time.Now}}
			tt.probe.Service, tt.probe.Environment = "s0000", "dev"
			seen, err := r.Probe(t.Context(), tt.probe)
			if nightporter.CodeOf(err) != tt.code || err != nil && !strings.Contains(nightporter.MessageOf(err), tt.says) {
				t.Errorf("got %v, want %q with %q", err, tt.code, tt.says)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error tells the header: %v", err)
			}
			if err == nil && (seen.ObservedAt.IsZero() || !strings.HasPrefix(seen.Source, "GET "+service.URL+"/v1/profile")) {
				t.Errorf("the evidence is %+v", seen)
			}
		})
	}
}
