// Package spend says where money went. A category comes from the first of: the customer's own correction, what the
// streams say, the bank's purpose code, the card scheme's category code, and plain words in the name. What none of
// them knows stays uncategorised, and a page says how much that is.
package spend

import (
	"slices"
	"strconv"
	"strings"

	"example.org/affordability/detect"
	"example.org/affordability/statement"
)

// Group is how a lender looks at spending (FCA MCOB 11.6).
type Group string

// The groups. Only the first four are spending.
const (
	Committed     Group = "committed"
	Essential     Group = "essential"
	Quality       Group = "quality"
	Discretionary Group = "discretionary"
	Housing       Group = "housing" // rent and mortgage: it ends when the new mortgage begins
	Moved         Group = "moved"   // between own accounts, and what came back
	Income        Group = "income"
)

// Category is one heading.
type Category struct {
	ID    string
	Name  string
	Group Group
}

var categories = []Category{
	{"rent", "Rent", Housing},
	{"mortgage", "Mortgage", Housing},
	{"deposit", "Tenancy deposit", Moved},
	{"loan", "Loans and car finance", Committed},
	{"card_debt", "Credit cards", Committed},
	{"later", "Pay later", Committed},
	{"maintenance", "Maintenance", Committed},
	{"food", "Food shopping", Essential},
	{"utilities", "Energy and water", Essential},
	{"council", "Council tax", Essential},
	{"connection", "Phone and broadband", Essential},
	{"travel", "Travel", Essential},
	{"cover", "Insurance", Essential},
	{"licence", "TV licence", Essential},
	{"childcare", "Childcare", Quality},
	{"clothes", "Clothes", Quality},
	{"household", "Household goods", Quality},
	{"personal", "Health and personal", Quality},
	{"recreation", "Sport and recreation", Quality},
	{"other", "Not categorised", Quality},
	{"eating", "Eating out", Discretionary},
	{"fun", "Entertainment and subscriptions", Discretionary},
	{"shopping", "Other shopping", Discretionary},
	{"gambling", "Gambling", Discretionary},
	{"people", "To people", Discretionary},
	{"cash", "Cash", Discretionary},
	{"charges", "Bank charges", Discretionary},
	{"own", "Between own accounts", Moved},
	{"refund", "Refunds and returned payments", Moved},
	{"income", "Income", Income},
	{"share", "Flatmates' part", Moved},
}

// Categories lists every heading in the order of the pages.
func Categories() []Category { return slices.Clone(categories) }

// ByID finds a category.
func ByID(id string) (Category, bool) {
	i := slices.IndexFunc(categories, func(c Category) bool { return c.ID == id })
	if i < 0 {
		return Category{}, false
	}
	return categories[i], true
}

// Corrections are what the customer said: a category by payee (see [detect.Payee]).
type Corrections map[string]string

// Of returns the category of a line and why.
func Of(l statement.Line, sort detect.Sort, said Corrections) (Category, string) {
	if id, ok := said[detect.Payee(l)]; ok {
		if c, ok := ByID(id); ok {
			return c, "you said so"
		}
	}
	id, why := guess(l, sort)
	c, _ := ByID(id)
	return c, why
}

func guess(l statement.Line, sort detect.Sort) (id, why string) {
	switch sort {
	case detect.RentPaid, detect.RentBefore:
		return "rent", "it belongs to the rent"
	case detect.HomeLoan:
		return "mortgage", "it belongs to the mortgage"
	case detect.DepositPaid:
		return "deposit", "it is a tenancy deposit"
	case detect.BetweenOwn:
		return "own", "it has two sides in your own accounts"
	case detect.SalaryIn, detect.BenefitIn, detect.VariableIn:
		return "income", "it belongs to an income"
	case detect.ShareIn:
		return "share", "it is a flatmate's part of the rent"
	}
	if l.Amount > 0 {
		if l.Channel == statement.Card || l.Channel == statement.Mandate {
			return "refund", "it came back the way it went"
		}
		return "income", "it came in"
	}
	if id, ok := byMCC(l.MCC); ok {
		return id, "its card category code is " + l.MCC
	}
	if id, word := byWord(l); id != "" {
		return id, "its name says “" + word + "”"
	}
	switch l.Channel {
	case statement.Machine:
		return "cash", "it is a cash machine"
	case statement.Fee:
		return "charges", "the bank charged it"
	case statement.FasterOut:
		return "people", "it is a transfer to somebody"
	}
	return "other", "nothing says what it is"
}

// byMCC reads the merchant category codes of ISO 18245.
func byMCC(code string) (string, bool) {
	n, err := strconv.Atoi(code)
	if err != nil {
		return "", false
	}
	for _, r := range []struct {
		from, to int
		id       string
	}{
		{4000, 4299, "travel"},
		{5541, 5542, "travel"},
		{7523, 7523, "travel"},
		{4784, 4784, "travel"},
		{3000, 3299, "travel"},
		{4812, 4816, "connection"},
		{4899, 4899, "connection"},
		{4900, 4900, "utilities"},
		{9311, 9311, "council"},
		{9399, 9399, "licence"},
		{9211, 9223, "council"},
		{5411, 5499, "food"},
		{5811, 5814, "eating"},
		{5815, 5818, "fun"},
		{7832, 7841, "fun"},
		{7922, 7933, "fun"},
		{7991, 7994, "fun"},
		{7996, 7996, "fun"},
		{7941, 7941, "recreation"},
		{7997, 7999, "recreation"},
		{5600, 5699, "clothes"},
		{5200, 5299, "household"},
		{5712, 5722, "household"},
		{5912, 5912, "personal"},
		{7230, 7298, "personal"},
		{8011, 8099, "personal"},
		{6300, 6399, "cover"},
		{8351, 8351, "childcare"},
		{8200, 8299, "childcare"},
		{6010, 6011, "cash"},
		{6012, 6012, "loan"},
		{6051, 6051, "loan"},
		{7800, 7802, "gambling"},
		{7995, 7995, "gambling"},
		{5000, 5999, "shopping"},
	} {
		if n >= r.from && n <= r.to {
			return r.id, true
		}
	}
	return "", false
}

// hints are whole words; the first that fits wins, so the particular stands before the general.
var hints = []struct {
	id    string
	words []string
}{
	{"council", []string{"COUNCIL TAX", "CTAX"}},
	{"licence", []string{"TV LICENCE"}},
	{"card_debt", []string{"CREDIT CARD", "CARD SERVICES"}},
	{"loan", []string{"LOAN", "LOANS", "FINANCE", "CREDIT", "LENDING"}},
	{"cover", []string{"INSURANCE", "INS", "ASSURANCE"}},
	{"childcare", []string{"NURSERY", "CHILDCARE", "CHILDMINDER"}},
	{"utilities", []string{"ENERGY", "POWER", "ELECTRIC", "GAS", "WATER"}},
	{"connection", []string{"BROADBAND", "FIBRE", "MOBILE BILL", "TELECOM", "TEL", "PHONE"}},
	{"recreation", []string{"GYM", "LEISURE", "SWIMMING", "FIVE A SIDE"}},
	{"gambling", []string{"BETS", "BETTING", "CASINO", "BINGO", "LOTTERY"}},
	{"eating", []string{"CAFE", "COFFEE", "KEBAB", "PIZZA", "NOODLE", "RESTAURANT", "TAVERN", "PUB", "BAR"}},
	{"food", []string{"FOODS", "FOOD", "BAKERY", "GROCER", "GROCERY", "GREENS", "SUPERMARKET", "BUTCHER", "PANTRY", "LARDER"}},
	{"travel", []string{"RAIL", "BUS", "TICKETS", "FUELS", "FUEL", "CABS", "TAXI", "PARKING", "TRAIN"}},
	{"fun", []string{"CINEMA", "THEATRE", "MUSIC", "GAMES", "STREAMING"}},
	{"personal", []string{"CHEMIST", "PHARMACY", "SALON", "BARBER", "DENTAL", "OPTICIAN"}},
	{"household", []string{"DIY", "FURNITURE", "HARDWARE", "HOMEWARE"}},
	{"shopping", []string{"BOOKS", "GADGETS", "STORE"}},
	{"maintenance", []string{"CHILD MAINTENANCE", "CMS"}},
}

func byWord(l statement.Line) (id, word string) {
	text := " " + strings.Join(strings.FieldsFunc(strings.ToUpper(l.Text+" "+l.Merchant+" "+l.Party), func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '0' || r > '9') }), " ") + " "
	for _, h := range hints {
		for _, w := range h.words {
			if strings.Contains(text, " "+w+" ") {
				return h.id, strings.ToLower(w)
			}
		}
	}
	return "", ""
}
