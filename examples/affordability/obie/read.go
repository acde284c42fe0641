package obie

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"example.org/affordability/statement"
)

// Read fetches everything that a profile needs with one customer's token.
func (b *Bank) Read(ctx context.Context, token string) (*statement.Statement, error) {
	dec, err := NewDecoder()
	if err != nil {
		return nil, err
	}
	var list struct{ Data struct{ Account []Account } }
	if err := b.call(ctx, http.MethodGet, b.url("/accounts"), token, nil, &list); err != nil {
		return nil, fmt.Errorf("reading the accounts: %w", err)
	}
	s := &statement.Statement{}
	for _, a := range list.Data.Account {
		account := dec.Account(a)
		if err := b.balance(ctx, token, &account); err != nil {
			return nil, err
		}
		s.Accounts = append(s.Accounts, account)
		lines, err := b.lines(ctx, token, dec, a.AccountID, s)
		if err != nil {
			return nil, fmt.Errorf("reading the transactions: %w", err)
		}
		s.Lines = append(s.Lines, lines...)
		if err := b.orders(ctx, token, dec, a.AccountID, s); err != nil {
			return nil, err
		}
	}
	s.Finish()
	return s, nil
}

func (b *Bank) balance(ctx context.Context, token string, a *statement.Account) error {
	var got struct {
		Data struct {
			Balance []struct {
				CreditDebitIndicator string
				Amount               sum
			}
		}
	}
	err := b.call(ctx, http.MethodGet, b.url("/accounts/"+url.PathEscape(a.ID)+"/balances"), token, nil, &got)
	if optional(err) || len(got.Data.Balance) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading a balance: %w", err)
	}
	if a.Balance, err = pence(got.Data.Balance[0].Amount); err == nil && got.Data.Balance[0].CreditDebitIndicator == "Debit" {
		a.Balance = -a.Balance
	}
	return nil
}

// optional reports a refusal to show something that a profile can do without: the consent does not cover it (403
// U009 or another code that does not ask for a new sign-in), or the bank does not offer it (404).
func optional(err error) bool {
	var r *refusal
	return errors.As(err, &r) && !errors.Is(err, ErrReauthenticate) && (r.status == http.StatusForbidden || r.status == http.StatusNotFound)
}

func (b *Bank) orders(ctx context.Context, token string, dec *Decoder, account string, s *statement.Statement) error {
	var got struct {
		Data struct{ StandingOrder []Order }
	}
	err := b.call(ctx, http.MethodGet, b.url("/accounts/"+url.PathEscape(account)+"/standing-orders"), token, nil, &got)
	if optional(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the standing orders: %w", err)
	}
	for _, o := range got.Data.StandingOrder {
		if order, ok := dec.Order(o); ok {
			s.Orders = append(s.Orders, order)
		}
	}
	return nil
}

// lines follows Links.Next, exactly as the bank wrote it, until there is none.
func (b *Bank) lines(ctx context.Context, token string, dec *Decoder, account string, s *statement.Statement) ([]statement.Line, error) {
	type page struct {
		Data  struct{ Transaction []json.RawMessage }
		Links struct{ Next string }
		Meta  struct{ FirstAvailableDateTime, LastAvailableDateTime time.Time }
	}
	var rows, last []json.RawMessage
	ids := map[string]bool{}
	seen := map[string]bool{}
	next := b.url("/accounts/" + url.PathEscape(account) + "/transactions")
	for n := 1; next != ""; n++ {
		if n > maxPages || seen[next] {
			return nil, ErrEndless
		}
		seen[next] = true
		var p page
		if err := b.call(ctx, http.MethodGet, next, token, nil, &p); err != nil {
			return nil, err
		}
		fresh := Unrepeat(last, p.Data.Transaction, ids)
		if len(p.Data.Transaction) > 0 && len(fresh) == 0 {
			return nil, ErrEndless // a page of nothing new: the bank goes round
		}
		rows, last = append(rows, fresh...), p.Data.Transaction
		s.Span(p.Meta.FirstAvailableDateTime, p.Meta.LastAvailableDateTime)
		if err := b.sameHost(p.Links.Next); err != nil {
			return nil, err
		}
		next = p.Links.Next
	}
	// Banks send the newest first; keys are made in order of time.
	slices.Reverse(rows)
	return decodeAll(dec, rows)
}

// sameHost refuses a page on another host: a bank, or whoever answers for it, must not make us call around with a
// customer's token.
func (b *Bank) sameHost(next string) error {
	if next == "" {
		return nil
	}
	u, err := url.Parse(next)
	if err != nil || u.Host != b.base.Host || u.Scheme != b.base.Scheme || u.User != nil {
		return ErrForeignPage
	}
	return nil
}

func decodeAll(dec *Decoder, rows []json.RawMessage) ([]statement.Line, error) {
	lines := make([]statement.Line, 0, len(rows))
	for _, raw := range rows {
		var t Transaction
		if err := json.Unmarshal(raw, &t); err != nil {
			return nil, fmt.Errorf("%w: a row is not a transaction", ErrAnswer)
		}
		l, err := dec.Line(t)
		if err != nil {
			return nil, err
		}
		lines = append(lines, l)
	}
	Keys(lines)
	return lines, nil
}
