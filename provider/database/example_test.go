package database_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/database"
	"nightporter.dev/nightporter/provider/database/mem"
)

// One login from its name to its end. Between Name and CreateUser the caller
// commits the name to its journal.
func Example() {
	ctx := context.Background()
	server, err := mem.NewServer(mem.Config{Username: "admin", Password: "Admin-1"})
	if err != nil {
		log.Fatal(err)
	}
	config, _, err := database.ParseConfig(map[string]any{
		"plugin_name":       database.PluginPostgreSQL,
		"connection_url":    "postgresql://{{username}}:{{password}}@db:5432/ledger",
		"username":          "admin",
		"password":          "Admin-1",
		"username_template": "{{.RoleName}}-{{.DisplayName}}",
	})
	if err != nil {
		log.Fatal(err)
	}
	db, err := server.Open(config)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	namer, err := database.NewNamer(database.NamerConfig{Plugin: config.Plugin, Template: config.UsernameTemplate})
	if err != nil {
		log.Fatal(err)
	}
	name, err := namer.Name("ana", "readonly")
	if err != nil {
		log.Fatal(err)
	}
	password, err := database.Password()
	if err != nil {
		log.Fatal(err)
	}
	err = db.CreateUser(ctx, database.Create{
		Username:   name,
		Password:   password,
		Expiration: time.Now().Add(time.Hour),
		Statements: []string{`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(name, "logs in:", db.Try(ctx, name, password) == nil)
	for _, o := range db.RevokeUsers(ctx, []database.Revoke{{Username: name}}) {
		fmt.Println(o.Username, "is", o.State)
	}
	fmt.Println("afterwards:", nightporter.CodeOf(db.Try(ctx, name, password)))
	// Output:
	// readonly-ana logs in: true
	// readonly-ana is gone
	// afterwards: denied
}

// A rotation of the administrator's password in two phases. Both passwords stay in
// the journal until the new one has proved a login.
func ExampleDatabase_rotate() {
	ctx := context.Background()
	server, err := mem.NewServer(mem.Config{Username: "admin", Password: "Old-1"})
	if err != nil {
		log.Fatal(err)
	}
	config := database.Config{Plugin: database.PluginPostgreSQL, ConnectionURL: "mem://", Username: "admin", Password: "Old-1"}
	db, err := server.Open(config)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	// Commit Old-1 and New-1 to the journal here.
	if err := db.ChangePassword(ctx, database.Change{Username: "admin", Password: "New-1"}); err != nil {
		log.Fatal(err)
	}
	fmt.Println("old:", nightporter.CodeOf(db.Try(ctx, "admin", "Old-1")))
	fmt.Println("new works:", db.Try(ctx, "admin", "New-1") == nil)
	// Forget Old-1 here, and open the connections again.
	config.Password = "New-1"
	again, err := server.Open(config)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("administrator:", again.Verify(ctx) == nil)
	// Output:
	// old: denied
	// new works: true
	// administrator: true
}

func ExampleFill() {
	filled, err := database.Fill(database.PostgreSQL, `ALTER ROLE "{{name}}" PASSWORD '{{password}}'`,
		database.Values{Username: `a "wild" name`, Password: "it's"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(filled)
	// Output: ALTER ROLE "a ""wild"" name" PASSWORD 'it''s'
}
