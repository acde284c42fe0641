package githubtest

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"nightporter.dev/nightporter/provider/forge"
)

// Webhook is one signed request to the hooks.
type Webhook struct {
	Header http.Header
	Body   []byte
}

// hooks sends webhooks one after the other, as they happened, to each address.
type hooks struct {
	mu      sync.Mutex
	changed *sync.Cond
	urls    []string
	queue   []Webhook
	held    []Webhook
	last    Webhook
	busy    bool
	closed  bool
	failed  []string
	done    chan struct{}
}

func (h *hooks) start(s *Server, urls []string) {
	h.changed = sync.NewCond(&h.mu)
	h.urls = slices.Clone(urls)
	h.done = make(chan struct{})
	go h.work(s)
}

func (h *hooks) stop() {
	h.mu.Lock()
	h.closed = true
	h.changed.Broadcast()
	h.mu.Unlock()
	<-h.done
}

func (h *hooks) work(s *Server) {
	defer close(h.done)
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		for len(h.queue) == 0 && !h.closed {
			h.changed.Wait()
		}
		if h.closed {
			return
		}
		w := h.queue[0]
		h.queue = h.queue[1:]
		urls := slices.Clone(h.urls)
		h.busy = true
		h.mu.Unlock()
		var failed []string
		for _, url := range urls {
			if err := s.deliver(url, w); err != nil {
				failed = append(failed, err.Error())
			}
		}
		h.mu.Lock()
		h.busy = false
		h.failed = append(h.failed, failed...)
		h.changed.Broadcast()
	}
}

// AddHook sends webhooks to one more address from now on.
func (s *Server) AddHook(url string) {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	s.hooks.urls = append(s.hooks.urls, url)
}

// Flush waits until every webhook so far has been delivered or has failed to be.
func (s *Server) Flush() {
	h := &s.hooks
	h.mu.Lock()
	defer h.mu.Unlock()
	for (len(h.queue) > 0 || h.busy) && !h.closed {
		h.changed.Wait()
	}
}

// FailedDeliveries says which webhooks did not get an answer of 2xx. GitHub does
// not send them again, and neither does this.
func (s *Server) FailedDeliveries() []string {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	return slices.Clone(s.hooks.failed)
}

// LastWebhook returns the newest webhook, delivered or not.
func (s *Server) LastWebhook() Webhook {
	s.hooks.mu.Lock()
	defer s.hooks.mu.Unlock()
	return Webhook{s.hooks.last.Header.Clone(), slices.Clone(s.hooks.last.Body)}
}

// SendHeld delivers what [Hold] kept back, the newest first.
func (s *Server) SendHeld() {
	h := &s.hooks
	h.mu.Lock()
	defer h.mu.Unlock()
	slices.Reverse(h.held)
	h.queue = append(h.queue, h.held...)
	h.held = nil
	h.changed.Broadcast()
}

// SendForged sends what somebody else could: the newest webhook with a new id and
// signed with a guessed secret. A receiver must refuse it.
func (s *Server) SendForged() {
	w := s.LastWebhook()
	w.Header.Set("X-GitHub-Delivery", newDelivery())
	w.Header.Set(forge.SignatureHeader, forge.Sign([]byte("guessed"), w.Body))
	h := &s.hooks
	h.mu.Lock()
	defer h.mu.Unlock()
	h.queue = append(h.queue, w)
	h.changed.Broadcast()
}

func (s *Server) deliver(url string, w Webhook) error {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(w.Body))
	if err != nil {
		return err
	}
	req.Header = w.Header.Clone()
	resp, err := s.cfg.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s to %s", url, resp.Status, w.Header.Get("X-GitHub-Event"))
	}
	return nil
}

// emit makes a webhook of what just happened. The caller holds s.mu.
func (s *Server) emit(r *repository, event, action, sender string, fields map[string]any) {
	payload := map[string]any{
		"repository":   s.renderRepo(r),
		"organization": s.renderOrganisation(),
		"sender":       s.renderUser(sender),
	}
	if action != "" {
		payload["action"] = action
	}
	for k, v := range fields {
		payload[k] = v
	}
	body, err := json.Marshal(payload)
	if err != nil {
		panic(err) // maps of strings and numbers
	}
	w := Webhook{Body: body, Header: http.Header{
		"Content-Type":                           {"application/json"},
		"User-Agent":                             {"GitHub-Hookshot/fake"},
		"X-Github-Event":                         {event},
		"X-Github-Delivery":                      {newDelivery()},
		"X-Github-Hook-Id":                       {"1"},
		"X-Github-Hook-Installation-Target-Id":   {"1"},
		"X-Github-Hook-Installation-Target-Type": {"organization"},
		forge.SignatureHeader:                    {forge.Sign(s.cfg.Secret, body)},
	}}
	if s.cfg.Contract != nil {
		name := strings.ReplaceAll(event, "_", "-")
		if action != "" {
			name += "-" + strings.ReplaceAll(action, "_", "-")
		}
		if err := s.cfg.Contract.checkWebhook(name, w); err != nil {
			s.violate("webhook %s: %v", name, err)
		}
	}
	s.hooks.add(w, s.fault.Webhooks)
}

func (h *hooks) add(w Webhook, fault WebhookFault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = w
	switch fault {
	case Lose:
	case Hold:
		h.held = append(h.held, w)
	case Duplicate:
		h.queue = append(h.queue, w, w)
	default:
		h.queue = append(h.queue, w)
	}
	h.changed.Broadcast()
}

func newDelivery() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
