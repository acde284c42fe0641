package sabotage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

// swallowTag puts a server in front of the forge that passes everything on but
// the making and moving of one reference: it answers those as GitHub would, and
// does nothing.
func swallowTag(ref string) func(forge string) (string, func(), error) {
	return func(forge string) (string, func(), error) {
		target, err := url.Parse(forge)
		if err != nil {
			return "", nil, err
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", nil, fmt.Errorf("stand before the forge: %w", err)
		}
		pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
		server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			if sha, code := swallows(r, body, ref); code != 0 {
				answerRef(w, r, code, ref, sha)
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			pass.ServeHTTP(w, r)
		})}
		served := make(chan struct{})
		go func() {
			defer close(served)
			_ = server.Serve(listener) // always ends with ErrServerClosed
		}()
		return "http://" + listener.Addr().String(), func() { _ = server.Close(); <-served }, nil
	}
}

// swallows says whether a request makes or moves the reference, to which commit,
// and the status of success.
func swallows(r *http.Request, body []byte, ref string) (sha string, code int) {
	var in struct{ Ref, SHA string }
	if json.Unmarshal(body, &in) != nil {
		return "", 0
	}
	switch {
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git/refs") && in.Ref == ref:
		return in.SHA, http.StatusCreated
	case r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/git/"+ref):
		return in.SHA, http.StatusOK
	}
	return "", 0
}

func answerRef(w http.ResponseWriter, r *http.Request, code int, ref, sha string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{ // the caller may have gone
		"ref": ref, "node_id": "REF_1", "url": "http://" + r.Host + r.URL.Path,
		"object": map[string]string{"sha": sha, "type": "commit", "url": "http://" + r.Host + r.URL.Path},
	})
}
