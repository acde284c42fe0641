package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"nightporter.dev/nightporter"
)

// A Place keeps checkpoints where whoever owns the store does not. It never takes one
// back.
type Place interface {
	// Name says where it is, for people.
	Name() string
	// Put keeps a checkpoint. The same one may come twice.
	Put(ctx context.Context, c Checkpoint) error
	// Kept returns checkpoints that it keeps, the newest last; none where it can
	// only be written to.
	Kept(ctx context.Context) ([]string, error)
}

// Notes splits a text into the notes that follow each other in it, as a file of
// anchors has them.
func Notes(text string) []string {
	var notes []string
	for part := range strings.SplitSeq(strings.TrimSpace(text), "\n"+Origin+"\n") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if len(notes) > 0 {
			part = Origin + "\n" + part
		}
		notes = append(notes, part+"\n")
	}
	return notes
}

// File is a place: a file that each checkpoint is added to.
type File struct{ path string }

// NewFile makes the place. The path comes from the configuration and from nowhere
// else: a file that a request could choose would be a way to write anything.
func NewFile(path string) *File { return &File{path} }

// Name implements [Place].
func (f *File) Name() string { return f.path }

// maxAnchors is how much of a file of anchors is read: its end.
const maxAnchors = 64 << 10

// Put implements [Place]: it adds to the end and has it written to the disk. A link
// and what is no ordinary file are refused.
func (f *File) Put(ctx context.Context, c Checkpoint) error {
	kept, err := f.Kept(ctx)
	if err != nil {
		return err
	}
	if len(kept) > 0 && kept[len(kept)-1] == c.Note {
		return nil
	}
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nightporter.Wrap(err, nightporter.Unavailable, "the file of checkpoints cannot be written")
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nightporter.E(nightporter.Invalid, "%s is no ordinary file", f.path)
	}
	if _, err := file.WriteString(c.Note); err != nil {
		return nightporter.Wrap(err, nightporter.Unavailable, "the file of checkpoints cannot be written")
	}
	return file.Sync()
}

// Kept implements [Place]. It reads the end of the file.
func (f *File) Kept(context.Context) ([]string, error) {
	file, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, nightporter.Wrap(err, nightporter.Unavailable, "the file of checkpoints cannot be read")
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, nightporter.E(nightporter.Invalid, "%s is no ordinary file", f.path)
	}
	from := max(0, info.Size()-maxAnchors)
	b, err := io.ReadAll(io.NewSectionReader(file, from, maxAnchors))
	if err != nil {
		return nil, fmt.Errorf("read the file of checkpoints: %w", err)
	}
	notes := Notes(string(b))
	if from > 0 && len(notes) > 0 {
		notes = notes[1:] // begins in the middle
	}
	return notes, nil
}

// Syslog is a place: a syslog server, RFC 5424 over TCP with RFC 6587's counted
// frames. It can only be written to; the checkpoint stands in one line, with \n
// for its ends of lines.
type Syslog struct {
	address string
	host    string
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
}

// NewSyslog makes the place. address is host:port; dial opens connections.
func NewSyslog(address string, dial func(ctx context.Context, network, address string) (net.Conn, error)) *Syslog {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "-"
	}
	return &Syslog{address, host, dial}
}

// Name implements [Place].
func (s *Syslog) Name() string { return "syslog " + s.address }

// Put implements [Place]. TCP says that it was sent, not that it is kept.
func (s *Syslog) Put(ctx context.Context, c Checkpoint) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := s.dial(ctx, "tcp", s.address)
	if err != nil {
		return nightporter.Wrap(err, nightporter.Unavailable, "the syslog server does not answer")
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // a connection without deadlines has its own bounds
	}
	// Facility 13 is the audit log's, severity 5 a notice: 13*8+5.
	message := fmt.Sprintf("<109>1 %s %s nightporter - checkpoint - %s", c.At.Format(time.RFC3339), s.host, strings.ReplaceAll(strings.TrimSuffix(c.Note, "\n"), "\n", `\n`))
	if _, err := fmt.Fprintf(conn, "%d %s", len(message), message); err != nil {
		return nightporter.Wrap(err, nightporter.Unavailable, "the syslog server did not take the checkpoint")
	}
	return nil
}

// Kept implements [Place]: nobody can ask a syslog server.
func (s *Syslog) Kept(context.Context) ([]string, error) { return nil, nil }
