package town

import (
	"fmt"
	"strings"
)

// Dialect is the way a bank writes its statements. Real banks differ this much.
type Dialect int

// The three dialects.
const (
	Chalk Dialect = iota // truncated upper case and a reference; account details on transfers; no merchant data
	Slate                // tidy names, merchant name and category code; account details on transfers
	Flint                // hardly anything: "REF 4411 VIA MOBILE - PYMT", no transaction ids, few account details
)

// Issuer names the dialect's proprietary code list, as published in the README.
func (d Dialect) Issuer() string { return [...]string{"CHALKBANK", "SLATE", "FLINT"}[d] }

// Code is the proprietary code that the dialect uses for a rail.
func (d Dialect) Code(r Rail) string {
	codes := map[Rail][3]string{
		DirectDebit:   {"DD", "DIRECTDEBIT", "D/D"},
		StandingOrder: {"SO", "STANDINGORDER", "S/O"},
		BankCredit:    {"BGC", "BACSIN", "GIRO"},
		FasterIn:      {"FPI", "FASTERIN", "TFR-C"},
		FasterOut:     {"FPO", "FASTEROUT", "TFR-D"},
		Card:          {"DEB", "CARD", "POS"},
		Cash:          {"CPT", "CASHMACHINE", "ATM"},
		Internal:      {"TFR", "OWNACCOUNT", "TFR-D"},
		Charge:        {"CHG", "FEE", "FEE"},
	}
	return codes[r][d]
}

// Words is the statement line of an entry.
func (d Dialect) Words(e Entry) string {
	switch d {
	case Chalk:
		name := strings.ToUpper(e.Other.Name)
		if len(name) > 18 {
			name = strings.TrimSpace(name[:18])
		}
		if e.Rail == Card {
			return fmt.Sprintf("%s CD %d", name, 1000+e.At.YearDay())
		}
		return strings.TrimSpace(name + " " + e.Reference)
	case Slate:
		if e.Reference != "" && (e.Rail == FasterIn || e.Rail == FasterOut || e.Rail == StandingOrder || e.Rail == BankCredit) {
			return e.Other.Name + ", " + e.Reference
		}
		return e.Other.Name
	default:
		name := strings.ToUpper(e.Other.Name)
		if len(name) > 12 {
			name = strings.TrimSpace(name[:12])
		}
		switch {
		case e.Rail == FasterOut && e.Nonce%10 < 3: // some payees are only a number
			return fmt.Sprintf("REF %d VIA MOBILE - PYMT", e.Nonce)
		case e.Rail == FasterOut || e.Rail == FasterIn:
			return fmt.Sprintf("%s REF %d VIA MOBILE - PYMT", name, e.Nonce)
		case e.Rail == StandingOrder:
			return "STANDING ORDER " + name
		case e.Rail == Card:
			return fmt.Sprintf("%s GB %02d%02d", name, e.At.Day(), int(e.At.Month()))
		}
		return strings.TrimSpace(name + " " + e.Reference)
	}
}

// ShowsAccount reports whether the dialect gives the other side's account details for this entry.
func (d Dialect) ShowsAccount(e Entry) bool {
	if e.Other.Number == "" || (e.Rail != FasterIn && e.Rail != FasterOut && e.Rail != StandingOrder && e.Rail != Internal) {
		return false
	}
	return d != Flint || e.Nonce%10 >= 6
}

// ShowsMerchant reports whether the dialect gives merchant name and category code.
func (d Dialect) ShowsMerchant(e Entry) bool { return d == Slate && e.MCC != "" }
