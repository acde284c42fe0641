package prom

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"nightporter.dev/nightporter/metrics"
)

const (
	maxMetadata      = 20_000 // metrics of one workspace that are described
	maxMetadataText  = 1_000  // bytes of one description
	metadataFileName = "metadata.json"
)

// metadata is what senders say of their metrics. Prometheus itself forgets it for
// series that are pushed. It is kept beside the samples, and senders repeat it.
type metadata struct {
	mu    sync.RWMutex
	known map[string]metrics.Metadata
	dirty bool
}

func (m *metadata) set(name string, d metrics.Metadata) {
	if name == "" || len(name) > maxMetadataText || d == (metrics.Metadata{}) {
		return
	}
	d.Help, d.Unit, d.Type = cut(d.Help), cut(d.Unit), cut(d.Type)
	m.mu.RLock()
	old, ok := m.known[name]
	m.mu.RUnlock()
	if ok && old == d {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.known[name]; !ok && len(m.known) >= maxMetadata {
		return
	}
	if m.known == nil {
		m.known = map[string]metrics.Metadata{}
	}
	m.known[name], m.dirty = d, true
}

func cut(s string) string { return s[:min(len(s), maxMetadataText)] }

// get has one metric's metadata, or that of all.
func (m *metadata) get(metric string) map[string]metrics.Metadata {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := map[string]metrics.Metadata{}
	for name, d := range m.known {
		if metric == "" || metric == name {
			out[name] = d
		}
	}
	return out
}

func (m *metadata) load(dir string) error {
	f, err := os.Open(filepath.Join(dir, metadataFileName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	known := map[string]metrics.Metadata{}
	if err := json.NewDecoder(io.LimitReader(f, 64<<20)).Decode(&known); err != nil {
		return fmt.Errorf("read %s: %w", metadataFileName, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, d := range m.known { // what came while it was closed is newer
		known[name] = d
	}
	m.known = known
	return nil
}

// save writes it down when it has changed.
func (m *metadata) save(dir string, log *slog.Logger) {
	m.mu.Lock()
	if !m.dirty {
		m.mu.Unlock()
		return
	}
	text, err := json.Marshal(m.known)
	m.dirty = false
	m.mu.Unlock()
	if err == nil {
		part := filepath.Join(dir, metadataFileName+".part")
		if err = os.WriteFile(part, text, 0o600); err == nil {
			err = os.Rename(part, filepath.Join(dir, metadataFileName))
		}
	}
	if err != nil {
		log.Warn("keep what is known of metrics", "error", err)
	}
}
