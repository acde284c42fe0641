// Package seal keeps secrets unreadable at rest.
//
// Keys stand in a hierarchy, each one wrapped by the one above it:
//
//	unseal key    a key file, or shares that people hold; never in the store
//	root key      wrapped by the unseal key: a new unseal key rewrites one value
//	key ring      wrapped by the root key; versioned, the newest one encrypts
//	purpose key   derived by HKDF-SHA256: secret rows, sessions, webhook secrets …
//	row           AES-256-GCM with a random nonce
//
// A ciphertext is bound to the table, column and row that it belongs to, and to
// the version of its key. Copied to another row it does not decrypt.
//
// A [Sealer] is sealed when it starts. [Sealer.Unseal] (key file) or
// [Sealer.UnsealShare] (Shamir's shares, for users of `vault operator unseal`)
// opens it, [Sealer.Seal] closes it and clears its keys. Sealed, every operation
// fails with [nightporter.Sealed]. Whoever has work to catch up on waits with
// [Sealer.WaitUnsealed].
//
// What this protects: a stolen disk, backup or database dump. What it does not:
// a stolen root shell, which can read the key file and the memory. Names, times
// and other columns that are searched are not encrypted; the caller chooses
// what is. Keys are kept in byte slices and cleared, which is the most that Go
// promises: the runtime and the cipher make copies.
package seal
