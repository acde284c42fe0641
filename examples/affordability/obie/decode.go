package obie

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // the day of a booking is a day in London, on machines without a zone database too

	"example.org/affordability/money"
	"example.org/affordability/statement"
)

// The shapes of v4.0, as far as they are read. Field names are the standard's.

type sum struct{ Amount, Currency string }

type party struct{ SchemeName, Identification, Name string }

// Account is one element of Data.Account.
type Account struct {
	AccountID       string `json:"AccountId"`
	AccountTypeCode string
	Nickname        string
	Account         []party
}

// Transaction is one element of Data.Transaction.
type Transaction struct {
	AccountID                      string `json:"AccountId"`
	TransactionID                  string `json:"TransactionId"`
	CreditDebitIndicator           string
	Status                         string
	TransactionMutability          string
	BookingDateTime                time.Time
	TransactionInformation         string
	Amount                         sum
	ProprietaryBankTransactionCode struct{ Code, Issuer string }
	MerchantDetails                struct{ MerchantName, MerchantCategoryCode string }
	Balance                        *struct {
		CreditDebitIndicator string
		Amount               sum
	}
	CreditorAccount, DebtorAccount          party
	CategoryPurposeCode, PaymentPurposeCode string
}

// Order is one element of Data.StandingOrder.
type Order struct {
	AccountID             string `json:"AccountId"`
	NextPaymentAmount     sum
	CreditorAccount       party
	RemittanceInformation struct{ Unstructured []string }
}

// channels maps each bank's own codes. Banks publish these lists; a code that is not here is unknown.
var channels = map[string]map[string]statement.Channel{
	"CHALKBANK": {
		"DD": statement.Mandate, "SO": statement.Standing, "BGC": statement.Bacs, "FPI": statement.FasterIn, "FPO": statement.FasterOut,
		"DEB": statement.Card, "CPT": statement.Machine, "TFR": statement.Own, "CHG": statement.Fee,
	},
	"SLATE": {
		"DIRECTDEBIT": statement.Mandate, "STANDINGORDER": statement.Standing, "BACSIN": statement.Bacs, "FASTERIN": statement.FasterIn,
		"FASTEROUT": statement.FasterOut, "CARD": statement.Card, "CASHMACHINE": statement.Machine, "OWNACCOUNT": statement.Own, "FEE": statement.Fee,
	},
	"FLINT": {
		"D/D": statement.Mandate, "S/O": statement.Standing, "GIRO": statement.Bacs, "TFR-C": statement.FasterIn, "TFR-D": statement.FasterOut,
		"POS": statement.Card, "ATM": statement.Machine, "FEE": statement.Fee,
	},
}

// Decoder turns the answers of one version of the standard into lines.
type Decoder struct{ london *time.Location }

// NewDecoder returns the decoder for version 4.0.
func NewDecoder() (*Decoder, error) {
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		return nil, fmt.Errorf("loading London's time zone: %w", err)
	}
	return &Decoder{london: london}, nil
}

// Account decodes an account.
func (*Decoder) Account(a Account) statement.Account {
	out := statement.Account{ID: a.AccountID, Type: a.AccountTypeCode, Name: a.Nickname}
	if len(a.Account) > 0 {
		out.Holder, out.Number = a.Account[0].Name, a.Account[0].Identification
	}
	if out.Name == "" {
		out.Name = "Account"
	}
	return out
}

// Line decodes a transaction. The key is the bank's id; without one it is made later, by [Keys].
func (d *Decoder) Line(t Transaction) (statement.Line, error) {
	amount, err := pence(t.Amount)
	if err != nil {
		return statement.Line{}, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	y, m, day := t.BookingDateTime.In(d.london).Date()
	l := statement.Line{
		Key: t.TransactionID, Account: t.AccountID, Day: time.Date(y, m, day, 0, 0, 0, 0, time.UTC), Text: t.TransactionInformation,
		Settled:  t.Status == "BOOK" && t.TransactionMutability != "Mutable",
		Channel:  channels[t.ProprietaryBankTransactionCode.Issuer][t.ProprietaryBankTransactionCode.Code],
		Merchant: t.MerchantDetails.MerchantName, MCC: t.MerchantDetails.MerchantCategoryCode,
		Purpose: t.PaymentPurposeCode, Category: t.CategoryPurposeCode,
	}
	switch t.CreditDebitIndicator {
	case "Credit":
		l.Amount, l.PartyID, l.Party = amount, t.DebtorAccount.Identification, t.DebtorAccount.Name
	case "Debit":
		l.Amount, l.PartyID, l.Party = -amount, t.CreditorAccount.Identification, t.CreditorAccount.Name
	default:
		return statement.Line{}, fmt.Errorf("%w: a row is neither credit nor debit", ErrAnswer)
	}
	if t.BookingDateTime.IsZero() || t.AccountID == "" {
		return statement.Line{}, fmt.Errorf("%w: a row has no date or account", ErrAnswer)
	}
	if t.Balance != nil {
		if after, err := pence(t.Balance.Amount); err == nil {
			if t.Balance.CreditDebitIndicator == "Debit" {
				after = -after
			}
			l.Balance = &after
		}
	}
	return l, nil
}

func pence(s sum) (money.Amount, error) {
	if s.Currency != "GBP" {
		return 0, errors.New("an amount is not in pounds")
	}
	return money.Parse(s.Amount)
}

// Order decodes a standing order; one without an amount in pounds is left out.
func (*Decoder) Order(o Order) (statement.Order, bool) {
	amount, err := pence(o.NextPaymentAmount)
	return statement.Order{
		Account: o.AccountID, PartyID: o.CreditorAccount.Identification, Party: o.CreditorAccount.Name, Amount: amount,
		Words: strings.Join(o.RemittanceInformation.Unstructured, " "),
	}, err == nil
}

// Keys gives every line without a bank's id a key of its own: account, day, amount, text and the place among its
// equals on that day. Reading the same account again gives the same keys. The lines must be in the bank's order.
func Keys(lines []statement.Line) {
	seen := map[string]int{}
	for i := range lines {
		l := &lines[i]
		if l.Key != "" {
			continue
		}
		base := fmt.Sprintf("%s|%s|%d|%s", l.Account, l.Day.Format(time.DateOnly), l.Amount, l.Text)
		seen[base]++
		h := sha256.Sum256(fmt.Appendf(nil, "%s|%d", base, seen[base]))
		l.Key = "x" + hex.EncodeToString(h[:10])
	}
}

// Unrepeat removes rows that a page repeats from the one before. Rows with an id are compared by it. Rows without
// one are compared whole, and only where a page begins with the end of the last: two equal rows elsewhere are two
// payments.
func Unrepeat(last, page []json.RawMessage, ids map[string]bool) (fresh []json.RawMessage) {
	overlap := 0
	for k := min(len(last), len(page)); k > 0; k-- {
		if equalRows(last[len(last)-k:], page[:k]) {
			overlap = k
			break
		}
	}
	for i, raw := range page {
		var row struct{ TransactionId string }
		_ = json.Unmarshal(raw, &row) // a row that is not an object fails in the decoder
		switch {
		case row.TransactionId == "" && i < overlap:
		case row.TransactionId != "" && ids[row.TransactionId]:
		default:
			if row.TransactionId != "" {
				ids[row.TransactionId] = true
			}
			fresh = append(fresh, raw)
		}
	}
	return fresh
}

func equalRows(a, b []json.RawMessage) bool {
	for i := range a {
		if string(a[i]) != string(b[i]) {
			return false
		}
	}
	return true
}
