package database_test

import (
	"fmt"

	"nightporter.dev/nightporter/secrets/database"
)

// An engine is put together by the application, which hands its Backend to
// internal/vault and the engine itself to internal/lease.
func ExampleNew() {
	_, err := database.New(database.Config{})
	fmt.Println(err)
	// Output: database: Gate, Seal and Plugins are required
}
