package vault_test

import (
	"fmt"
	"sync"
	"testing"
)

// What must hold although nobody has published an advisory about it.

func TestARightForCreateDoesNotOverwrite(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.want(204, "root", "POST", "sys/mounts/kv", m{"type": "kv-v2"})
	h.policy("once", `path "kv/data/*" { capabilities = ["create"] }`)
	token := h.token(m{"policies": "once"})
	// Many rounds: the writers must meet between the question and the change.
	for round := range 40 {
		var writers sync.WaitGroup
		var mu sync.Mutex
		made, ready := 0, make(chan struct{})
		for i := range 8 {
			writers.Go(func() {
				<-ready
				if h.ask(token, "POST", fmt.Sprintf("kv/data/x%d", round), m{"data": m{"by": i}}).Status == 200 {
					mu.Lock()
					defer mu.Unlock()
					made++
				}
			})
		}
		close(ready)
		writers.Wait()
		if made != 1 {
			t.Fatalf("%d writers have made the same thing", made)
		}
	}
}

func TestAWrappedAnswerIsOpenedOnceWhateverTheRace(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.want(204, "root", "POST", "sys/mounts/kv", m{"type": "kv"})
	h.want(204, "root", "PUT", "kv/x", m{"a": "b"})
	wrapped := h.want(200, "root", "GET", "kv/x", nil, "X-Vault-Wrap-TTL", "60").text("wrap_info", "token")
	opened := 0
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range 8 {
		wg.Go(func() {
			if h.ask(wrapped, "POST", "sys/wrapping/unwrap", nil).Status == 200 {
				mu.Lock()
				defer mu.Unlock()
				opened++
			}
		})
	}
	wg.Wait()
	if opened != 1 {
		t.Errorf("opened %d times", opened)
	}
}

func TestATokenIsNoLeaseByItsAccessorAlone(t *testing.T) {
	t.Parallel()
	h := open(t)
	made := h.want(200, "root", "POST", "auth/token/create", m{"policies": "default"})
	accessor := made.text("auth", "accessor")
	h.want(400, "root", "PUT", "sys/leases/lookup", m{"lease_id": accessor})
	h.want(400, "root", "PUT", "sys/leases/lookup", m{"lease_id": "auth/other/create/" + accessor})
	h.want(204, "root", "PUT", "sys/leases/revoke", m{"lease_id": accessor})
	h.want(200, made.text("auth", "client_token"), "GET", "auth/token/lookup-self", nil)
	h.want(200, "root", "PUT", "sys/leases/lookup", m{"lease_id": "auth/token/create/" + accessor})
}
