package deploy_test

import (
	"strings"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

func TestValidateNames(t *testing.T) {
	t.Parallel()
	for name, good := range map[string]bool{
		"ledger":                true,
		"ledger-api.v2":         true,
		"4":                     true,
		strings.Repeat("a", 63): true,
		strings.Repeat("a", 64): false,
		"":                      false,
		".":                     false,
		"..":                    false,
		"../ledger":             false,
		"-rf":                   false,
		"ledger/dev":            false,
		"Ledger":                false,
		"led ger":               false,
		"ledgér":                false,
		"a\x00b":                false,
	} {
		for _, err := range []error{deploy.ValidateNames(name, "dev"), deploy.ValidateNames("ledger", name)} {
			if (err == nil) != good {
				t.Errorf("%q: got %v, want good = %t", name, err, good)
			}
		}
	}
}

func TestBuildRequestValidate(t *testing.T) {
	t.Parallel()
	good := deploy.BuildRequest{Key: "k", Service: "ledger", Commit: strings.Repeat("a", 40), Source: "/src"}
	if err := good.Validate(); err != nil {
		t.Errorf("a good request is refused: %v", err)
	}
	for name, spoil := range map[string]func(*deploy.BuildRequest){
		"a branch for a commit": func(r *deploy.BuildRequest) { r.Commit = "main" },
		"a short commit":        func(r *deploy.BuildRequest) { r.Commit = "abc1234" },
		"an option":             func(r *deploy.BuildRequest) { r.Commit = "--upload-pack=/bin/sh" },
		"no checkout":           func(r *deploy.BuildRequest) { r.Source = "" },
		"no key":                func(r *deploy.BuildRequest) { r.Key = "" },
		"our own variable":      func(r *deploy.BuildRequest) { r.Env = map[string]string{"NIGHTPORTER_X": ""} },
	} {
		r := good
		spoil(&r)
		if err := r.Validate(); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("%s: got %v, want an invalid error", name, err)
		}
	}
}

func TestValidateNeverRepeatsAValue(t *testing.T) {
	t.Parallel()
	r := deploy.Request{Key: "k", Service: "ledger", Environment: "dev", Env: map[string]string{"PASSWORD": "s3cret\x00"}}
	err := r.Validate()
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v, want an error without the value", err)
	}
}

func FuzzValidateNames(f *testing.F) {
	f.Add("ledger")
	f.Add("../etc")
	f.Fuzz(func(t *testing.T, name string) {
		if deploy.ValidateNames(name, "dev") == nil && (strings.ContainsAny(name, "/\\\x00 ") || strings.HasPrefix(name, ".") || name == "") {
			t.Errorf("%q would leave its folder", name)
		}
	})
}
