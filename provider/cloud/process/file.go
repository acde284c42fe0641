package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// writeJSON replaces a file whole: a reader, and whoever comes after a crash, sees
// the old content or the new. It need not outlive a power cut, because the
// processes that it speaks of do not either.
func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // does nothing once it is renamed
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// readForeign reads the start of a small file in a folder that belongs to a
// component, without following or waiting for what may stand there. A file that
// is not there is empty.
func readForeign(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if notExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	return io.ReadAll(io.LimitReader(f, limit))
}

// tail returns the last lines of a file. One that cannot be read is one line that
// says so: it is never the reason why an observation fails.
func tail(path string, n int) []string {
	f, err := os.Open(path)
	if err != nil {
		if notExist(err) {
			return nil
		}
		return []string{"nightporter: the output cannot be read"}
	}
	defer func() { _ = f.Close() }() // only read from
	const most = 64 << 10
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-most), io.SeekStart)
	}
	b, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return []string{"nightporter: the output cannot be read"}
	}
	text := strings.ToValidUTF8(strings.TrimSuffix(string(b), "\n"), "\uFFFD")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-n):]
}

// folder makes a folder that belongs to the user of the components.
func (p *Provider) folder(path string, mode os.FileMode) error {
	if err := os.MkdirAll(path, mode); err != nil {
		return err
	}
	return p.give(path)
}
