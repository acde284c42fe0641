package app

import (
	"context"
	"fmt"

	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/egress"
	"nightporter.dev/nightporter/provider/notify"
	"nightporter.dev/nightporter/provider/notify/email"
)

// makeAllChannels makes what a configuration says about telling people.
func (a *App) makeAllChannels(ctx context.Context, cfg *config.Config) (map[string][]notify.Notifier, error) {
	all := map[string][]notify.Notifier{}
	for audience, c := range cfg.Notify {
		made, err := a.makeChannels(ctx, "notify."+audience, audience, c, cfg)
		if err != nil {
			return nil, fmt.Errorf("notify %s: %w", audience, err)
		}
		all[audience] = made
	}
	return all, nil
}

// makeMail makes the mail of an audience. The password is read at use.
func (a *App) makeMail(ctx context.Context, audience string, cfg *config.Config) (notify.Notifier, error) {
	m, to := cfg.Mail, cfg.MailTo(audience)
	return channel(ctx, m.Password, func(ctx context.Context) (notify.Notifier, error) {
		c := email.Config{Server: m.Server, From: m.From, To: to, Username: m.Username, TLS: email.TLS(m.TLS), Dial: egress.DialContext(egress.Config{Allow: a.allowed(m.Server)})}
		if m.Username != "" && !m.Password.IsZero() {
			password, err := a.resolve(ctx, "mail.password", m.Password)
			if err != nil {
				return nil, err
			}
			c.Password = password
		}
		return email.New(c)
	})
}
