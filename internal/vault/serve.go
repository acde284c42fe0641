package vault

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/policy"
)

// serve answers a request under /v1/. Its path is canonical.
func (v *Vault) serve(w http.ResponseWriter, hr *http.Request) error {
	ctx := hr.Context()
	r, backend, err := v.read(hr)
	if err != nil {
		return err
	}
	rules := Rules{}
	if backend != nil {
		rules = backend.Find(r.Op, r.Path)
		if rules.Bare && r.Op == Head {
			r.Op = Read
		}
	}
	if err := checkNamespace(hr, rules); err != nil {
		return err
	}
	if !rules.Open {
		if ctx, err = v.signIn(ctx, r); err != nil {
			return err
		}
		// The last use of a token ends it, whatever becomes of the request.
		if r.Token.Spent() {
			defer v.endSpent(ctx, r.Token)
		}
		if ctx, err = v.authorise(ctx, r, backend, rules); err != nil {
			return err
		}
	} else {
		ctx = v.describe(ctx, r, nightporter.Update, rules)
	}
	if backend == nil {
		return Refuse(http.StatusNotFound, "no handler for route %q. route entry not found.", r.Full)
	}
	resp, err := backend.Handle(ctx, r)
	if err != nil {
		return err
	}
	return v.answer(ctx, w, hr, r, resp)
}

// answer completes and writes what a backend answered.
func (v *Vault) answer(ctx context.Context, w http.ResponseWriter, hr *http.Request, r *Request, resp *Response) error {
	if resp == nil {
		if r.Op == Read || r.Op == List {
			return errNotFound
		}
		resp = &Response{Status: http.StatusNoContent, Empty: true}
	}
	if r.fields != nil && !resp.Empty && !resp.Bare {
		if names := r.fields.ignored(); len(names) > 0 {
			resp.Warn("Endpoint ignored these unrecognized parameters: [" + strings.Join(names, " ") + "]")
		}
	}
	if r.WrapTTL > 0 && !resp.Empty && resp.Body == nil && resp.wrap == nil && resp.Status < http.StatusBadRequest {
		wrapped, err := v.wrap(ctx, r, resp, r.WrapTTL)
		if err != nil {
			return err
		}
		resp = wrapped
	}
	return resp.write(w, hr, requestID(ctx, resp))
}

// requestID is "" in a wrapped answer, as in Vault.
func requestID(ctx context.Context, resp *Response) string {
	if resp.wrap != nil {
		return ""
	}
	return nightporter.RequestIDFrom(ctx)
}

// read makes a Request of what was sent. The backend is nil where nothing is
// mounted.
func (v *Vault) read(hr *http.Request) (*Request, Backend, error) {
	op, err := operationOf(hr)
	if err != nil {
		return nil, nil, err
	}
	full := strings.TrimPrefix(hr.URL.Path, "/v1/")
	r := &Request{
		Op: op, Full: full, Secret: httpapi.TokenOf(hr), Remote: httpapi.SourceFrom(hr.Context()).String(), vault: v,
	}
	if r.WrapTTL, err = wrapTTL(hr.Header.Get("X-Vault-Wrap-TTL")); err != nil {
		return nil, nil, err
	}
	if op == Patch {
		// What a client means by a patch is in its type; guessing would merge
		// what was meant to replace.
		media, _, _ := strings.Cut(hr.Header.Get("Content-Type"), ";")
		if media = strings.TrimSpace(media); media != "application/merge-patch+json" {
			return nil, nil, Refuse(http.StatusUnsupportedMediaType,
				"PATCH requires Content-Type of application/merge-patch+json, provided %s", media)
		}
	}
	if op == Write || op == Patch {
		r.Data, err = readBody(hr.Body)
	} else {
		r.Data = readQuery(hr)
	}
	if err != nil {
		return nil, nil, err
	}
	m, rest, ok := v.mounts().find(full)
	if !ok {
		return r, nil, nil
	}
	r.Mount, r.Path = m, rest
	return r, v.backendOf(m), nil
}

// operationOf translates the method.
func operationOf(hr *http.Request) (Operation, error) {
	switch hr.Method {
	case http.MethodGet:
		if list := hr.URL.Query().Get("list"); list == "true" || list == "1" {
			return List, nil
		}
		return Read, nil
	case "LIST":
		return List, nil
	case http.MethodPost, http.MethodPut:
		return Write, nil
	case http.MethodPatch:
		return Patch, nil
	case http.MethodDelete:
		return Delete, nil
	case http.MethodHead:
		return Head, nil
	case http.MethodOptions:
		return "", errInternalOnly
	}
	return "", errMethod
}

// checkNamespace: there is one namespace, and it is the root one.
func checkNamespace(hr *http.Request, rules Rules) error {
	if ns := strings.Trim(hr.Header.Get("X-Vault-Namespace"), "/"); ns != "" && ns != "root" {
		if rules.Bare {
			return Bad("operation unavailable in namespaces")
		}
		return Refuse(http.StatusNotFound, "namespace not found")
	}
	return nil
}

// wrapTTL reads the header of response wrapping.
func wrapTTL(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := ParseDuration(text)
	switch {
	case err != nil:
		return 0, Bad("error parsing X-Vault-Wrap-TTL header: %s", err)
	case d < 0:
		return 0, Bad("error parsing X-Vault-Wrap-TTL header: requested wrap ttl cannot be negative")
	}
	return d, nil
}

// readBody decodes the one body that the policies and the backend both see. Its
// size and depth were checked at the front door.
func readBody(body io.Reader) (map[string]any, error) {
	d := json.NewDecoder(body)
	d.UseNumber()
	var data map[string]any
	err := d.Decode(&data)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err == nil {
		var more any
		if err = d.Decode(&more); errors.Is(err, io.EOF) {
			return data, nil
		}
		if err == nil {
			return nil, Bad("failed to decode JSON input: there is more than one value")
		}
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, Refuse(http.StatusRequestEntityTooLarge, "http: request body too large")
	}
	return nil, Bad("failed to decode JSON input: %s", err)
}

func readQuery(hr *http.Request) map[string]any {
	if hr.URL.RawQuery == "" {
		return nil
	}
	var data map[string]any
	for name, values := range hr.URL.Query() {
		if name == "list" || len(values) == 0 {
			continue
		}
		if data == nil {
			data = map[string]any{}
		}
		if data[name] = values[0]; len(values) > 1 {
			list := make([]any, len(values))
			for i, s := range values {
				list[i] = s
			}
			data[name] = list
		}
	}
	return data
}

// signIn finds out whose token it is.
func (v *Vault) signIn(ctx context.Context, r *Request) (context.Context, error) {
	if r.Secret == "" {
		return ctx, errPermission
	}
	actor, info, err := v.cfg.Identity.Authenticate(ctx, r.Secret, r.Remote)
	if nightporter.CodeOf(err) == nightporter.Unauthenticated {
		return ctx, errPermission
	}
	if err != nil {
		return ctx, err
	}
	r.Token = &info
	return nightporter.WithActor(ctx, actor), nil
}

// endSpent ends a token whose uses are used up.
func (v *Vault) endSpent(ctx context.Context, t *identity.Info) {
	ctx = system(context.WithoutCancel(ctx), t.Actor)
	err := v.cfg.Gate.Do(ctx, nightporter.Action{Name: "token.spent"}, nightporter.Resource{Kind: "token", ID: t.Accessor}, func(tx *gate.Tx) error {
		tx.AfterCommit(v.cfg.Leases.Wake)
		return v.cfg.Identity.Revoke(ctx, tx, t.Accessor, "its uses were used up")
	})
	if err != nil {
		v.cfg.Log.ErrorContext(ctx, "end a token whose uses are used up", "accessor", t.Accessor, "error", err)
	}
}

// authorise asks the policies about the request.
func (v *Vault) authorise(ctx context.Context, r *Request, backend Backend, rules Rules) (context.Context, error) {
	var c nightporter.Capability
	switch r.Op {
	case Read:
		c = nightporter.Read
	case List:
		c = nightporter.List
	case Patch:
		c = nightporter.Patch
	case Delete:
		c = nightporter.Delete
	case Write:
		c = nightporter.Update
		if backend != nil {
			exists, err := backend.Exists(ctx, r)
			if err != nil {
				return ctx, err
			}
			if !exists {
				c = nightporter.Create
			}
		}
	}
	ctx = v.describe(ctx, r, c, rules)
	if r.Full == "" { // "/v1/" itself is no path that a policy could name
		return ctx, nil
	}
	return ctx, v.cfg.Gate.Authorise(ctx, r.action, r.resource)
}

// describe says what the request does, for the policies and the audit log.
func (v *Vault) describe(ctx context.Context, r *Request, c nightporter.Capability, rules Rules) context.Context {
	kind := r.Mount.Type
	if kind == "" {
		kind = "mount"
	}
	verb := string(c)
	if verb == "" {
		verb = string(r.Op)
	}
	r.action = nightporter.Action{Name: kind + "." + verb, Capability: c, Path: r.Full, Sudo: rules.Sudo}
	r.resource = nightporter.Resource{Kind: kind, ID: r.Full}
	return policy.WithRequest(ctx, policy.Request{Data: r.Data, WrapTTL: r.WrapTTL})
}
