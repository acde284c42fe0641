package telemetry

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"
)

// requestIDs are written in base32hex (RFC 4648 §7), whose alphabet is in ASCII
// order, so that ids sort by time.
var requestIDs = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// NewRequestID returns a new id of 26 characters: 48 bits of Unix milliseconds,
// then 80 random bits. Ids of different milliseconds sort in the order they were
// made. An id is not a secret, but nobody can guess the next one.
func NewRequestID() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(time.Now().UnixMilli())<<16)
	_, _ = rand.Read(b[6:]) // crypto/rand: never fails
	return requestIDs.EncodeToString(b[:])
}
