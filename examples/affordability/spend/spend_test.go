package spend_test

import (
	"fmt"
	"testing"

	"example.org/affordability/detect"
	"example.org/affordability/spend"
	"example.org/affordability/statement"
)

func TestOf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		line statement.Line
		sort detect.Sort
		said spend.Corrections
		want string
	}{
		"the customer's word comes first":           {statement.Line{Amount: -1, MCC: "5411", Text: "MARROW"}, detect.RentPaid, spend.Corrections{"MARROW": "fun"}, "fun"},
		"a correction to nowhere is ignored":        {statement.Line{Amount: -1, MCC: "5411", Text: "MARROW"}, "", spend.Corrections{"MARROW": "yachts"}, "food"},
		"then the stream":                           {statement.Line{Amount: -1, MCC: "5411"}, detect.RentPaid, nil, "rent"},
		"then the card category code":               {statement.Line{Amount: -1, MCC: "7995", Text: "SUPERMARKET"}, "", nil, "gambling"},
		"then a word":                               {statement.Line{Amount: -1, Text: "HILLTOP SUPERMARKET"}, "", nil, "food"},
		"part of a word is no word":                 {statement.Line{Amount: -1, Text: "GASTON SMITHBUS"}, "", nil, "other"},
		"council tax is not tax on councils":        {statement.Line{Amount: -1, Text: "MUDDLE COUNCIL TAX"}, "", nil, "council"},
		"a transfer to somebody":                    {statement.Line{Amount: -1, Channel: statement.FasterOut, Text: "Z ZED"}, "", nil, "people"},
		"what nobody knows":                         {statement.Line{Amount: -1, Channel: statement.Card, Text: "QQQ"}, "", nil, "other"},
		"a card refund":                             {statement.Line{Amount: 1, Channel: statement.Card, MCC: "5411"}, "", nil, "refund"},
		"a returned direct debit":                   {statement.Line{Amount: 1, Channel: statement.Mandate}, "", nil, "refund"},
		"a move between own accounts is not income": {statement.Line{Amount: 1}, detect.BetweenOwn, nil, "own"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, why := spend.Of(c.line, c.sort, c.said); got.ID != c.want || why == "" {
				t.Errorf("%s (%s), want %s", got.ID, why, c.want)
			}
		})
	}
}

func TestEveryCategoryHasAGroupAndANameOfItsOwn(t *testing.T) {
	t.Parallel()
	ids, names := map[string]bool{}, map[string]bool{}
	for _, c := range spend.Categories() {
		if c.Group == "" || ids[c.ID] || names[c.Name] {
			t.Errorf("%+v", c)
		}
		ids[c.ID], names[c.Name] = true, true
		if got, ok := spend.ByID(c.ID); !ok || got != c {
			t.Errorf("ByID(%s) = %+v", c.ID, got)
		}
	}
}

func ExampleOf() {
	c, why := spend.Of(statement.Line{Amount: -420, MCC: "5814", Text: "X"}, detect.Plain, nil)
	fmt.Println(c.Name, "because", why)
	// Output: Eating out because its card category code is 5814
}
