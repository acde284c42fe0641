package app

import (
	"context"
	"encoding/json"
	"os"
	"sync"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/vault"
	"nightporter.dev/nightporter/provider/notify"
)

// secrets is what references in the configuration are resolved from. Without a
// server there are no secrets of our own.
func (a *App) secrets() config.Secrets {
	from := config.Secrets{LookupEnv: os.LookupEnv}
	if a.vault != nil {
		from.Read = a.readKey
	}
	return from
}

// resolve reads a secret of the configuration, for the setting at place:
// "forges.github.token". The error names both, and never the secret.
func (a *App) resolve(ctx context.Context, place string, ref config.SecretRef) (string, error) {
	secret, err := ref.Resolve(ctx, a.secrets())
	if err != nil {
		e := nightporter.Wrap(err, nightporter.CodeOf(err), "%s: %s: %s", place, ref, nightporter.MessageOf(err))
		if hint := nightporter.HintOf(err); hint != "" {
			e = e.WithHint("%s", hint)
		}
		return "", e
	}
	return secret, nil
}

// values are the KV values that references were resolved to, by path. One is read
// again, and audited again, when it has another version: a forge is asked
// thousands of times a day with the same token, and a stranger's webhook must not
// be able to fill the register.
type values struct {
	mu     sync.Mutex
	byPath map[string]vault.Value
}

func (v *values) get(path string) vault.Value {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.byPath[path]
}

// put keeps a value; the zero one is forgotten.
func (v *values) put(path string, value vault.Value) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if value.Version == 0 {
		delete(v.byPath, path)
		return
	}
	if v.byPath == nil {
		v.byPath = map[string]vault.Value{}
	}
	v.byPath[path] = value
}

// readKey reads one key of our own KV secrets, as the porter, on behalf of whoever
// acts in ctx.
func (a *App) readKey(ctx context.Context, path, key string) (string, error) {
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("configuration", nightporter.ActorFrom(ctx).Cause()))
	value := a.values.get(path)
	if !a.vault.IsCurrent(ctx, path, value.Version) {
		var err error
		if value, err = a.vault.ReadValue(ctx, path); err != nil {
			a.values.put(path, vault.Value{})
			if nightporter.CodeOf(err) == nightporter.NotFound {
				return "", nightporter.E(nightporter.NotFound, "%s", nightporter.MessageOf(err)).WithHint("write it with: vault kv put %s %s=-", path, key)
			}
			return "", err
		}
		a.values.put(path, value)
	}
	switch text := value.Data[key].(type) {
	case string:
		return text, nil
	case json.Number:
		return text.String(), nil
	case nil:
		return "", nightporter.E(nightporter.NotFound, "%s has no key %q", path, key).WithHint("write it with: vault kv patch %s %s=-", path, key)
	}
	return "", nightporter.E(nightporter.Invalid, "the key %q of %s is not a text", key, path)
}

// lateChannel makes its notifier when there is a message, so that the secret behind
// it is read at use and a sealed store keeps nobody from starting.
type lateChannel struct {
	open func(context.Context) (notify.Notifier, error)
}

// Send implements [notify.Notifier].
func (c lateChannel) Send(ctx context.Context, m notify.Message) error {
	n, err := c.open(ctx)
	if err != nil {
		return err
	}
	return n.Send(ctx, m)
}

// channel checks a channel at once, unless its secret is one of our own, which
// may be written later.
func channel(ctx context.Context, ref config.SecretRef, open func(context.Context) (notify.Notifier, error)) (notify.Notifier, error) {
	if !ref.Stored() {
		if _, err := open(ctx); err != nil {
			return nil, err
		}
	}
	return lateChannel{open}, nil
}
