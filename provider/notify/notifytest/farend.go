package notifytest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"nightporter.dev/nightporter"
)

// FarEnd is a real HTTP server that takes posts, for senders that speak HTTP.
type FarEnd struct {
	*httptest.Server
	mu      sync.Mutex
	posts   []Post
	answers []int
}

// Post is one request that the far end took.
type Post struct {
	Header http.Header
	Body   []byte
}

// NewFarEnd starts a server that ends with the test.
func NewFarEnd(t *testing.T) *FarEnd {
	f := &FarEnd{}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

// ServeHTTP takes a post, or answers as it was told.
func (f *FarEnd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil || r.Method != http.MethodPost {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if len(f.answers) > 0 {
		w.Header().Set("Location", "http://169.254.169.254/") // read only with a 3xx
		w.WriteHeader(f.answers[0])
		f.answers = f.answers[1:]
		return
	}
	f.posts = append(f.posts, Post{r.Header.Clone(), body})
}

// Answer makes the next request answer with a status and take nothing.
func (f *FarEnd) Answer(status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers = append(f.answers, status)
}

// Break is [World.Break] for senders that speak HTTP.
func (f *FarEnd) Break(code nightporter.Code) {
	f.Answer(map[nightporter.Code]int{
		nightporter.Unavailable: http.StatusServiceUnavailable, nightporter.Limited: http.StatusTooManyRequests, nightporter.Invalid: http.StatusNotFound,
	}[code])
}

// Posts returns what was taken.
func (f *FarEnd) Posts() []Post {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Post(nil), f.posts...)
}

// Received is [World.Received] for senders that speak HTTP.
func (f *FarEnd) Received() []string {
	var all []string
	for _, p := range f.Posts() {
		all = append(all, string(p.Body))
	}
	return all
}
