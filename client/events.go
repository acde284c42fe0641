package client

import (
	"bufio"
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// Event is a hint that something changed: read it again.
type Event struct {
	ID   string // where a stream goes on after it
	Name string // "message" when the server gave none; "reset" after a gap
	Data string
}

// Events streams the events of the topics, such as "board" or "release/rel_1",
// until ctx ends or the caller stops ranging. A stream that breaks is opened
// again where it ended; only an error that trying again does not cure is the last
// pair.
func (c *Client) Events(ctx context.Context, topics ...string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		last := ""
		for ctx.Err() == nil {
			goOn, err := c.stream(ctx, topics, &last, yield)
			if !goOn || ctx.Err() != nil {
				return
			}
			var answer *ResponseError
			if err != nil && errors.As(err, &answer) && nightporter.CodeOf(err) != nightporter.Unavailable {
				yield(Event{}, err)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(c.cfg.Reconnect):
			}
		}
	}
}

// stream reads one connection. goOn is false when the caller has had enough.
func (c *Client) stream(ctx context.Context, topics []string, last *string, yield func(Event, error) bool) (goOn bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := c.send(ctx, request{
		method: http.MethodGet, path: "/events", query: url.Values{"topics": {strings.Join(topics, ",")}},
		accept: "text/event-stream", lastEvent: *last,
	})
	if err != nil {
		return true, err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	var e Event
	var data []string
	for lines.Scan() {
		// HTML standard, "9.2.6 Interpreting an event stream".
		line := lines.Text()
		if line == "" {
			if len(data) > 0 {
				e.ID, e.Data = *last, strings.Join(data, "\n")
				if e.Name == "" {
					e.Name = "message"
				}
				if !yield(e, nil) {
					return false, nil
				}
			}
			e, data = Event{}, nil
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			e.Name = value
		case "data":
			data = append(data, value)
		case "id":
			if !strings.Contains(value, "\x00") {
				*last = value
			}
		}
	}
	return true, lines.Err()
}
