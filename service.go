package nightporter

import (
	"strings"
	"time"
)

// Service is something that a team builds and runs.
type Service struct {
	Name  string `json:"name"`
	Repo  Repo   `json:"repo"`
	Owner string `json:"owner"` // a team's name
}

// Repo names a repository: the forge as the configuration calls it, and the
// repository's name there, without the organisation.
type Repo struct {
	Forge string `json:"forge"`
	Name  string `json:"name"`
}

// ParseRepo reads "github/ledger".
func ParseRepo(s string) (Repo, error) {
	forge, name, ok := strings.Cut(s, "/")
	if !ok || forge == "" || name == "" {
		return Repo{}, E(Invalid, "%q does not name a repository", s).
			WithHint("write the forge's name in the configuration, a slash and the repository: github/ledger")
	}
	return Repo{Forge: forge, Name: name}, nil
}

func (r Repo) String() string { return r.Forge + "/" + r.Name }

// MarshalText writes a repository as "github/ledger", in JSON too.
func (r Repo) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText writes. An empty text is the zero Repo.
func (r *Repo) UnmarshalText(b []byte) error {
	if len(b) == 0 || string(b) == "/" {
		*r = Repo{}
		return nil
	}
	parsed, err := ParseRepo(string(b))
	*r = parsed
	return err
}

// Evidence says where a claim comes from and how old it is. A status without
// evidence is unknown, and one whose evidence is old is stale; neither is green.
type Evidence struct {
	// ObservedAt is when it was seen, not when it was written down.
	ObservedAt time.Time `json:"observed_at"`
	// Source is what was looked at: "GET http://127.0.0.1:4312/healthz",
	// "git refs/tags/prod", "run 42 step probe".
	Source string `json:"source"`
}
