// Package money is pounds and pence as whole pence. No float ever holds money here.
package money

import (
	"errors"
	"fmt"
	"strings"
)

// Amount is a sum in pence. Money that left an account is negative.
type Amount int64

// Errors of [Parse].
var (
	ErrForm     = errors.New("amount is not a decimal number with at most five places")
	ErrSubPenny = errors.New("amount has a part smaller than a penny")
)

// Parse reads the amount of an Open Banking answer: one to thirteen digits, then at most five decimals
// (OBActiveCurrencyAndAmount_SimpleType). A part smaller than a penny is refused, never rounded: a bank that
// sends one is counting something else than pounds.
func Parse(s string) (Amount, error) {
	whole, part, dot := strings.Cut(s, ".")
	if len(whole) < 1 || len(whole) > 13 || (dot && (len(part) < 1 || len(part) > 5)) {
		return 0, ErrForm
	}
	var a Amount
	for _, c := range whole {
		if c < '0' || c > '9' {
			return 0, ErrForm
		}
		a = a*10 + Amount(c-'0')
	}
	for i := range 2 {
		a *= 10
		if i < len(part) {
			if part[i] < '0' || part[i] > '9' {
				return 0, ErrForm
			}
			a += Amount(part[i] - '0')
		}
	}
	for i := 2; i < len(part); i++ {
		switch c := part[i]; {
		case c < '0' || c > '9':
			return 0, ErrForm
		case c != '0':
			return 0, ErrSubPenny
		}
	}
	return a, nil
}

// Abs returns the size of the amount.
func (a Amount) Abs() Amount {
	if a < 0 {
		return -a
	}
	return a
}

// String writes £1,234.56, with a true minus sign in front when negative.
func (a Amount) String() string {
	return sign(a) + "£" + thousands(int64(a.Abs())/100) + fmt.Sprintf(".%02d", int64(a.Abs())%100)
}

// Pounds writes whole pounds, cut off and not rounded: £1,234.
func (a Amount) Pounds() string { return sign(a) + "£" + thousands(int64(a.Abs())/100) }

func sign(a Amount) string {
	if a < 0 {
		return "−"
	}
	return ""
}

func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Share returns a × bp / 10,000, rounded down towards zero. A basis point is a hundredth of one per cent.
func (a Amount) Share(bp int64) Amount { return Amount(int64(a) * bp / 10000) }

// Divide returns a / n rounded half away from zero.
func (a Amount) Divide(n int64) Amount {
	if a < 0 {
		return -((-a + Amount(n/2)) / Amount(n))
	}
	return (a + Amount(n/2)) / Amount(n)
}
