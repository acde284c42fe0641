package bank

// The shapes of the OBIE v4.0 document, as far as this bank fills them. Field names are the standard's.

type amount struct {
	Amount   string
	Currency string
}

type cashAccount struct {
	SchemeName     string
	Identification string
	Name           string `json:",omitempty"`
}

type wireAccount struct {
	AccountID       string        `json:"AccountId"`
	Status          string        `json:",omitempty"`
	Currency        string        `json:",omitempty"`
	AccountCategory string        `json:",omitempty"`
	AccountTypeCode string        `json:",omitempty"`
	Nickname        string        `json:",omitempty"`
	Account         []cashAccount `json:",omitempty"`
}

type wireBalance struct {
	AccountID            string `json:"AccountId"`
	CreditDebitIndicator string
	Type                 string
	DateTime             string
	Amount               amount
}

type proprietaryCode struct {
	Code   string
	Issuer string
}

type merchant struct {
	MerchantName         string `json:",omitempty"`
	MerchantCategoryCode string `json:",omitempty"`
}

type runningBalance struct {
	CreditDebitIndicator string
	Type                 string
	Amount               amount
}

type wireTransaction struct {
	AccountID                      string `json:"AccountId"`
	TransactionID                  string `json:"TransactionId,omitempty"`
	CreditDebitIndicator           string
	Status                         string
	TransactionMutability          string `json:",omitempty"`
	BookingDateTime                string
	ValueDateTime                  string `json:",omitempty"`
	TransactionInformation         string `json:",omitempty"`
	Amount                         amount
	ProprietaryBankTransactionCode *proprietaryCode `json:",omitempty"`
	Balance                        *runningBalance  `json:",omitempty"`
	MerchantDetails                *merchant        `json:",omitempty"`
	CreditorAccount                *cashAccount     `json:",omitempty"`
	DebtorAccount                  *cashAccount     `json:",omitempty"`
	CategoryPurposeCode            string           `json:",omitempty"`
	PaymentPurposeCode             string           `json:",omitempty"`
}

type frequency struct {
	Type           string
	CountPerPeriod int    `json:",omitempty"`
	PointInTime    string `json:",omitempty"`
}

type mandate struct{ Frequency frequency }

type remittance struct{ Unstructured []string }

type wireOrder struct {
	AccountID                 string       `json:"AccountId"`
	StandingOrderID           string       `json:"StandingOrderId"`
	NextPaymentDateTime       string       `json:",omitempty"`
	LastPaymentDateTime       string       `json:",omitempty"`
	StandingOrderStatusCode   string       `json:",omitempty"`
	NextPaymentAmount         *amount      `json:",omitempty"`
	LastPaymentAmount         *amount      `json:",omitempty"`
	CreditorAccount           *cashAccount `json:",omitempty"`
	MandateRelatedInformation *mandate     `json:",omitempty"`
	RemittanceInformation     *remittance  `json:",omitempty"`
}

type links struct {
	Self  string
	First string `json:",omitempty"`
	Next  string `json:",omitempty"`
}

type meta struct {
	FirstAvailableDateTime string `json:",omitempty"`
	LastAvailableDateTime  string `json:",omitempty"`
}

// envelope is the frame of every answer with data.
type envelope struct {
	Data  any
	Links links
	Meta  meta
}
