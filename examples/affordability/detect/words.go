package detect

import (
	"slices"
	"strings"

	"example.org/affordability/statement"
)

// The words are ordinary English and trade terms, never the names of particular firms.
var (
	homeWords     = []string{"RENT", "RENTAL", "LETTING", "LETTINGS", "LETS", "LANDLORD", "TENANCY", "TENANCIES", "PROPERTY", "PROPERTIES", "ESTATES", "HOUSING", "RESIDENTIAL", "HOMES", "APARTMENT", "FLAT"}
	notHomeWords  = []string{"SAVING", "SAVINGS", "LOAN", "LOANS", "NURSERY", "CHILDCARE", "SCHOOL", "FEES", "CTAX", "DEPOSIT", "CARD", "CREDIT", "FINANCE", "INSURANCE", "PENSION", "INVESTMENT", "ISA", "BOARD", "KEEP", "ENERGY", "WATER", "MAINTENANCE"}
	homeLoanWords = []string{"MORTGAGE", "MORTGAGES", "MTG", "MTGE"}
	payWords      = []string{"SALARY", "WAGES", "WAGE", "PAYROLL", "PAY"}
	firmWords     = []string{"LTD", "LIMITED", "PLC", "LLP", "COUNCIL", "NHS", "TRUST", "UNIVERSITY", "ACADEMY", "GROUP", "SERVICES"}
	stateWords    = []string{"DWP", "HMRC", "BENEFIT", "BENEFITS", "UC"}
)

// tokens are the upper-case words of everything that a line says about the other side.
func tokens(l statement.Line) []string {
	return strings.FieldsFunc(strings.ToUpper(l.Text+" "+l.Party+" "+l.Merchant), func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
}

// says reports whether any line of a stream holds one of the words.
func says(lines []statement.Line, words []string) (string, bool) {
	for _, l := range lines {
		for _, t := range tokens(l) {
			if slices.Contains(words, t) {
				return strings.ToLower(t), true
			}
		}
	}
	return "", false
}

func together(lines []statement.Line, phrase string) bool {
	return slices.ContainsFunc(lines, func(l statement.Line) bool {
		return strings.Contains(strings.Join(tokens(l), " "), phrase)
	})
}

// coded reports whether the bank itself says what a payment is for (v4.0 purpose codes).
func coded(lines []statement.Line, codes ...string) bool {
	return slices.ContainsFunc(lines, func(l statement.Line) bool {
		return slices.Contains(codes, l.Purpose) || slices.Contains(codes, l.Category)
	})
}

// personal reports a name like "A SMITH": an initial and a family name.
func personal(l statement.Line) bool {
	t := tokens(l)
	return len(t) >= 2 && len(t[0]) == 1 && t[0][0] >= 'A' && len(t[1]) > 2 && !hasDigit(t[1])
}

// kin reports whether the other side is a person with the family name of an account holder.
func (f *finder) kin(lines []statement.Line) bool {
	for _, a := range f.s.Accounts {
		for _, name := range strings.Split(strings.ToUpper(a.Holder), "&") {
			parts := strings.Fields(name)
			if len(parts) < 2 {
				continue
			}
			family := parts[len(parts)-1]
			if len(family) < 4 {
				continue
			}
			for _, l := range lines {
				t := tokens(l)
				for i := 1; i < len(t) && i < 5; i++ {
					if len(t[i-1]) == 1 && len(t[i]) >= 4 && strings.HasPrefix(family, t[i]) {
						return true
					}
				}
			}
		}
	}
	return false
}

// holder reports whether the other side carries the account holder's whole name.
func (f *finder) holder(l statement.Line) bool {
	text := strings.Join(tokens(statement.Line{Text: l.Text, Party: l.Party}), " ")
	for _, a := range f.s.Accounts {
		name := strings.Join(tokens(statement.Line{Text: a.Holder}), " ")
		if len(name) > 11 {
			name = name[:11] // statements cut long names
		}
		if len(name) >= 8 && (strings.HasPrefix(text, name) || strings.Contains(text, " ORDER "+name)) {
			return true
		}
	}
	return false
}
