package profile

import (
	"example.org/affordability/money"
)

// Op names the arithmetic of a figure. There are few, so that a reader, and a test, can redo each one.
type Op string

// The operations. Inputs are in the order that the comment gives.
const (
	Median     Op = "median"     // of the inputs, times 13/12, 26/12 or 52/12 when the beat is not a month
	SumRows    Op = "sum_rows"   // minus the sum of the rows, divided by the input "months", rounded
	LowerShare Op = "lower"      // the lower of the first two inputs, times the third in basis points
	Sum        Op = "sum"        // of the inputs
	Difference Op = "difference" // the first input minus the others
	Larger     Op = "larger"     // the first two inputs added, or the third when it is larger
	Gross      Op = "gross"      // for each input: the gross year whose net is twelve times it; added
	TimesBP    Op = "times_bp"   // the first input times the second in basis points, cut to the penny
	Annuity    Op = "annuity"    // the loan that a payment carries: payment, yearly rate in basis points, months
	Payment    Op = "payment"    // the payment that a loan needs: loan, yearly rate in basis points, months
	Lowest     Op = "lowest"     // of the inputs
	Price      Op = "price"      // loan + deposit, or deposit / (1 − the third in basis points), whichever is lower
	Given      Op = "given"      // the customer or the bank said it
)

// Unit says what an input counts.
type Unit string

// The units.
const (
	Pence  Unit = "pence"
	Points Unit = "basis points"
	Months Unit = "months"
	Number Unit = "number"
)

// Input is one value that a figure is made of, and where it comes from.
type Input struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
	Unit  Unit   `json:"unit"`
	From  string `json:"from,omitempty"` // another figure's id, "policy", "you", or empty for the rows
}

// Figure is an amount that can be opened: its formula in words, its inputs, and the rows behind it.
type Figure struct {
	ID      string       `json:"id"`
	Name    string       `json:"name"`
	Value   money.Amount `json:"value"`
	Op      Op           `json:"op"`
	Formula string       `json:"formula"`
	Beat    string       `json:"beat,omitempty"` // for a median of single payments
	Inputs  []Input      `json:"inputs,omitempty"`
	Rows    []string     `json:"rows,omitempty"` // keys of lines
	Note    string       `json:"note,omitempty"`
}

func pence(name string, v money.Amount, from string) Input { return Input{name, int64(v), Pence, from} }
func points(name string, v int64, from string) Input       { return Input{name, v, Points, from} }
func months(name string, v int, from string) Input         { return Input{name, int64(v), Months, from} }
