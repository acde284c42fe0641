package seal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"nightporter.dev/nightporter/internal/seal"
)

// row is a Storage; the product keeps the document in a table of one row.
type row struct{ document []byte }

func (r *row) Load(context.Context) ([]byte, error) { return r.document, nil }

func (r *row) Save(_ context.Context, document []byte) error {
	r.document = document
	return nil
}

func Example() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "seal")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)

	key, err := seal.CreateKeyFile(seal.KeyFileConfig{Path: filepath.Join(folder, "unseal.key")})
	if err != nil {
		panic(err)
	}
	sealer, err := seal.New(ctx, seal.Config{Storage: &row{}})
	if err != nil {
		panic(err)
	}
	if err := sealer.Init(ctx, key); err != nil {
		panic(err)
	}

	secret, err := sealer.Encrypt("secret rows", "kv", "value", "42", []byte("hunter2"))
	if err != nil {
		panic(err)
	}
	plain, err := sealer.Decrypt("secret rows", "kv", "value", "42", secret)
	fmt.Printf("row 42: %s, %v\n", plain, err)

	_, err = sealer.Decrypt("secret rows", "kv", "value", "43", secret)
	fmt.Println("row 43:", errors.Is(err, seal.ErrDamaged))

	sealer.Seal()
	_, err = sealer.Decrypt("secret rows", "kv", "value", "42", secret)
	fmt.Println("sealed:", err)
	// Output:
	// row 42: hunter2, <nil>
	// row 43: true
	// sealed: the store is sealed
}
