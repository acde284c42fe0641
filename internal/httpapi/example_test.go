package httpapi_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/telemetry"
)

func ExampleNew() {
	approve := func(w http.ResponseWriter, r *http.Request) error {
		var in struct {
			Comment string `json:"comment"`
		}
		if err := httpapi.ReadOptionalJSON(r, &in); err != nil {
			return err
		}
		action, resource := httpapi.ActionFrom(r.Context()) // for the gate
		fmt.Println(action.Name, action.Path, resource, in.Comment)
		return nightporter.E(nightporter.OwnChange, "you wrote this change").WithHint("ask a colleague")
	}
	door, err := httpapi.New(httpapi.Config{
		Routes: []httpapi.Route{{
			Method: "POST", Pattern: "/api/releases/{id}/approve", Handler: approve,
			Action: httpapi.DoesTo("release.approve", nightporter.Update, "api/releases/{id}/approve", "release", "id"),
		}},
		Authenticate: func(r *http.Request) (nightporter.Actor, error) {
			return nightporter.Actor{Kind: nightporter.Person, Name: "ana"}, nil
		},
		Authorise: func(context.Context, nightporter.Action) error { return nil },
		Log:       slog.New(slog.DiscardHandler),
		Metrics:   telemetry.NewRegistry(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	door.ServeHTTP(w, httptest.NewRequest("POST", "/api/releases/42/approve", strings.NewReader(`{"comment":"looks good"}`)))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	// Output:
	// release.approve api/releases/42/approve release/42 looks good
	// 403 application/problem+json
}
