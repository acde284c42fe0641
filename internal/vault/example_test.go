package vault_test

import (
	"context"
	"fmt"

	"nightporter.dev/nightporter/internal/vault"
)

// A backend is a list of paths; the mount table, the tokens, the policies and the
// envelope are not its business.
func ExampleNewPaths() {
	greet := func(_ context.Context, r *vault.Request) (*vault.Response, error) {
		return &vault.Response{Data: map[string]any{"greeting": "hello " + r.Vars["name"]}}, nil
	}
	backend := vault.NewPaths("greeter", vault.Path{Pattern: "greet/{name}", Read: greet})
	resp, err := backend.Handle(context.Background(), &vault.Request{Op: vault.Read, Path: "greet/ana"})
	fmt.Println(resp.Data["greeting"], err)
	_, err = backend.Handle(context.Background(), &vault.Request{Op: vault.Delete, Path: "greet/ana"})
	fmt.Printf("%q\n", err)
	// Output:
	// hello ana <nil>
	// "1 error occurred:\n\t* unsupported operation\n\n"
}
