package app

import "nightporter.dev/nightporter/provider/cloud/terraform"

// makeTerraform makes the provider that runs the user's terraform or tofu, as the
// user that runs other people's code.
func (a *App) makeTerraform() (*terraform.Provider, error) {
	cfg := a.config.Load()
	dir, err := a.dataDir("terraform")
	if err != nil {
		return nil, err
	}
	c := terraform.Config{Dir: dir, RunAs: cfg.RunAs, Environment: inherited(cfg.RunEnv)}
	if cfg.SameUser == "allowed" || a.opts.Dev {
		c.SameUser = terraform.Allowed
	}
	return terraform.New(c)
}
