package vault

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/store"
)

// Read answers a GET of a path below /v1/ without the HTTP: for a page of ours,
// on behalf of whoever holds the token that the actor of ctx came with. The
// policies are asked, and the register is written, as for any request. What it
// returns may hold a secret.
func (v *Vault) Read(ctx context.Context, path string) (*Response, error) {
	actor := nightporter.ActorFrom(ctx)
	r := &Request{Op: Read, Full: path, Remote: actor.Remote, vault: v}
	m, rest, ok := v.mounts().find(path)
	if !ok {
		return nil, nightporter.E(nightporter.NotFound, "nothing is mounted at %s", path)
	}
	r.Mount, r.Path = m, rest
	var info identity.Info
	err := v.cfg.Gate.Look(ctx, func(tx *store.Tx) (err error) {
		info, err = identity.Find(ctx, tx, actor.Accessor)
		return err
	})
	if err != nil {
		return nil, Denied() // it ended a moment ago
	}
	r.Token = &info
	backend := v.backendOf(m)
	rules := backend.Find(r.Op, r.Path)
	if rules.Open {
		return nil, nightporter.E(nightporter.Invalid, "%s needs no token: ask for it over HTTP", path)
	}
	if ctx, err = v.authorise(ctx, r, backend, rules); err != nil {
		return nil, err
	}
	resp, err := backend.Handle(ctx, r)
	if err == nil && resp == nil {
		err = nightporter.E(nightporter.NotFound, "there is nothing at %s", path)
	}
	return resp, plainly(err)
}

// plainly takes Vault's wrapping off a refusal. What Vault answers 500 to is
// mostly a far end that does not do what it should.
func plainly(err error) error {
	var f *Failure
	if !errors.As(err, &f) {
		return err
	}
	code := nightporter.CodeOf(f)
	if f.Status == http.StatusInternalServerError {
		code = nightporter.Unavailable
	}
	text := strings.TrimSpace(strings.TrimPrefix(f.Text, "1 error occurred:\n\t* "))
	return nightporter.Wrap(err, code, "%s", strings.TrimPrefix(text, "failed to execute query: "))
}
