package app

import "nightporter.dev/nightporter/security"

// makeSecurity makes the capability that keeps findings, risks and evidence.
func (a *App) makeSecurity() (err error) {
	a.modules.security, err = security.New(security.Config{Gate: a.gate, Catalog: a.catalog, Log: a.log})
	return err
}
