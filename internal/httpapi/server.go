package httpapi

import (
	"log/slog"
	"net/http"
	"time"
)

// ServerConfig says how patient a server is. net/http's own defaults are
// endless.
type ServerConfig struct {
	// Handler answers. Required.
	Handler http.Handler
	// Log takes what net/http complains about, at debug level: most of it is
	// the doing of strangers. Required.
	Log *slog.Logger
	// ReadHeaderTimeout bounds the arrival of a request's header. Default 10 s.
	ReadHeaderTimeout time.Duration
	// ReadTimeout bounds the arrival of a whole request. Default 30 s.
	ReadTimeout time.Duration
	// WriteTimeout bounds an answer, from the end of the request's header. A
	// stream sets its own deadlines with http.ResponseController. Default 60 s.
	WriteTimeout time.Duration
	// IdleTimeout bounds the wait for another request. Default 2 min.
	IdleTimeout time.Duration
	// MaxHeaderBytes bounds a request's header. Default 32 KiB.
	MaxHeaderBytes int
}

// NewServer returns a server with every limit set. The caller listens, serves
// and shuts down.
func NewServer(cfg ServerConfig) *http.Server {
	headerBytes := cfg.MaxHeaderBytes
	if headerBytes <= 0 {
		headerBytes = 32 << 10
	}
	return &http.Server{
		Handler:           cfg.Handler,
		ReadHeaderTimeout: orDefault(cfg.ReadHeaderTimeout, 10*time.Second),
		ReadTimeout:       orDefault(cfg.ReadTimeout, 30*time.Second),
		WriteTimeout:      orDefault(cfg.WriteTimeout, time.Minute),
		IdleTimeout:       orDefault(cfg.IdleTimeout, 2*time.Minute),
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
