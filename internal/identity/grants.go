package identity

import (
	"net/netip"
	"time"
)

// Grants is what a login gives: Vault's token_* fields of a role or a user.
type Grants struct {
	Policies    []string       `json:"policies"`
	TTL         time.Duration  `json:"ttl,omitempty"`
	MaxTTL      time.Duration  `json:"max_ttl,omitempty"`
	ExplicitMax time.Duration  `json:"explicit_max,omitempty"`
	Period      time.Duration  `json:"period,omitempty"`
	Uses        int            `json:"uses,omitempty"`
	NoDefault   bool           `json:"no_default,omitempty"`
	Networks    []netip.Prefix `json:"networks,omitempty"`
	Kind        TokenKind      `json:"kind,omitempty"` // "" means Service
}

// Spec is the token that a login with these grants gets; the caller adds who and
// where.
func (g Grants) Spec() Spec {
	return Spec{
		Kind: g.Kind, Policies: g.Policies, TTL: g.TTL, MaxTTL: g.MaxTTL, ExplicitMax: g.ExplicitMax, Period: g.Period, Uses: g.Uses,
		NoDefault: g.NoDefault, Networks: g.Networks, Fixed: g.Kind == Batch,
	}
}
