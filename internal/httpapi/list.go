package httpapi

import (
	"net/http"
	"net/url"
	"strconv"

	"nightporter.dev/nightporter"
)

// The sizes of a page.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// Page is what a client asks of a list: the Limit items that come after After.
type Page struct {
	// After is the cursor that the page before gave as next; "" is the start.
	// Clients treat it as opaque, so check it as any other input.
	After string
	// Limit is between 1 and MaxLimit.
	Limit int
}

// List is the body of every answer that is a list. Next is the cursor of the page
// that follows, and absent at the end.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// ReadPage reads ?after= and ?limit=. Its errors have the code invalid.
func ReadPage(r *http.Request) (Page, error) {
	// Not r.URL.Query, which drops what it cannot read.
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return Page{}, nightporter.Wrap(err, nightporter.Invalid, "the query cannot be read")
	}
	p := Page{After: q.Get("after"), Limit: DefaultLimit}
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > MaxLimit {
			return Page{}, nightporter.E(nightporter.Invalid, "limit must be a number from 1 to %d", MaxLimit)
		}
		p.Limit = n
	}
	return p, nil
}

// WriteList answers with one page. Read one item more than the page's limit, and
// hand them all over with the function that makes an item's cursor: WriteList
// cuts the list and fills in next.
func WriteList[T any](w http.ResponseWriter, p Page, items []T, cursor func(T) string) error {
	l := List[T]{Items: items}
	if len(items) > p.Limit {
		l.Items = items[:p.Limit]
		l.Next = cursor(l.Items[p.Limit-1])
	}
	if l.Items == nil {
		l.Items = []T{} // a list is never null
	}
	return WriteJSON(w, http.StatusOK, l)
}
