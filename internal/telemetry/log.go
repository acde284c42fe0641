package telemetry

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
	"nightporter.dev/nightporter"
)

// LogFormat is how a log line looks.
type LogFormat string

// The formats. The zero value is [LogAuto].
const (
	LogAuto LogFormat = ""     // text on a terminal, JSON elsewhere
	LogText LogFormat = "text" // one short line for people
	LogJSON LogFormat = "json" // one object a line
)

// LogConfig says where log lines go.
type LogConfig struct {
	// Writer takes the lines. Default os.Stderr: stdout is for results.
	Writer io.Writer
	// Format is text or json. Default: text when Writer is a terminal.
	Format LogFormat
	// Level is the least severe that is written: debug, info, warn or error.
	// Default info.
	Level string
}

// NewLogger returns a logger that adds the request id of a line's context. It
// fails when Format or Level is unknown.
func NewLogger(cfg LogConfig) (*slog.Logger, error) {
	level, err := parseLevel(cfg.Level)
	if err != nil {
		return nil, err
	}
	w := cfg.Writer
	if w == nil {
		w = os.Stderr
	}
	format := cfg.Format
	if format == LogAuto {
		format = LogJSON
		if f, ok := w.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
			format = LogText
		}
	}
	switch format {
	case LogText:
		return slog.New(withRequestID{newTextHandler(w, level)}), nil
	case LogJSON:
		return slog.New(withRequestID{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})}), nil
	}
	return nil, nightporter.E(nightporter.Invalid, "%q is not a log format", cfg.Format).WithHint("write text or json")
}

func parseLevel(s string) (slog.Level, error) {
	switch strings.ToLower(s) {
	case "", "info":
		return slog.LevelInfo, nil
	case "debug":
		return slog.LevelDebug, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, nightporter.E(nightporter.Invalid, "%q is not a log level", s).WithHint("write debug, info, warn or error")
}

// withRequestID adds request_id to every record whose context carries one. It
// adds it to the record, so inside a group it reads "group.request_id"; nothing
// of ours logs requests inside a group.
type withRequestID struct{ slog.Handler }

func (h withRequestID) Handle(ctx context.Context, r slog.Record) error {
	if id := nightporter.RequestIDFrom(ctx); id != "" {
		r = r.Clone() // the caller's record may share its attributes
		r.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, r)
}

func (h withRequestID) WithAttrs(attrs []slog.Attr) slog.Handler {
	return withRequestID{h.Handler.WithAttrs(attrs)}
}

func (h withRequestID) WithGroup(name string) slog.Handler {
	return withRequestID{h.Handler.WithGroup(name)}
}
