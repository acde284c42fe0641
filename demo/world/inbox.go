package world

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Message is what somebody at acme was told.
type Message struct {
	To          string    `json:"-"` // the audience: it is the path of the address
	Key         string    `json:"key"`
	Title       string    `json:"title"`
	URL         string    `json:"url"`
	Severity    string    `json:"severity"`
	Service     string    `json:"service"`
	Environment string    `json:"environment"`
	At          time.Time `json:"at"` // by the clock that schedules follow
}

// Inbox receives what Nightporter tells people. It takes only what is signed.
type Inbox struct {
	secret string
	url    string
	server *http.Server
	served chan struct{}

	mu   sync.Mutex
	list []Message
	bad  []string
}

func startInbox() (*Inbox, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the inbox: %w", err)
	}
	in := &Inbox{secret: rand.Text(), url: "http://" + listener.Addr().String(), served: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{to}", in.post)
	in.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() {
		defer close(in.served)
		_ = in.server.Serve(listener) // always ends with ErrServerClosed
	}()
	return in, nil
}

// Close stops receiving.
func (in *Inbox) Close() error {
	err := in.server.Close()
	<-in.served
	return err
}

func (in *Inbox) post(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	m := Message{To: r.PathValue("to")}
	if err == nil && !signed(in.secret, r.Header.Get("Nightporter-Signature"), body) {
		err = fmt.Errorf("a message to %s has a wrong signature", m.To)
	}
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if err != nil {
		in.bad = append(in.bad, err.Error())
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	if !slices.ContainsFunc(in.list, func(o Message) bool { return o.Key == m.Key && o.To == m.To }) {
		in.list = append(in.list, m)
	}
}

// signed checks "t=TIME,v1=SIGNATURE": HMAC-SHA256 over the time, a full stop and
// the body.
func signed(secret, header string, body []byte) bool {
	stamp, signature, ok := strings.Cut(header, ",v1=")
	at, found := strings.CutPrefix(stamp, "t=")
	got, err := hex.DecodeString(signature)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(at + "."))
	mac.Write(body)
	return ok && found && err == nil && hmac.Equal(got, mac.Sum(nil))
}

// Messages are what arrived, each once.
func (in *Inbox) Messages() []Message {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.list)
}

// Refused says what arrived and was not from Nightporter.
func (in *Inbox) Refused() []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.bad)
}
