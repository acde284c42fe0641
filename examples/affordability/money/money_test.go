package money_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"example.org/affordability/money"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in string
		want     money.Amount
		err      error
	}{
		{"pounds", "12", 1200, nil},
		{"one decimal is ten pence", "12.3", 1230, nil},
		{"two decimals", "12.34", 1234, nil},
		{"five decimals of nothing", "12.34000", 1234, nil},
		{"five decimals that mean something are refused", "12.34125", 0, money.ErrSubPenny},
		{"the largest legal amount", "9999999999999.99", 999999999999999, nil},
		{"too long", "12345678901234", 0, money.ErrForm},
		{"six decimals", "1.000000", 0, money.ErrForm},
		{"a sign belongs in another field", "-1.00", 0, money.ErrForm},
		{"nothing", "", 0, money.ErrForm},
		{"a bare point", "1.", 0, money.ErrForm},
		{"letters", "1e3", 0, money.ErrForm},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := money.Parse(c.in)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("Parse(%q) = %d, %v; want %d, %v", c.in, got, err, c.want, c.err)
			}
		})
	}
}

func TestDivideRoundsHalfAwayFromZero(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]int64{{5, 2, 3}, {-5, 2, -3}, {7, 3, 2}, {8, 3, 3}, {0, 12, 0}} {
		if got := money.Amount(c[0]).Divide(c[1]); int64(got) != c[2] {
			t.Errorf("%d / %d = %d, want %d", c[0], c[1], got, c[2])
		}
	}
}

// The judge is the pattern in the official document.
func FuzzParse(f *testing.F) {
	legal := regexp.MustCompile(`^\d{1,13}$|^\d{1,13}\.\d{1,5}$`)
	for _, s := range []string{"0", "1.5", "1.23456", "x", "1..2", "٣"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := money.Parse(s)
		if legal.MatchString(s) == errors.Is(err, money.ErrForm) {
			t.Errorf("Parse(%q) = %d, %v disagrees with the official pattern", s, a, err)
		}
		if err != nil {
			return
		}
		whole, part, _ := strings.Cut(s, ".")
		if want := fmt.Sprintf("%s%s", whole, (part + "00")[:2]); strings.TrimLeft(want, "0") != strings.TrimLeft(fmt.Sprint(int64(a)), "0") {
			t.Errorf("Parse(%q) = %d pence, want %s", s, a, want)
		}
	})
}

func ExampleAmount_String() {
	fmt.Println(money.Amount(171246_00), money.Amount(-950_50))
	// Output: £171,246.00 −£950.50
}
