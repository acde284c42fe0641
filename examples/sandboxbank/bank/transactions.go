package bank

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"example.org/sandboxbank/town"
)

// shortHistory is what the short-history fault leaves.
const shortHistory = 40

// cursor is the place where a page starts. Clients see it as a word that only this bank can write.
type cursor struct {
	offset int
	page   int
}

func (b *Bank) seal(account string, c cursor) string {
	text := fmt.Sprintf("%d.%d", c.offset, c.page)
	return base64.RawURLEncoding.EncodeToString(append([]byte(text+"|"), b.mac(account+"|"+text)...))
}

func (b *Bank) unseal(account, word string) (cursor, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(word)
	text, mac, found := strings.Cut(string(raw), "|")
	if err != nil || !found || !hmac.Equal([]byte(mac), b.mac(account+"|"+text)) {
		return cursor{}, false
	}
	var c cursor
	_, err = fmt.Sscanf(text, "%d.%d", &c.offset, &c.page)
	return c, err == nil
}

func (b *Bank) mac(text string) []byte {
	h := hmac.New(sha256.New, b.cursorKey[:])
	h.Write([]byte(text))
	return h.Sum(nil)[:12]
}

func (b *Bank) transactions(w http.ResponseWriter, r *http.Request, v view) {
	if !needs(w, v, "ReadTransactionsBasic", "ReadTransactionsDetail") {
		return
	}
	t, i := b.owned(w, r, v)
	if t == nil {
		return
	}
	q := r.URL.Query()
	from, err1 := bound(q.Get("fromBookingDateTime"))
	to, err2 := bound(q.Get("toBookingDateTime"))
	if err1 != nil || err2 != nil {
		refuse(w, http.StatusBadRequest, codeFieldInvalid, "a booking date filter is not a date and time", "fromBookingDateTime")
		return
	}
	account := t.Accounts[i].ID
	at := cursor{}
	if word := q.Get("page"); word != "" {
		var ok bool
		if at, ok = b.unseal(account, word); !ok {
			refuse(w, http.StatusBadRequest, codeFieldInvalid, "this is not a page that the bank offered", "page")
			return
		}
	}
	first := t.From
	if v.faults["short-history"] {
		first = t.AsOf.AddDate(0, 0, -shortHistory)
	}
	rows := visible(t, i, v.consent, first, from, to)
	b.page(w, r, t, v, rows, at, first)
}

// bound reads a filter; the standard says to ignore its time zone.
func bound(s string) (time.Time, error) {
	if len(s) > 19 {
		s = s[:19]
	}
	if s == "" {
		return time.Time{}, nil
	}
	if len(s) == len(time.DateOnly) {
		return time.Parse(time.DateOnly, s)
	}
	return time.Parse("2006-01-02T15:04:05", s)
}

// visible returns the entries of an account that the consent and the filters let through, newest first.
func visible(t *town.Tenant, account int, c consent, first, from, to time.Time) []town.Entry {
	var rows []town.Entry
	for i := len(t.Entries) - 1; i >= 0; i-- {
		e := t.Entries[i]
		switch {
		case e.Account != account, e.At.Before(first),
			e.Amount < 0 && !c.allows("ReadTransactionsDebits"), e.Amount > 0 && !c.allows("ReadTransactionsCredits"),
			!from.IsZero() && e.At.Before(from), !to.IsZero() && e.At.After(to),
			!c.from.IsZero() && e.At.Before(c.from), !c.to.IsZero() && e.At.After(c.to):
		default:
			rows = append(rows, e)
		}
	}
	return rows
}

// page sends one page of rows. Paging gives no isolation in the standard, so a careful client removes repeats.
func (b *Bank) page(w http.ResponseWriter, r *http.Request, t *town.Tenant, v view, rows []town.Entry, at cursor, first time.Time) {
	begin := min(at.offset, len(rows))
	end := min(begin+b.cfg.PageSize, len(rows))
	if v.faults["repeat-rows"] && begin > 0 {
		begin = max(0, begin-3)
	}
	list := []wireTransaction{}
	for _, e := range rows[begin:end] {
		x := transactionOf(t, e, v.consent.allows("ReadTransactionsDetail"))
		if v.faults["no-ids"] {
			x.TransactionID = ""
		}
		if v.faults["sub-penny"] && len(list) == 0 {
			x.Amount.Amount += "125"
		}
		list = append(list, x)
	}
	l := links{Self: b.cfg.BaseURL + r.URL.RequestURI()}
	more := end < len(rows)
	next := cursor{offset: end, page: at.page + 1}
	if v.faults["endless"] && !more {
		more, next.offset = true, 0
	}
	if more {
		l.Next = b.pageURL(r, next)
	}
	if v.faults["foreign-next"] {
		l.Next = strings.Replace(b.pageURL(r, next), b.cfg.BaseURL, "https://elsewhere.invalid", 1)
	}
	writeJSON(w, http.StatusOK, envelope{
		Data: map[string]any{"Transaction": list}, Links: l,
		Meta: meta{FirstAvailableDateTime: stamp(first), LastAvailableDateTime: stamp(t.AsOf.Add(24*time.Hour - time.Second))},
	})
}

func (b *Bank) pageURL(r *http.Request, c cursor) string {
	q := url.Values{}
	for _, name := range []string{"fromBookingDateTime", "toBookingDateTime"} {
		if s := r.URL.Query().Get(name); s != "" {
			q.Set(name, s)
		}
	}
	q.Set("page", b.seal(r.PathValue("account"), c))
	return b.cfg.BaseURL + r.URL.Path + "?" + q.Encode()
}
