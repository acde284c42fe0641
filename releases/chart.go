package releases

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/provider/deploy"
)

// Charts finds the chart that a service is deployed with. internal/app wires it.
type Charts interface {
	// Chart returns a version of a chart, without values. Not_found and invalid
	// say that it will never be there; unavailable, that trying again helps.
	Chart(ctx context.Context, ref, version string) (*deploy.Chart, error)
}

// chart finds what a release that installs a chart installs: the chart, and the
// values file of the commit that is in dir. It is nil for everything else.
func (r *Releases) chart(ctx context.Context, service catalog.Service, dir string) (*deploy.Chart, error) {
	var extra struct {
		Chart   string `json:"chart"`
		Version string `json:"chart_version"`
		Values  string `json:"values"`
	}
	if len(service.Deploy.Settings) > 0 {
		if err := json.Unmarshal(service.Deploy.Settings, &extra); err != nil {
			return nil, nightporter.Wrap(err, nightporter.Invalid, "the deploy settings of %s are damaged", service.Name)
		}
	}
	if extra.Chart == "" {
		return nil, nil
	}
	if r.cfg.Charts == nil {
		return nil, nightporter.E(nightporter.Invalid, "this server has no charts")
	}
	c, err := r.cfg.Charts.Chart(ctx, extra.Chart, extra.Version)
	if err != nil {
		return nil, err
	}
	name := service.Deploy.Values
	if name == "" {
		name = extra.Values
	}
	frozen := *c // the chart may be shared
	if frozen.Values, err = values(dir, name); err != nil {
		return nil, err
	}
	return &frozen, frozen.Validate()
}

// values reads a service's values file. Not having one is fine: then the chart's
// own count. It does not leave the checkout.
func values(dir, name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.OpenInRoot(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, nightporter.Wrap(err, nightporter.Invalid, "the values file %q cannot be read", name)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, deploy.MaxValues+1)) // Validate refuses the one byte more
	if err != nil {
		return nil, nightporter.Wrap(err, nightporter.Invalid, "the values file %q cannot be read", name)
	}
	return text, nil
}
