package egress

import (
	"io"
	"net/http"

	"nightporter.dev/nightporter"
)

// limitedTransport refuses what is not http(s) and bounds answers.
type limitedTransport struct {
	next  *http.Transport
	limit int64
}

func (t *limitedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "http" && req.URL.Scheme != "https" {
		if req.Body != nil {
			_ = req.Body.Close() // http.RoundTripper: also on errors
		}
		return nil, nightporter.E(nightporter.Invalid, "%q is not a scheme that we speak", req.URL.Scheme).WithHint("use http or https")
	}
	res, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	// A HEAD's Content-Length announces a body that does not come.
	if req.Method != http.MethodHead && res.ContentLength > t.limit {
		_ = res.Body.Close()
		return nil, tooLarge(t.limit)
	}
	// net/http has already unpacked gzip here, so a small body that grows is
	// measured at its real size.
	res.Body = &limitedBody{ReadCloser: res.Body, left: t.limit, limit: t.limit}
	return res, nil
}

// CloseIdleConnections lets http.Client.CloseIdleConnections work.
func (t *limitedTransport) CloseIdleConnections() { t.next.CloseIdleConnections() }

func tooLarge(limit int64) error {
	return nightporter.E(nightporter.Unavailable, "the other side answered more than %d bytes", limit)
}

// limitedBody is an io.LimitReader that says so when it cut something off: half
// a list must not look like a whole one.
type limitedBody struct {
	io.ReadCloser
	left, limit int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, tooLarge(b.limit)
	}
	// One byte more than allowed tells "exactly the limit" from "too much".
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n - 1, tooLarge(b.limit)
	}
	return n, err
}
