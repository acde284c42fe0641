package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
)

// Checkpoint is a signed statement of the log's size and root, in the form of
// C2SP tlog-checkpoint: origin, size and root, then signatures.
type Checkpoint struct {
	Size int64     `json:"size"`
	At   time.Time `json:"at"`
	Root string    `json:"root"` // base64
	Note string    `json:"note"` // the signed text
}

// Key signs checkpoints. Skey is secret and stands sealed in the store; Vkey is
// the public half, which verifiers need.
type Key struct {
	Skey, Vkey string
}

// Origin is the name of the log in its checkpoints.
const Origin = "nightporter"

// NewKey makes a signing key.
func NewKey() (Key, error) {
	skey, vkey, err := note.GenerateKey(rand.Reader, Origin)
	if err != nil {
		return Key{}, fmt.Errorf("make the audit log's key: %w", err)
	}
	return Key{Skey: skey, Vkey: vkey}, nil
}

// Sign makes and stores a checkpoint of the log as tx sees it. A log without
// new entries since the last checkpoint keeps that one.
func Sign(ctx context.Context, tx *store.Tx, key Key, now time.Time) (Checkpoint, error) {
	size, err := sizeOf(ctx, tx)
	if err != nil {
		return Checkpoint{}, err
	}
	if last, err := Last(ctx, tx); err == nil && last.Size == size {
		return last, nil
	}
	root, err := tlog.TreeHash(size, hashReader(ctx, tx))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("hash the audit log: %w", err)
	}
	signer, err := note.NewSigner(key.Skey)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("use the audit log's key: %w", err)
	}
	now = now.UTC().Truncate(time.Second)
	// The time is an extension line, so that the signature covers it too.
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\ntime %s\n", Origin, size, root, now.Format(time.RFC3339))}, signer)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("sign the checkpoint: %w", err)
	}
	c := Checkpoint{Size: size, At: now, Root: root.String(), Note: string(signed)}
	_, err = tx.Exec(ctx, `INSERT INTO audit_checkpoint (size, note) VALUES (?, ?)`, c.Size, c.Note)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("write the checkpoint: %w", err)
	}
	return c, nil
}

// Last reads the newest checkpoint; it answers not_found when there is none.
func Last(ctx context.Context, tx *store.Tx) (Checkpoint, error) {
	var size int64
	var text string
	err := tx.QueryRow(ctx, `SELECT size, note FROM audit_checkpoint ORDER BY size DESC LIMIT 1`).Scan(&size, &text)
	if store.IsNotFound(err) {
		return Checkpoint{}, nightporter.E(nightporter.NotFound, "the audit log has no checkpoint yet")
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("read the last checkpoint: %w", err)
	}
	c := Checkpoint{Size: size, Note: text}
	if lines := strings.SplitN(text, "\n", 5); len(lines) == 5 {
		c.Root = lines[2]
		c.At, _ = time.Parse("time "+time.RFC3339, lines[3]) // verified by the signature, not here
	}
	return c, nil
}

// OpenCheckpoint checks a checkpoint's signature with the public key and returns
// the size and root that it states.
func OpenCheckpoint(text, vkey string) (size int64, root tlog.Hash, err error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return 0, root, nightporter.Wrap(err, nightporter.Invalid, "the audit log's public key is damaged")
	}
	n, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		return 0, root, nightporter.Wrap(err, nightporter.Invalid, "the checkpoint's signature does not hold")
	}
	// Base64 has spare bits at its end, which decoding ignores: a checkpoint
	// with other ones would be a second spelling of the same signature.
	for _, sig := range n.Sigs {
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return 0, root, nightporter.Wrap(err, nightporter.Invalid, "the checkpoint's signature does not hold")
		}
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) < 3 || lines[0] != Origin {
		return 0, root, nightporter.E(nightporter.Invalid, "this is not a checkpoint of this log")
	}
	size, err = strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return 0, root, nightporter.Wrap(err, nightporter.Invalid, "the checkpoint has no size")
	}
	root, err = tlog.ParseHash(lines[2])
	if err != nil {
		return 0, root, nightporter.Wrap(err, nightporter.Invalid, "the checkpoint has no root")
	}
	return size, root, nil
}

// Proof shows that one entry is in the log of a checkpoint (RFC 6962 §2.1.1).
type Proof struct {
	Entry      Entry      `json:"entry"`
	Leaf       string     `json:"leaf"`   // base64 of the leaf's hash
	Hashes     []string   `json:"hashes"` // base64, from the leaf up
	Checkpoint Checkpoint `json:"checkpoint"`
}

// Prove makes the proof of entry seq against the newest checkpoint that covers
// it; conflict when no checkpoint does yet.
func Prove(ctx context.Context, tx *store.Tx, seq int64) (Proof, error) {
	entries, err := scanEntries(ctx, tx, selectEntry+` WHERE seq = ?`, seq)
	if err != nil {
		return Proof{}, fmt.Errorf("read audit entry %d: %w", seq, err)
	}
	if len(entries) == 0 {
		return Proof{}, nightporter.E(nightporter.NotFound, "the audit log has no entry %d", seq)
	}
	c, err := Last(ctx, tx)
	if err != nil {
		return Proof{}, err
	}
	if c.Size <= seq {
		return Proof{}, nightporter.E(nightporter.Conflict, "entry %d is newer than the last checkpoint", seq).
			WithHint("a checkpoint is signed within a minute of a change; ask again then")
	}
	proof, err := tlog.ProveRecord(c.Size, seq, hashReader(ctx, tx))
	if err != nil {
		return Proof{}, fmt.Errorf("prove audit entry %d: %w", seq, err)
	}
	out := Proof{Entry: entries[0], Leaf: tlog.RecordHash(entries[0].leaf()).String(), Checkpoint: c}
	for _, h := range proof {
		out.Hashes = append(out.Hashes, h.String())
	}
	return out, nil
}

// Check verifies a proof against its checkpoint with nothing but the public key.
func (p Proof) Check(vkey string) error {
	size, root, err := OpenCheckpoint(p.Checkpoint.Note, vkey)
	if err != nil {
		return err
	}
	hashes := make(tlog.RecordProof, 0, len(p.Hashes))
	for _, s := range p.Hashes {
		h, err := tlog.ParseHash(s)
		if err != nil {
			return nightporter.Wrap(err, nightporter.Invalid, "the proof has a damaged hash")
		}
		hashes = append(hashes, h)
	}
	if err := tlog.CheckRecord(hashes, size, root, p.Entry.Seq, tlog.RecordHash(p.Entry.leaf())); err != nil {
		return nightporter.Wrap(err, nightporter.Invalid, "entry %d is not in the log of that checkpoint", p.Entry.Seq)
	}
	return nil
}

func hashReader(ctx context.Context, tx *store.Tx) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			h, err := readNode(ctx, tx, index)
			if err != nil {
				return nil, err
			}
			out[i] = h
		}
		return out, nil
	})
}

func sizeOf(ctx context.Context, tx *store.Tx) (int64, error) {
	var size int64
	if err := tx.QueryRow(ctx, `SELECT COALESCE(MAX(seq), -1) + 1 FROM audit_entry`).Scan(&size); err != nil {
		return 0, fmt.Errorf("read the audit log's size: %w", err)
	}
	return size, nil
}

// PublicKey derives the verifier's key from the signer's, so that only one of
// them needs keeping.
func PublicKey(skey string) (string, error) {
	signer, err := note.NewSigner(skey)
	if err != nil {
		return "", fmt.Errorf("use the audit log's key: %w", err)
	}
	// The signer key's text is PRIVATE+KEY+name+hash+base64(alg||seed).
	parts := strings.SplitN(skey, "+", 5)
	if len(parts) != 5 {
		return "", nightporter.E(nightporter.Invalid, "the audit log's key is damaged")
	}
	seed, err := decodeKey(parts[4])
	if err != nil {
		return "", err
	}
	pub := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	return note.NewEd25519VerifierKey(signer.Name(), pub)
}
