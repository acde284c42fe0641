package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"nightporter.dev/nightporter"
)

// KeyFileConfig says where a key file is and where it must not be.
type KeyFileConfig struct {
	// Path of the file: 32 random bytes in base64. Required.
	Path string
	// StoreFolder is where the store keeps its files. A key beside what it
	// opens protects nothing, so a key file in it is refused. Empty for a store
	// on another machine.
	StoreFolder string
	// Credentials is systemd's $CREDENTIALS_DIRECTORY, empty if there is none.
	// It is closed to others itself and may show its files as readable by their
	// group, which is refused elsewhere.
	Credentials string
}

// CreateKeyFile writes a new random key, readable by the owner only, and returns
// it. It never overwrites: an existing file is a [nightporter.Conflict]. The
// caller clears the key.
func CreateKeyFile(c KeyFileConfig) ([]byte, error) {
	if err := c.outsideStore(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(c.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, nightporter.E(nightporter.Conflict, "the key file %s exists already", c.Path).
			WithHint("a store that it belongs to would be lost with it; choose another path")
	}
	if err != nil {
		return nil, fmt.Errorf("creating the key file: %w", err)
	}
	key := newKey()
	text := append(base64.StdEncoding.AppendEncode(nil, key), '\n')
	defer clear(text)
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = syncFolder(filepath.Dir(c.Path))
	}
	if err != nil {
		clear(key)
		_ = os.Remove(c.Path) // half a key is worse than none; the error below says enough
		return nil, fmt.Errorf("writing the key file: %w", err)
	}
	return key, nil
}

// syncFolder makes a new name in a folder survive a power cut.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// ReadKeyFile reads a key. It refuses, as [nightporter.Invalid], a file that
// others may read, one in the store's folder, and one that does not hold a key.
// The caller clears the key.
func ReadKeyFile(c KeyFileConfig) ([]byte, error) {
	f, err := os.Open(c.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nightporter.Wrap(err, nightporter.Invalid, "there is no key file %s", c.Path).
			WithHint("restore it from where you keep it; without it the store cannot be opened")
	}
	if err != nil {
		return nil, nightporter.Wrap(err, nightporter.Invalid, "the key file %s cannot be opened", c.Path)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("looking at the key file: %w", err)
	}
	allowed := fs.FileMode(0o700)
	if c.inCredentials() {
		allowed = 0o740
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return nil, nightporter.E(nightporter.Invalid, "the key file %s is not a regular file", c.Path)
	case mode.Perm()&^allowed != 0:
		return nil, nightporter.E(nightporter.Invalid, "the key file %s is open to others (mode %04o)", c.Path, mode.Perm()).
			WithHint("chmod 600 %s", c.Path)
	}
	if err := c.outsideStore(); err != nil {
		return nil, err
	}
	return parseKey(f, c.Path)
}

func parseKey(r io.Reader, path string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, 1024))
	defer clear(text)
	if err != nil {
		return nil, fmt.Errorf("reading the key file: %w", err)
	}
	key := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(key, bytes.TrimSpace(text))
	if err != nil || n != keySize {
		// The cause would quote a part of the key.
		clear(key)
		return nil, nightporter.E(nightporter.Invalid, "the key file %s does not hold a key: 32 bytes in base64", path).
			WithHint("nightporter init writes one; so does: openssl rand -base64 32")
	}
	return key[:n:n], nil
}

// outsideStore follows links in the folders, so that no detour leads into the
// store's folder.
func (c KeyFileConfig) outsideStore() error {
	if c.StoreFolder == "" {
		return nil
	}
	inside, err := within(c.Path, c.StoreFolder)
	if err != nil {
		return fmt.Errorf("locating the key file: %w", err)
	}
	if inside {
		return nightporter.E(nightporter.Invalid, "the key file %s is in the store's folder: whoever copies the store would have its key", c.Path).
			WithHint("keep it elsewhere, for example in /etc/nightporter")
	}
	return nil
}

func (c KeyFileConfig) inCredentials() bool {
	if c.Credentials == "" {
		return false
	}
	inside, err := within(c.Path, c.Credentials)
	return err == nil && inside
}

// within reports whether a file is somewhere below a folder. The file itself may
// not exist yet; a link is judged by where it leads.
func within(file, folder string) (bool, error) {
	folder, err := resolve(folder)
	if err != nil {
		return false, err
	}
	if file, err = resolve(file); err != nil {
		return false, err
	}
	rel, err := filepath.Rel(folder, file)
	if err != nil {
		return false, nil // on another volume
	}
	return rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)), nil
}

// resolve follows the links of the part of a path that exists.
func resolve(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(abs)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(abs) != abs {
		parent, err := resolve(filepath.Dir(abs))
		return filepath.Join(parent, filepath.Base(abs)), err
	}
	return real, err
}
