package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
)

// argon2id's parameters: OWASP's smallest recommended memory, so that two at
// once (Identity.hashing) stay within a small machine.
const (
	argonMemory = 19 * 1024 // KiB
	argonTime   = 2
	argonLanes  = 1
	argonKey    = 32
)

func hashPassword(password, salt []byte) []byte {
	return argon2.IDKey(password, salt, argonTime, argonMemory, argonLanes, argonKey)
}

// encodePassword is the form of the PHC string format, without its parameters'
// freedom: there is one set.
func encodePassword(password string) string {
	salt := make([]byte, 16)
	rand.Read(salt)
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", argonMemory, argonTime, argonLanes,
		enc.EncodeToString(salt), enc.EncodeToString(hashPassword([]byte(password), salt)))
}

func checkPassword(encoded, password string) bool {
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil {
		return false
	}
	return subtle.ConstantTimeCompare(hashPassword([]byte(password), salt), want) == 1
}

// nobody is hashed against when there is no such user, so that both take as long
// (CVE-2025-6011).
var nobody = "$argon2id$v=19$m=19456,t=2,p=1$" + base64.RawStdEncoding.EncodeToString(make([]byte, 16)) + "$" +
	base64.RawStdEncoding.EncodeToString(make([]byte, argonKey))

// errLogin is the one answer to every failed login.
var errLogin = nightporter.E(nightporter.Unauthenticated, "invalid username or password")

// The bounds of a password that a person chooses.
const (
	minPassword = 10
	maxPassword = 1000
)

// SetPassword writes a local user. One whose name is a person of the catalog acts
// as that person.
func (i *Identity) SetPassword(ctx context.Context, name, password string, policies []string) error {
	name, err := UserName(name)
	if err != nil {
		return err
	}
	if len(password) < minPassword {
		return nightporter.E(nightporter.Invalid, "the password is shorter than %d characters", minPassword)
	}
	hash, err := i.HashPassword(ctx, password)
	if err != nil {
		return err
	}
	action := nightporter.Action{Name: "user.write", Capability: nightporter.Update, Path: "auth/userpass/users/" + name}
	return i.gate.Do(ctx, action, nightporter.Resource{Kind: "user", ID: name}, func(tx *gate.Tx) error {
		return PutUser(ctx, tx, LocalUsers, name, UserChange{Hash: &hash, Grants: &Grants{Policies: policies}})
	})
}

// slot waits for one of the places for password hashing.
func (i *Identity) slot(ctx context.Context) error {
	select {
	case i.hashing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return nightporter.E(nightporter.Limited, "too many people sign in at once")
	}
}

// Login checks a name and a password and makes a token or a session. Errors:
// unauthenticated for a wrong pair, limited after too many of them from one
// source or for one account.
func (i *Identity) Login(ctx context.Context, name, password, remote string, kind TokenKind) (token string, info Info, err error) {
	u, err := i.CheckPassword(ctx, LocalUsers, name, password, remote)
	if err != nil {
		return "", info, err
	}
	spec := u.Grants.Spec()
	spec.Kind, spec.ActorKind, spec.Actor = kind, i.KindOf(u.Name), u.Name
	spec.DisplayName, spec.Method, spec.Path = "userpass-"+u.Name, "userpass", "auth/userpass/login/"+u.Name
	spec.Meta = map[string]string{"username": u.Name}
	return i.Open(ctx, spec)
}

// KindOf says whether a local user is a person of the catalog.
func (i *Identity) KindOf(name string) nightporter.ActorKind {
	if _, ok := i.cfg.Catalog.Current().PersonByUserName(name); ok {
		return nightporter.Person
	}
	return nightporter.Machine
}

// Sessions' lives: an idle one ends after half an hour, a busy one after eight.
const (
	SessionIdle = 30 * time.Minute
	SessionMax  = 8 * time.Hour
)

// Open makes the token of a login that succeeded, as the one who logged in.
func (i *Identity) Open(ctx context.Context, spec Spec) (token string, info Info, err error) {
	if spec.Kind == Session {
		spec.TTL, spec.MaxTTL = SessionIdle, SessionMax
	}
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("identity", spec.Actor))
	err = i.gate.Do(ctx, nightporter.Action{Name: "login"}, nightporter.Resource{Kind: "person", ID: spec.Actor}, func(tx *gate.Tx) error {
		tx.Detail("method", spec.Method)
		token, info, err = i.Create(ctx, tx, spec)
		return err
	})
	return token, info, err
}
