package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"nightporter.dev/nightporter"
)

// MaxDepth is how deep a JSON body may nest.
const MaxDepth = 32

// maxValues is how many values a JSON body may hold: small bodies can name very
// many of them, and each costs far more memory decoded than written.
const maxValues = 100_000

// WriteJSON answers with v. The error, which a handler returns, is one of
// encoding: nothing was written then.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	send(w, "application/json", status, b)
	return nil
}

func writeJSON(w http.ResponseWriter, contentType string, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // v is one of ours: strings and numbers
		b, status = []byte(`{}`), http.StatusInternalServerError
	}
	send(w, contentType, status, b)
}

func send(w http.ResponseWriter, contentType string, status int, b []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a client that went away is no fault of ours
}

// ReadJSON decodes the body of r into the struct that into points to. It is
// strict, because a misspelt field that is ignored is a wish that is ignored:
// unknown and repeated fields, a second value after the first, nesting deeper
// than [MaxDepth] and other content types are refused. Its errors have the code
// invalid and name the field as a path, such as "approval.from[1]".
func ReadJSON(r *http.Request, into any) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nightporter.E(nightporter.Invalid, "the body is empty").WithHint("send a JSON object")
	}
	return decode(body, into)
}

// ReadOptionalJSON is [ReadJSON] for a body that may be missing: into then stays
// as it is.
func ReadOptionalJSON(r *http.Request, into any) error {
	body, err := readBody(r)
	if err != nil || len(bytes.TrimSpace(body)) == 0 {
		return err
	}
	return decode(body, into)
}

func readBody(r *http.Request) ([]byte, error) {
	if ct := r.Header.Get("Content-Type"); ct != "" {
		// A form that a foreign page sends cannot claim to be JSON.
		if media, _, err := mime.ParseMediaType(ct); err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
			return nil, nightporter.E(nightporter.Invalid, "the body is not JSON").WithHint("send Content-Type: application/json")
		}
	}
	if r.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, bodyError(err)
	}
	return body, nil
}

// bodyError gives a code to a failure of reading a body: the client's doing.
func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return classify(err)
	}
	return nightporter.Wrap(err, nightporter.Invalid, "the body did not arrive whole")
}

func decode(body []byte, into any) error {
	if err := CheckJSON(body, MaxDepth); err != nil {
		return err
	}
	fields, err := scanFields(body)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err = d.Decode(into)
	var mistyped *json.UnmarshalTypeError
	var invalid *nightporter.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid): // a text of ours, such as a version
		return err
	case errors.As(err, &mistyped):
		return nightporter.Wrap(err, nightporter.Invalid, "%s must be %s, got %s", orBody(mistyped.Field), jsonName(mistyped.Type.Kind().String()), mistyped.Value)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		if unquoted, uerr := strconv.Unquote(name); uerr == nil {
			return nightporter.Wrap(err, nightporter.Invalid, "%s is not a field here", fields.path(unquoted))
		}
	}
	return nightporter.Wrap(err, nightporter.Invalid, "the body cannot be read as what is expected here")
}

func orBody(field string) string {
	if field == "" {
		return "the body"
	}
	return field
}

// jsonName says in JSON's words what a Go type is written as.
func jsonName(kind string) string {
	switch {
	case kind == "bool":
		return "true or false"
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		return "a whole number"
	case strings.HasPrefix(kind, "float"):
		return "a number"
	case kind == "slice", kind == "array":
		return "a list"
	case kind == "struct", kind == "map":
		return "an object"
	}
	return "a string"
}

// CheckJSON refuses bodies that are cheap to send and dear to decode: nested
// deeper than depth, or of more than a hundred thousand values. It only counts,
// without memory of its own, and leaves it to the decoder whether the JSON is
// right.
func CheckJSON(body []byte, depth int) error {
	level, values, inString := 0, 0, false
	for i := 0; i < len(body); i++ {
		c := body[i]
		if inString {
			switch c {
			case '\\':
				i++
			case '"':
				inString = false
			}
			continue
		}
		switch c {
		case '"':
			inString = true
		case '{', '[':
			level++
			values++
		case '}', ']':
			level--
		case ',':
			values++
		}
		if level > depth {
			return nightporter.E(nightporter.Invalid, "the body nests deeper than %d levels", depth)
		}
		if values > maxValues {
			return nightporter.E(nightporter.Invalid, "the body holds more than %d values", maxValues)
		}
	}
	return nil
}
