package seal

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
)

func TestKeyFileIsWrittenOnceForItsOwner(t *testing.T) {
	t.Parallel()
	c := KeyFileConfig{Path: filepath.Join(t.TempDir(), "unseal.key"), StoreFolder: t.TempDir()}
	key, err := CreateKeyFile(c)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(c.Path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	got, err := ReadKeyFile(c)
	if err != nil || !bytes.Equal(got, key) || len(key) != keySize {
		t.Errorf("read another key back, %v", err)
	}
	text, _ := os.ReadFile(c.Path)
	if _, err := CreateKeyFile(c); nightporter.CodeOf(err) != nightporter.Conflict {
		t.Errorf("the second time: %v, want conflict", err)
	}
	if after, _ := os.ReadFile(c.Path); !bytes.Equal(text, after) {
		t.Error("the key was overwritten")
	}
}

func TestReadKeyFileRefusesWhatOthersMayRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := KeyFileConfig{Path: filepath.Join(dir, "k")}
	if _, err := CreateKeyFile(c); err != nil {
		t.Fatal(err)
	}
	for mode, fine := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o660: false, 0o666: false, 0o610: false} {
		if err := os.Chmod(c.Path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := ReadKeyFile(c)
		if fine != (err == nil) || !fine && nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
	// systemd shows its credentials as readable by the group, in a folder that
	// nobody else enters.
	c.Credentials = dir
	for mode, fine := range map[os.FileMode]bool{0o440: true, 0o444: false, 0o460: false} {
		if err := os.Chmod(c.Path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKeyFile(c); fine != (err == nil) {
			t.Errorf("credential with mode %04o: %v", mode, err)
		}
	}
}

func TestKeyFileMayNotLieWithTheStore(t *testing.T) {
	t.Parallel()
	store, elsewhere := t.TempDir(), t.TempDir()
	link := filepath.Join(elsewhere, "link")
	if err := os.Symlink(store, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		filepath.Join(store, "k"), filepath.Join(store, "a", "..", "k"), filepath.Join(link, "k"), filepath.Join(store, "deep", "k"),
	} {
		c := KeyFileConfig{Path: path, StoreFolder: store}
		if _, err := CreateKeyFile(c); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("creating %s: %v, want invalid", path, err)
		}
	}
	real := filepath.Join(store, "k")
	if _, err := CreateKeyFile(KeyFileConfig{Path: real}); err != nil {
		t.Fatal(err)
	}
	fileLink := filepath.Join(elsewhere, "k")
	if err := os.Symlink(real, fileLink); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{real, fileLink, filepath.Join(link, "k")} {
		if _, err := ReadKeyFile(KeyFileConfig{Path: path, StoreFolder: store}); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("reading %s: %v, want invalid", path, err)
		}
	}
	// A folder whose name only starts the same is another folder.
	if _, err := CreateKeyFile(KeyFileConfig{Path: store + "-keys", StoreFolder: store}); err != nil {
		t.Error(err)
	}
	t.Cleanup(func() { os.Remove(store + "-keys") })
}

func TestReadKeyFileRefusesWhatIsNoKeyAndNeverQuotesIt(t *testing.T) {
	t.Parallel()
	good := base64.StdEncoding.EncodeToString(newKey())
	for name, text := range map[string]string{
		"nothing": "", "31 bytes": base64.StdEncoding.EncodeToString(make([]byte, 31)), "hex": strings.Repeat("ab", 32),
		"two keys": good + "\n" + good, "a broken one": good[:40] + "!!!!", "a large file": strings.Repeat(good, 1000),
	} {
		path := filepath.Join(t.TempDir(), "k")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadKeyFile(KeyFileConfig{Path: path})
		if nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("%s: %v, want invalid", name, err)
		}
		if text != "" && strings.Contains(err.Error(), text[:6]) {
			t.Errorf("%s: the error quotes the file", name)
		}
	}
	path := filepath.Join(t.TempDir(), "k")
	if err := os.WriteFile(path, []byte(" \t"+good+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadKeyFile(KeyFileConfig{Path: path}); err != nil {
		t.Errorf("space around the key: %v", err)
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "gone"), t.TempDir()} {
		if _, err := ReadKeyFile(KeyFileConfig{Path: path}); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("%s: %v, want invalid", path, err)
		}
	}
}
