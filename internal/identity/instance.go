package identity

import (
	"context"
	"slices"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/policy"
	"nightporter.dev/nightporter/internal/store"
)

// Instance is one running copy of a service, which reads its credentials with a
// token of its own.
type Instance struct {
	Service     string
	Environment string
	// Key is the deployment's: no other instance has it.
	Key string
}

// byDeployment is the method of the tokens of instances. No login and no request
// makes it, so the names in such a token are ours.
const byDeployment = "deployment"

// What the token of an instance knows about it.
const (
	metaService     = "service"
	metaEnvironment = "environment"
	metaInstance    = "instance"
)

func (n Instance) path() string {
	return "api/services/" + n.Service + "/environments/" + n.Environment + "/token"
}

// Spec is the token of an instance. It may do what the policy
// [policy.InstanceName] says, which follows the configuration. It is renewed for
// ever, by as much as the longest lease that it can read: whoever comes for the
// next login in time has renewed it in time. Until somebody opens it, it lives no
// longer than unopened.
func (n Instance) Spec(unopened time.Duration) Spec {
	name := n.Service + "@" + n.Environment
	return Spec{
		ActorKind: nightporter.Machine, Actor: name, DisplayName: name, Method: byDeployment, Path: n.path(),
		Policies: []string{policy.InstanceName(n.Service, n.Environment)}, NoDefault: true, Period: DefaultTTL, Unopened: unopened,
		Meta: map[string]string{metaService: n.Service, metaEnvironment: n.Environment, metaInstance: n.Key},
	}
}

// Instance says which running copy of a service a token belongs to, if any.
func (t Info) Instance() (n Instance, ok bool) {
	if t.Method != byDeployment {
		return n, false
	}
	return Instance{Service: t.Meta[metaService], Environment: t.Meta[metaEnvironment], Key: t.Meta[metaInstance]}, true
}

// Recall ends the tokens of a service in an environment whose instances are not
// among the living, and with them their logins. It may be called at any time: it
// goes by what runs, not by what happened.
func (i *Identity) Recall(ctx context.Context, service, environment string, living []string) error {
	here := Instance{Service: service, Environment: environment}
	var over []Info
	err := i.gate.Look(ctx, func(tx *store.Tx) error {
		leases, err := lease.Query(ctx, tx, `WHERE path = ? AND kind = ? AND state <> ?`, here.path(), string(lease.Token), string(lease.Doomed))
		if err != nil {
			return err
		}
		for _, l := range leases {
			t, err := Find(ctx, tx, l.ID)
			if nightporter.CodeOf(err) == nightporter.NotFound {
				continue
			}
			if err != nil {
				return err
			}
			if n, ok := t.Instance(); ok && !slices.Contains(living, n.Key) {
				over = append(over, t)
			}
		}
		return nil
	})
	if err != nil || len(over) == 0 {
		return err
	}
	action := nightporter.Action{Name: "token.recall"}
	return i.gate.Do(ctx, action, nightporter.Resource{Kind: "service", ID: service}, func(tx *gate.Tx) error {
		tx.Detail("environment", environment)
		tx.Detail("tokens", len(over))
		for _, t := range over {
			if err := i.Revoke(ctx, tx, t.Accessor, "the instance has ended"); err != nil {
				return err
			}
		}
		return nil
	})
}
