package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"nightporter.dev/nightporter"
)

// SecretRef says where a secret is. It is not the secret, so it can be logged.
//
// In the file it is one of
//
//	token_file: /etc/nightporter/github-token        the file's content, without the last line break
//	token: env:GITHUB_TOKEN                          a variable of the porter's environment
//	token: secret:secret/nightporter/github#token    a key of the porter's own secrets, read at use and audited
type SecretRef struct {
	kind  secretKind
	value string
}

type secretKind string

const (
	secretFile  secretKind = "file"
	secretEnv   secretKind = "env"
	secretStore secretKind = "secret"
)

// Secrets is what a [SecretRef] needs to be resolved.
type Secrets struct {
	// LookupEnv finds a variable, usually [os.LookupEnv]. Nil means that no
	// variable is set.
	LookupEnv func(name string) (string, bool)
	// Read reads one key of the porter's own secrets, on behalf of the actor in
	// ctx, and audits it. Nil means that it cannot be asked yet.
	Read func(ctx context.Context, path, key string) (string, error)
}

// IsZero tells whether no secret is named.
func (r SecretRef) IsZero() bool { return r.kind == "" }

// Stored tells whether it is one of the porter's own secrets, which can be read
// only while the store is unsealed.
func (r SecretRef) Stored() bool { return r.kind == secretStore }

// String is the reference, never the secret: "file:/etc/nightporter/token".
func (r SecretRef) String() string {
	if r.IsZero() {
		return ""
	}
	return string(r.kind) + ":" + r.value
}

// maxSecret bounds a secret. Keys and certificates are far smaller.
const maxSecret = 64 << 10

// Resolve reads the secret. Ask each time it is used: files are replaced and
// secrets rotated. Errors name the reference only. The zero SecretRef is an error
// of code invalid.
func (r SecretRef) Resolve(ctx context.Context, from Secrets) (string, error) {
	var secret string
	switch r.kind {
	case secretFile:
		b, err := readSecretFile(r.value)
		if err != nil {
			return "", err
		}
		secret = strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	case secretEnv:
		if from.LookupEnv != nil {
			secret, _ = from.LookupEnv(r.value)
		}
	case secretStore:
		if from.Read == nil {
			return "", nightporter.E(nightporter.Unavailable, "%s cannot be read before the store is open", r)
		}
		path, key, _ := strings.Cut(r.value, "#")
		var err error
		if secret, err = from.Read(ctx, path, key); err != nil {
			return "", fmt.Errorf("reading %s: %w", r, err)
		}
	default:
		return "", nightporter.E(nightporter.Invalid, "no secret is configured")
	}
	if secret == "" {
		return "", nightporter.E(nightporter.Invalid, "%s is empty", r)
	}
	return secret, nil
}

func readSecretFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nightporter.Wrap(err, nightporter.Invalid, "the secret in %s cannot be read", path)
	}
	defer f.Close()
	// The open file is asked, not its name: the name could mean another file a
	// moment later.
	info, err := f.Stat()
	if err != nil {
		return nil, nightporter.Wrap(err, nightporter.Invalid, "the secret in %s cannot be read", path)
	}
	if err := checkSecretMode(info, path); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, nightporter.Wrap(err, nightporter.Invalid, "the secret in %s cannot be read", path)
	}
	if len(b) > maxSecret {
		return nil, nightporter.E(nightporter.Invalid, "%s is larger than a secret can be", path)
	}
	return b, nil
}

// checkSecretMode refuses a secret that everybody on the machine can read or
// replace.
func checkSecretMode(info os.FileInfo, path string) error {
	switch {
	case !info.Mode().IsRegular():
		return nightporter.E(nightporter.Invalid, "%s is not a regular file", path)
	case info.Mode().Perm()&0o004 != 0:
		return nightporter.E(nightporter.Invalid, "everybody on this machine can read the secret in %s", path).
			WithHint("chmod 600 %s", path)
	case info.Mode().Perm()&0o022 != 0:
		return nightporter.E(nightporter.Invalid, "others on this machine can replace the secret in %s", path).
			WithHint("chmod 600 %s", path)
	}
	return nil
}

// parseSecretRef reads the text of a setting. Only a `…_file` setting may hold a
// bare path; anywhere else bare text would be the secret itself.
func parseSecretRef(text string, isFile bool) (SecretRef, error) {
	kind, value, ok := strings.Cut(text, ":")
	switch {
	case text == "":
		return SecretRef{}, errors.New("the value is empty")
	case ok && secretKind(kind) == secretEnv:
		if value == "" || strings.ContainsAny(value, "= \t\x00") {
			return SecretRef{}, nightporter.E(nightporter.Invalid, "env: needs the name of a variable").WithHint("write env:GITHUB_TOKEN")
		}
		return SecretRef{secretEnv, value}, nil
	case ok && secretKind(kind) == secretStore:
		path, key, hasKey := strings.Cut(value, "#")
		if !hasKey || path == "" || key == "" || !strings.Contains(path, "/") {
			return SecretRef{}, nightporter.E(nightporter.Invalid, "secret: needs a path and a key").
				WithHint("write secret:secret/nightporter/github#token")
		}
		return SecretRef{secretStore, value}, nil
	case ok && secretKind(kind) == secretFile && value != "":
		return SecretRef{secretFile, value}, nil
	case isFile:
		return SecretRef{secretFile, text}, nil
	}
	return SecretRef{}, nightporter.E(nightporter.Invalid, "a secret does not belong in this file").
		WithHint("write env:NAME, secret:path#key or file:path")
}
