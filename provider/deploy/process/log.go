package process

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// tailBytes is how much of the end of a log is read for its last lines.
const tailBytes = 128 << 10

// tail returns the last n lines of an instance's log. A log that cannot be read
// is one line that says so: it is never the reason why an observation fails.
func (d *Deployer) tail(id string, n int) []string {
	lines, err := lastLines(filepath.Join(d.instanceDir(id), "log"), n)
	if err != nil {
		return []string{fmt.Sprintf("nightporter: the log cannot be read: %v", err)}
	}
	return lines
}

// trim empties a log that has grown too long. The service goes on writing to the
// same file: it was opened to append, so it starts again at the beginning. A line
// written between the copy and the cut is lost.
func (d *Deployer) trim(id string) error {
	path := filepath.Join(d.instanceDir(id), "log")
	info, err := os.Stat(path)
	if notExist(err) || err == nil && info.Size() <= d.cfg.MaxLog {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at a log: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("trimming a log: %w", err)
	}
	defer func() { _ = f.Close() }() // only read from
	b, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-tailBytes), tailBytes))
	if err != nil {
		return fmt.Errorf("trimming a log: %w", err)
	}
	if err := writeFile(path+".old", b); err != nil {
		return fmt.Errorf("trimming a log: %w", err)
	}
	return os.Truncate(path, 0)
}

// lastLines reads the last n lines of a file; one that is not there has none. A
// line may be longer than what is read: then it is cut at its start.
func lastLines(path string, n int) ([]string, error) {
	f, err := os.Open(path)
	if notExist(err) || err == nil && n <= 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	from := max(0, size-tailBytes)
	b, err := io.ReadAll(io.NewSectionReader(f, from, size-from))
	if err != nil {
		return nil, err
	}
	text := strings.ToValidUTF8(strings.TrimSuffix(string(b), "\n"), "\uFFFD")
	if text == "" {
		return nil, nil
	}
	lines := strings.Split(text, "\n")
	if from > 0 && len(lines) > 1 {
		lines = lines[1:] // most likely half a line
	}
	return lines[max(0, len(lines)-n):], nil
}
