package config

import (
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// TLS says how connections are protected.
type TLS struct {
	// Set by `tls: off`: something in front of the porter does it.
	Off bool `yaml:"-"`

	// The certificate chain, PEM. Read at the start.
	CertFile Path `yaml:"cert_file"`

	// The private key of the certificate, PEM.
	KeyFile Path `yaml:"key_file"`

	// Certificates from an ACME authority.
	ACME *ACME `yaml:"acme"`
}

// ACME asks an authority for certificates.
type ACME struct {
	// The names to ask certificates for.
	Domains []string `yaml:"domains" jsonschema:"required"`

	// Where the authority may write to.
	Email string `yaml:"email"`

	// The authority's directory. Let's Encrypt when empty.
	Directory string `yaml:"directory"`
}

// Set tells whether anything was said about TLS.
func (t TLS) Set() bool { return t.Off || t.Serves() }

// Serves tells whether the porter itself speaks TLS.
func (t TLS) Serves() bool { return t.CertFile != "" || t.KeyFile != "" || t.ACME != nil }

func (t TLS) equal(o TLS) bool {
	if (t.ACME == nil) != (o.ACME == nil) || t.Off != o.Off || t.CertFile != o.CertFile || t.KeyFile != o.KeyFile {
		return false
	}
	return t.ACME == nil || slices.Equal(t.ACME.Domains, o.ACME.Domains) &&
		t.ACME.Email == o.ACME.Email && t.ACME.Directory == o.ACME.Directory
}

func (t *TLS) readNode(b *binder, n ast.Node, path string) {
	type fields TLS
	readWordOr(b, n, path, "off", &t.Off, (*fields)(t))
}

// Seal says how the store is unsealed after a start.
type Seal struct {
	// `file` reads the key from a file and starts by itself; `shamir` waits
	// after each start until enough people gave their share, and nights and
	// deployments wait with it.
	Kind string `yaml:"kind" jsonschema:"enum=file,enum=shamir,default=file"`

	// The key file. It must not be in the store's folder: a copy of the store
	// would then carry its own key.
	Path Path `yaml:"path" jsonschema:"default=unseal.key"`
}

// Egress limits whom the porter calls. Addresses of the inside (loopback,
// private, link-local) are refused for every URL that comes from a setting,
// unless they are listed here.
type Egress struct {
	// Address ranges that are allowed all the same: `10.20.0.0/16`.
	Allow []string `yaml:"allow"`
}

// Log says what is logged. Secrets are never logged at any level.
type Log struct {
	// The least serious entries that are written.
	Level string `yaml:"level" jsonschema:"enum=debug,enum=info,enum=warn,enum=error,default=info"`

	// `text` for people, `json` for machines.
	Format string `yaml:"format" jsonschema:"enum=text,enum=json,default=text"`
}

// ConfigSource is the repository that keeps the configuration file.
type ConfigSource struct {
	// The repository.
	Repo Repo `yaml:"repo" jsonschema:"required"`

	// The branch whose head is in force.
	Ref string `yaml:"ref" jsonschema:"default=main"`

	// The file in the repository.
	Path string `yaml:"path" jsonschema:"default=nightporter.yaml"`
}
