package database

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"text/template"
)

// functions are those of Vault's username templates, with its argument order. Two
// differ in characters that no login of ours has: base64 is the URL's, and what a
// timestamp puts between its numbers becomes a hyphen.
func (n *Namer) functions() template.FuncMap {
	return template.FuncMap{
		"random":           n.randomText,
		"truncate":         truncate,
		"truncate_sha256":  truncateSHA256,
		"lowercase":        strings.ToLower,
		"uppercase":        strings.ToUpper,
		"replace":          func(find, with, text string) string { return strings.ReplaceAll(text, find, with) },
		"sha256":           sha256Hex,
		"base64":           func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) },
		"unix_time":        func() string { return strconv.FormatInt(n.now().Unix(), 10) },
		"unix_time_millis": func() string { return strconv.FormatInt(n.now().UnixMilli(), 10) },
		"timestamp":        func(layout string) string { return clean(n.now().UTC().Format(layout)) },
		"uuid":             n.uuid,
		"printf":           boundedPrintf,
	}
}

// randomText is lower case, so that a statement that forgot the quotes around
// {{name}} does not make a login of another name.
func (n *Namer) randomText(length int) (string, error) {
	if length < 1 || length > maxRandom {
		return "", fmt.Errorf("random takes 1 to %d characters", maxRandom)
	}
	if len(n.key) == 0 || length < minMarked {
		return pick(n.random, nameChars, length)
	}
	rest, err := pick(n.random, nameChars, length-markLength)
	return rest + n.mark(rest), err
}

func (n *Namer) uuid() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(n.random, b[:]); err != nil {
		return "", err
	}
	b[6] = b[6]&0x0f | 0x40 // RFC 9562 §5.4: version 4
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

func truncate(length int, text string) (string, error) {
	if length < 1 {
		return "", errors.New("truncate takes at least 1 character")
	}
	return text[:min(length, len(text))], nil
}

// truncateSHA256 keeps what fits and ends in eight digits of the whole text's
// hash.
func truncateSHA256(length int, text string) (string, error) {
	if length < 9 {
		return "", errors.New("truncate_sha256 takes at least 9 characters")
	}
	if len(text) <= length {
		return text, nil
	}
	return text[:length-8] + sha256Hex(text)[:8], nil
}

func sha256Hex(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

var hugeWidth = regexp.MustCompile(`\d{4,}|\*`)

// boundedPrintf is printf without the widths that fill the memory.
func boundedPrintf(format string, args ...any) (string, error) {
	if hugeWidth.MatchString(format) {
		return "", errors.New("printf takes widths up to 999")
	}
	return fmt.Sprintf(format, args...), nil
}
