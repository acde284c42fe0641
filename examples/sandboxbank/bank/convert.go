package bank

import (
	"fmt"
	"time"

	"example.org/sandboxbank/town"
)

func pounds(p town.Pence) amount {
	if p < 0 {
		p = -p
	}
	return amount{Amount: fmt.Sprintf("%d.%02d", p/100, p%100), Currency: "GBP"}
}

func sign(p town.Pence) string {
	if p < 0 {
		return "Debit"
	}
	return "Credit"
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func bankAccount(p town.Party) *cashAccount {
	return &cashAccount{SchemeName: "UK.OBIE.SortCodeAccountNumber", Identification: p.SortCode + p.Number, Name: p.Name}
}

// accountOf shows an account; without the Detail permission the numbers and the name stay hidden.
func accountOf(a town.Account, detail bool) wireAccount {
	w := wireAccount{AccountID: a.ID, Status: "Enabled", Currency: "GBP", AccountCategory: "Personal", AccountTypeCode: "CACC", Nickname: "Current account"}
	if a.Savings {
		w.AccountTypeCode, w.Nickname = "SVGS", "Savings"
	}
	if detail {
		w.Account = []cashAccount{*bankAccount(town.Party{Name: a.Holder, SortCode: a.SortCode, Number: a.Number})}
	}
	return w
}

// transactionOf shows an entry. Without Detail, a bank must hide the text, the balance, the merchant and both
// accounts (OBIE v4.0, Transactions, "Permissions").
func transactionOf(t *town.Tenant, e town.Entry, detail bool) wireTransaction {
	d := t.Dialect
	w := wireTransaction{
		AccountID: t.Accounts[e.Account].ID, CreditDebitIndicator: sign(e.Amount), Status: "BOOK", TransactionMutability: "Immutable",
		BookingDateTime: stamp(e.At), Amount: pounds(e.Amount),
		ProprietaryBankTransactionCode: &proprietaryCode{Code: d.Code(e.Rail), Issuer: d.Issuer()},
		CategoryPurposeCode:            e.Category, PaymentPurposeCode: e.Purpose,
	}
	if d != town.Flint {
		w.TransactionID = e.ID
	}
	if e.Pending {
		w.Status, w.TransactionMutability = "PDNG", "Mutable"
	} else {
		w.ValueDateTime = w.BookingDateTime
	}
	if !detail {
		return w
	}
	w.TransactionInformation = d.Words(e)
	if d != town.Flint && !e.Pending {
		w.Balance = &runningBalance{CreditDebitIndicator: sign(e.Balance), Type: "ITBD", Amount: pounds(e.Balance)}
	}
	if d.ShowsMerchant(e) {
		w.MerchantDetails = &merchant{MerchantName: e.Other.Name, MerchantCategoryCode: e.MCC}
	}
	if d.ShowsAccount(e) {
		if e.Amount < 0 {
			w.CreditorAccount = bankAccount(e.Other)
		} else {
			w.DebtorAccount = bankAccount(e.Other)
		}
	}
	return w
}

func orderOf(t *town.Tenant, o town.Order, detail bool) wireOrder {
	a := pounds(o.Amount)
	w := wireOrder{
		AccountID: t.Accounts[o.Account].ID, StandingOrderID: o.ID, StandingOrderStatusCode: "ACTV", NextPaymentDateTime: stamp(o.Next),
		LastPaymentDateTime: stamp(o.Last), NextPaymentAmount: &a, LastPaymentAmount: &a,
		MandateRelatedInformation: &mandate{Frequency: frequency{Type: "MNTH", CountPerPeriod: 1, PointInTime: fmt.Sprintf("%02d", o.Day)}},
	}
	if detail {
		w.CreditorAccount = bankAccount(o.To)
		w.RemittanceInformation = &remittance{Unstructured: []string{o.Reference}}
	}
	return w
}
