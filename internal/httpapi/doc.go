// Package httpapi is the front door: it turns HTTP requests into calls that the
// rest of the house can trust, and their results into answers.
//
// A request passes these steps, in this order, and none of them knows what the
// product does:
//
//	request id → recover → access log and metrics → security headers
//	→ canonical path → route → sealed? → who is it → what is it, may they
//	→ cross-origin → body limits → idempotency → the handler
//
// [New] builds that chain from a list of [Route] values and refuses to when a
// route says neither what it does nor that it is public. Policies, identities
// and the database are not imported: the application hands functions in.
//
// The path is decoded once, by [Canonical], before anything else looks at it;
// authorisation and routing read the same string. Handlers decode a request,
// call one method and encode its result:
//
//	func approve(w http.ResponseWriter, r *http.Request) error {
//		var in struct{ Comment string `json:"comment"` }
//		if err := httpapi.ReadOptionalJSON(r, &in); err != nil {
//			return err
//		}
//		release, err := releases.Approve(r.Context(), r.PathValue("id"), in.Comment)
//		if err != nil {
//			return err
//		}
//		return httpapi.WriteJSON(w, http.StatusOK, release)
//	}
//
// An error that a handler returns becomes application/problem+json (RFC 9457)
// with the code, message and hint of the [nightporter.Error] in its chain. Its
// cause goes to the log only.
package httpapi
