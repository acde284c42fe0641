package httpapi

import (
	"net/http"
	"net/netip"
	"strings"

	"nightporter.dev/nightporter"
)

// TokenOf returns the token that a request carries, or "": X-Vault-Token first,
// then Authorization: Bearer, as Vault has it. Tokens in URLs are not read: URLs
// end up in logs.
func TokenOf(r *http.Request) string {
	if t := r.Header.Get("X-Vault-Token"); t != "" {
		return t
	}
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}

// TokenOrPasswordOf is [TokenOf] for routes whose clients may know basic
// authentication only, such as Prometheus's remote_write: the password is the
// token and the user name is ignored.
func TokenOrPasswordOf(r *http.Request) string {
	if t := TokenOf(r); t != "" {
		return t
	}
	_, password, _ := r.BasicAuth()
	return password
}

// SourceOf returns the address that a request came from. Behind the proxies that
// trusted lists it is the last address of X-Forwarded-For that is not one of
// them: everything further left is the client's own word.
func SourceOf(r *http.Request, trusted []netip.Prefix) netip.Addr {
	addr := peer(r)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && isTrusted(addr, trusted); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = next.WithZone("").Unmap()
	}
	return addr
}

// peer is the other end of the connection.
func peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().WithZone("").Unmap()
}

func isTrusted(addr netip.Addr, trusted []netip.Prefix) bool {
	for _, p := range trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// onLoopback says whether a request was typed on this machine. Three things
// could pretend: a proxy beside us, which shows in its headers, and a page in
// the browser of this machine that has its own name resolve to us, which shows
// in the Host header.
func onLoopback(r *http.Request) bool {
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	return peer(r).IsLoopback() && loopbackName(r.Host)
}

func loopbackName(hostport string) bool {
	host := hostport
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}

func safeMethod(method string) bool {
	switch method { // RFC 9110 §9.2.1
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	return method == "LIST" // Vault's reading of a folder
}

// crossOrigin refuses what another site may have made a browser send along with
// its cookie. [http.CrossOriginProtection] lets requests pass that carry neither
// Sec-Fetch-Site nor Origin, because programs send neither; a cookie comes from
// a browser, so here one of the two must be present.
func crossOrigin(p *http.CrossOriginProtection, r *http.Request) error {
	if safeMethod(r.Method) {
		return nil
	}
	err := p.Check(r)
	if err == nil && (r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != "") {
		return nil
	}
	return nightporter.Wrap(err, nightporter.Denied, "this request did not come from a page of ours").
		WithHint("programs send a token: Authorization: Bearer")
}
