package obie_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.org/affordability/obie"
	"example.org/affordability/statement"
)

func decoder(t testing.TB) *obie.Decoder {
	t.Helper()
	d, err := obie.NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func transaction(t testing.TB, text string) obie.Transaction {
	t.Helper()
	var x obie.Transaction
	if err := json.Unmarshal([]byte(text), &x); err != nil {
		t.Fatal(err)
	}
	return x
}

const row = `{"AccountId":"a","TransactionId":"t","CreditDebitIndicator":"Debit","Status":"BOOK","BookingDateTime":"2026-06-30T23:30:00Z","Amount":{"Amount":"950.00","Currency":"GBP"},"ProprietaryBankTransactionCode":{"Code":"SO","Issuer":"CHALKBANK"}}`

func TestLine(t *testing.T) {
	t.Parallel()
	t.Run("a debit is negative, and its day is the day in London", func(t *testing.T) {
		t.Parallel()
		l, err := decoder(t).Line(transaction(t, row))
		if err != nil || l.Amount != -950_00 || l.Day.Format(time.DateOnly) != "2026-07-01" || l.Channel != statement.Standing || !l.Settled {
			t.Errorf("%+v, %v", l, err)
		}
	})
	for name, change := range map[string][2]string{
		"part of a penny":    {"950.00", "950.00125"},
		"another currency":   {"GBP", "EUR"},
		"neither side":       {`"Debit"`, `"debit"`},
		"no account":         {`"AccountId":"a"`, `"AccountId":""`},
		"a negative amount":  {"950.00", "-950.00"},
		"an amount in words": {"950.00", "lots"},
		"no date":            {`"BookingDateTime":"2026-06-30T23:30:00Z",`, ""},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			t.Parallel()
			if l, err := decoder(t).Line(transaction(t, strings.Replace(row, change[0], change[1], 1))); !errors.Is(err, obie.ErrAnswer) {
				t.Errorf("%+v, %v", l, err)
			}
		})
	}
	for name, change := range map[string][2]string{
		"pending":          {"BOOK", "PDNG"},
		"booked, mutable":  {`"Status":"BOOK"`, `"Status":"BOOK","TransactionMutability":"Mutable"`},
		"a status of ours": {"BOOK", "Booked"},
	} {
		t.Run("a row that is "+name+" does not count", func(t *testing.T) {
			t.Parallel()
			if l, err := decoder(t).Line(transaction(t, strings.Replace(row, change[0], change[1], 1))); err != nil || l.Settled {
				t.Errorf("%+v, %v", l, err)
			}
		})
	}
	t.Run("a code of an unknown bank is unknown, not guessed", func(t *testing.T) {
		t.Parallel()
		if l, _ := decoder(t).Line(transaction(t, strings.Replace(row, "CHALKBANK", "OTHER", 1))); l.Channel != statement.Unknown {
			t.Errorf("channel %q", l.Channel)
		}
	})
}

func TestKeysAreTheSameOnEveryReadingAndTellEqualsApart(t *testing.T) {
	t.Parallel()
	make := func() []statement.Line {
		l := statement.Line{Account: "a", Day: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), Amount: -250, Text: "COFFEE"}
		return []statement.Line{l, l, {Key: "given", Account: "a"}}
	}
	a, b := make(), make()
	obie.Keys(a)
	obie.Keys(b)
	if a[0].Key == a[1].Key || a[0].Key != b[0].Key || a[1].Key != b[1].Key || a[2].Key != "given" {
		t.Errorf("%v %v", a, b)
	}
}

func TestUnrepeat(t *testing.T) {
	t.Parallel()
	raw := func(list ...string) (out []json.RawMessage) {
		for _, s := range list {
			out = append(out, json.RawMessage(s))
		}
		return out
	}
	ids := map[string]bool{}
	first := raw(`{"TransactionId":"1"}`, `{"x":"a"}`, `{"x":"b"}`)
	if got := obie.Unrepeat(nil, first, ids); len(got) != 3 {
		t.Errorf("the first page lost rows: %s", got)
	}
	// The next page begins with the end of the first; "a" later on is another payment.
	if got := obie.Unrepeat(first, raw(`{"x":"a"}`, `{"x":"b"}`, `{"x":"c"}`, `{"x":"a"}`, `{"TransactionId":"1"}`), ids); len(got) != 2 {
		t.Errorf("%s", got)
	}
}

func TestNoTokenOrCodeIsInAnError(t *testing.T) {
	t.Parallel()
	bank := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.Copy(w, r.Body)
	}))
	url := bank.URL
	check := func() {
		b, err := obie.New(obie.Config{Issuer: url, ClientID: "c", ClientSecret: "sesame", RedirectURI: "https://x.example/cb", Sleep: func(context.Context, time.Duration) error { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		_, err1 := b.Exchange(t.Context(), "the-code", "the-verifier")
		_, err2 := b.Read(t.Context(), "the-token")
		for _, err := range []error{err1, err2} {
			if err == nil {
				t.Error("a teapot was believed")
				continue
			}
			for _, secret := range []string{"sesame", "the-code", "the-verifier", "the-token"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%q is in %q", secret, err)
				}
			}
		}
	}
	check()
	bank.Close()
	check()
}

func FuzzLine(f *testing.F) {
	f.Add(row)
	f.Add(`{}`)
	f.Add(`{"Amount":{"Amount":"1e9","Currency":"GBP"}}`)
	d := decoder(f)
	f.Fuzz(func(t *testing.T, text string) {
		var x obie.Transaction
		if json.Unmarshal([]byte(text), &x) != nil {
			return
		}
		l, err := d.Line(x)
		if err == nil && (l.Day.IsZero() || l.Account == "" || x.CreditDebitIndicator == "Debit" && l.Amount > 0) {
			t.Errorf("%+v", l)
		}
	})
}

func ExampleBank_AuthorizeURL() {
	b, _ := obie.New(obie.Config{Issuer: "https://bank.example", ClientID: "c", ClientSecret: "s", RedirectURI: "https://us.example/cb"})
	fmt.Println(strings.HasPrefix(b.AuthorizeURL("consent", "state", "challenge"), "https://bank.example/authorize?client_id=c&code_challenge=challenge"))
	// Output: true
}
