package scan

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"
)

// GitLog are the arguments with which git prints a history as [Child] reads it:
// every commit's changes, those of merges that no parent has too, with some lines
// around them, because a value is often understood by its neighbours. Attributes
// of a bare repository's files are not read, so that none of them can declare a
// file binary and hide it; --text does the same for those of the server.
var GitLog = []string{
	"log", "--patch", "--unified=3", "--cc", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--text", "--full-history",
	"--src-prefix=a/", "--dst-prefix=b/", "--no-show-signature", "--no-notes", "--encoding=UTF-8", "--format=tformat:%x00%H",
}

// hunk is a piece of a file as a commit left it.
type hunk struct {
	commit, path string
	text         strings.Builder
	lines        []int  // the number in the file of each line of text
	added        []bool // whether the commit brought it
}

// The bounds of a piece: what is longer is read in several.
const (
	maxLine = 64 << 10
	maxHunk = 256 << 10
	overlap = 512 // of the pieces of one long line, so that none is cut in a secret
)

// errPatch says that what was read is not what git prints.
var errPatch = errors.New("this is not what git prints")

// readPatch calls each for the changed pieces of what git printed. It counts the
// commits. A piece is only valid during the call.
func readPatch(r io.Reader, each func(*hunk) error) (commits int, err error) {
	p := patchReader{in: bufio.NewReaderSize(r, maxLine), each: each}
	for {
		line, whole, err := p.line()
		if err == io.EOF {
			return p.commits, p.flush()
		}
		if err == nil {
			err = p.take(line, whole)
		}
		if err != nil {
			return p.commits, err
		}
	}
}

type patchReader struct {
	in      *bufio.Reader
	each    func(*hunk) error
	commits int
	h       hunk
	parents int   // columns of signs in front of a line: 1, or more in a merge
	old     []int // lines of each parent that the hunk still has
	left    int   // lines of the new file that it still has
	number  int   // of the next line in the new file
	cut     bool  // the next piece goes on a line that was too long
}

// line reads a line without its end; whole is false when more of it follows.
func (p *patchReader) line() (line string, whole bool, err error) {
	b, err := p.in.ReadSlice('\n')
	switch {
	case err == bufio.ErrBufferFull:
		return string(b), false, nil
	case err == io.EOF && len(b) > 0:
		return string(b), true, nil
	case err != nil:
		return "", false, err
	}
	return string(b[:len(b)-1]), true, nil
}

func (p *patchReader) inHunk() bool {
	for _, n := range p.old {
		if n > 0 {
			return true
		}
	}
	return p.left > 0
}

func (p *patchReader) take(line string, whole bool) error {
	switch {
	case p.cut:
		return p.goOn(line, whole)
	case p.inHunk():
		return p.body(line, whole)
	case !whole: // a name that is too long for any file system
		return errPatch
	case strings.HasPrefix(line, "\x00"):
		if err := p.flush(); err != nil {
			return err
		}
		p.commits++
		p.h.commit, p.h.path = line[1:], ""
		return nil
	case strings.HasPrefix(line, "+++ "):
		if err := p.flush(); err != nil {
			return err
		}
		p.h.path = fileName(line[4:])
		return nil
	case strings.HasPrefix(line, "@@"):
		return p.head(line)
	}
	// Other lines of a file's head hold no text of it.
	return nil
}

// fileName reads a name behind +++: quoted like a C string when it has odd
// characters, and with a tab behind it when it has blanks.
func fileName(s string) string {
	s = strings.TrimSuffix(s, "\t")
	if strings.HasPrefix(s, `"`) {
		if plain, err := strconv.Unquote(s); err == nil {
			s = plain
		}
	}
	return strings.TrimPrefix(s, "b/")
}

// head reads "@@ -1,2 +1,3 @@", or with an @ more for every further parent.
func (p *patchReader) head(line string) error {
	if err := p.flush(); err != nil {
		return err
	}
	fields := strings.Fields(line)
	p.parents = len(fields[0]) - 1
	if p.parents < 1 || p.parents > 64 || len(fields) < p.parents+3 || strings.Trim(fields[0], "@") != "" {
		return errPatch
	}
	p.old = p.old[:0]
	for _, f := range fields[1 : 1+p.parents] {
		_, n, ok := span(f, '-')
		if !ok {
			return errPatch
		}
		p.old = append(p.old, n)
	}
	var ok bool
	if p.number, p.left, ok = span(fields[1+p.parents], '+'); !ok {
		return errPatch
	}
	return nil
}

// span reads "+12,3", where ",1" is left out.
func span(s string, sign byte) (from, n int, ok bool) {
	if s == "" || s[0] != sign {
		return 0, 0, false
	}
	a, b, two := strings.Cut(s[1:], ",")
	from, err := strconv.Atoi(a)
	n = 1
	if two && err == nil {
		n, err = strconv.Atoi(b)
	}
	return from, n, err == nil && from >= 0 && n >= 0
}

// body takes a line of a hunk.
func (p *patchReader) body(line string, whole bool) error {
	if strings.HasPrefix(line, `\`) { // "\ No newline at end of file"
		return nil
	}
	if len(line) < p.parents {
		if line != "" || p.parents != 1 {
			return errPatch
		}
		line = " "
	}
	signs, text := line[:p.parents], line[p.parents:]
	if strings.Trim(signs, "+- ") != "" {
		return errPatch
	}
	removed := strings.Contains(signs, "-")
	for i := range p.parents {
		// A parent has the line when its column is a blank, or says that the
		// line was there; in the columns of a removed line a blank means that
		// this parent never had it.
		if signs[i] == '-' || signs[i] == ' ' && !removed {
			p.old[i]--
		}
	}
	if removed {
		if !whole {
			return p.skip()
		}
		return nil
	}
	p.left--
	return p.add(text, strings.Contains(signs, "+"), whole)
}

// add adds a line, or the beginning of a long one, to the piece.
func (p *patchReader) add(text string, added, whole bool) error {
	h := &p.h
	if h.text.Len()+len(text) > maxHunk {
		if err := p.flush(); err != nil {
			return err
		}
	}
	h.text.WriteString(text)
	h.text.WriteByte('\n')
	h.lines, h.added = append(h.lines, p.number), append(h.added, added)
	p.cut = !whole
	if whole {
		p.number++
	}
	return nil
}

// goOn takes the next part of a line that was too long.
func (p *patchReader) goOn(part string, whole bool) error {
	text := p.h.text.String()
	tail := strings.TrimSuffix(text, "\n")
	tail = tail[max(0, len(tail)-overlap):]
	if n := strings.LastIndexByte(tail, '\n'); n >= 0 {
		tail = tail[n+1:]
	}
	added := p.h.added[len(p.h.added)-1]
	if err := p.flush(); err != nil {
		return err
	}
	return p.add(tail+part, added, whole)
}

// skip reads over the rest of a line that nobody wants.
func (p *patchReader) skip() error {
	for {
		_, whole, err := p.line()
		if err != nil || whole {
			return err
		}
	}
}

// flush hands over the piece that was gathered.
func (p *patchReader) flush() error {
	h := &p.h
	if len(h.lines) == 0 {
		return nil
	}
	var err error
	for _, added := range h.added {
		if added {
			err = p.each(h)
			break
		}
	}
	h.text.Reset()
	h.lines, h.added = h.lines[:0], h.added[:0]
	return err
}
