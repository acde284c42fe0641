package config

import (
	_ "embed"
	"slices"
)

// The schema is made from the structs of this package by its own test, so that
// the binary carries neither Go sources nor a reflector:
//
//go:generate go test -run TestSchema -update

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema of the configuration file (draft 2020-12), with the
// meaning and the default of every key.
func Schema() []byte { return slices.Clone(schema) }
