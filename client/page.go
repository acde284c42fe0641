package client

import (
	"context"
	"iter"
	"maps"
	"net/url"
	"strconv"
)

// pageSize is how many items are asked for at once: the most that the API gives.
const pageSize = 1000

// list is the body of every answer that is a list.
type list[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// pages reads a list page by page while it is ranged over. An error is the last
// pair. size is how many items a page has; 0 means as many as possible.
func pages[T any](ctx context.Context, c *Client, path string, query url.Values, size int) iter.Seq2[T, error] {
	if size <= 0 || size > pageSize {
		size = pageSize
	}
	return func(yield func(T, error) bool) {
		q := maps.Clone(query)
		if q == nil {
			q = url.Values{}
		}
		q.Set("limit", strconv.Itoa(size))
		for {
			var page list[T]
			if err := c.Get(ctx, path, q, &page); err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			// A cursor that does not move would have us ask for ever.
			if page.Next == "" || page.Next == q.Get("after") {
				return
			}
			q.Set("after", page.Next)
		}
	}
}

// Collect reads a list to its end. On an error it returns what came before it
// too. The slice is never nil, so that it encodes as a JSON list.
func Collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	out := []T{}
	for item, err := range seq {
		if err != nil {
			return out, err
		}
		out = append(out, item)
	}
	return out, nil
}

// First reads the first n items of a list, and no page more than that takes.
func First[T any](seq iter.Seq2[T, error], n int) ([]T, error) {
	out := []T{}
	if n <= 0 {
		return out, nil
	}
	for item, err := range seq {
		if err != nil {
			return out, err
		}
		if out = append(out, item); len(out) == n {
			break
		}
	}
	return out, nil
}

func all[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	return Collect(pages[T](ctx, c, path, nil, 0))
}

// set adds a query parameter unless it is empty.
func set(q url.Values, key, value string) {
	if value != "" {
		q.Set(key, value)
	}
}
