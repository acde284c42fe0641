package vault

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// envelope is Vault's answer. Its members are always there.
type envelope struct {
	RequestID     string         `json:"request_id"`
	LeaseID       string         `json:"lease_id"`
	Renewable     bool           `json:"renewable"`
	LeaseDuration int64          `json:"lease_duration"`
	Data          map[string]any `json:"data"`
	WrapInfo      *wrapInfo      `json:"wrap_info"`
	Warnings      []string       `json:"warnings"`
	Auth          *Auth          `json:"auth"`
}

type wrapInfo struct {
	Token           string `json:"token"`
	Accessor        string `json:"accessor"`
	TTL             int64  `json:"ttl"`
	CreationTime    string `json:"creation_time"`
	CreationPath    string `json:"creation_path"`
	WrappedAccessor string `json:"wrapped_accessor,omitempty"`
}

func (resp *Response) envelope(requestID string) envelope {
	return envelope{
		RequestID: requestID, LeaseID: resp.Lease.ID, Renewable: resp.Lease.Renewable, LeaseDuration: seconds(resp.Lease.Duration),
		Data: resp.Data, WrapInfo: resp.wrap, Warnings: resp.Warnings, Auth: resp.Auth,
	}
}

// encode makes the body of an answer.
func (resp *Response) encode(requestID string) (body []byte, contentType string, err error) {
	var v any
	switch {
	case resp.Body != nil:
		return resp.Body, resp.ContentType, nil
	case resp.Empty:
		return nil, "application/json", nil
	case resp.opened != nil:
		v = resp.opened
	case resp.Bare:
		v = resp.Data
	case resp.TopLevel:
		all := map[string]any{
			"request_id": requestID, "lease_id": "", "renewable": false, "lease_duration": 0,
			"data": resp.Data, "wrap_info": nil, "warnings": resp.Warnings, "auth": nil,
		}
		for k, value := range resp.Data {
			// A mount or path that is called like a member must not hide it.
			if _, taken := all[k]; !taken {
				all[k] = value
			}
		}
		v = all
	default:
		v = resp.envelope(requestID)
	}
	if body, err = json.Marshal(v); err != nil {
		return nil, "", fmt.Errorf("encoding the answer: %w", err)
	}
	return append(body, '\n'), "application/json", nil
}

// write answers.
func (resp *Response) write(w http.ResponseWriter, r *http.Request, requestID string) error {
	status := resp.Status
	if status == 0 {
		status = http.StatusOK
	}
	body, contentType, err := resp.encode(requestID)
	if err != nil {
		return err
	}
	send(w, r, status, contentType, body)
	return nil
}

// seconds is how Vault writes a duration.
func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// stamp is how Vault writes a time, and "" for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// shortDuration is how Vault writes a duration in warnings: "768h", "1h30m".
func shortDuration(d time.Duration) string {
	s := d.Round(time.Second).String()
	if len(s) > 2 && s[len(s)-2:] == "0s" && s[len(s)-3] == 'm' {
		s = s[:len(s)-2]
	}
	if len(s) > 2 && s[len(s)-2:] == "0m" && s[len(s)-3] == 'h' {
		s = s[:len(s)-2]
	}
	return s
}

// capped is the warning of a TTL that a maximum has cut.
func capped(asked, limit time.Duration) string {
	return fmt.Sprintf("TTL of %q exceeded the effective max_ttl of %q; TTL value is capped accordingly", shortDuration(asked), shortDuration(limit))
}
