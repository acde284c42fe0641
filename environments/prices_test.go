package environments_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments"
)

const (
	// The shape is that of AWS's price list bulk API: offers/v1.0/aws/AmazonEC2/current/eu-west-2/index.json.
	awsOffer = `{"formatVersion":"v1.0","offerCode":"AmazonEC2","products":{
"A":{"sku":"A","productFamily":"Compute Instance","attributes":{"regionCode":"eu-west-2","instanceType":"t3.large","operatingSystem":"Linux","tenancy":"Shared","preInstalledSw":"NA","capacitystatus":"Used"}},
"B":{"sku":"B","productFamily":"Compute Instance","attributes":{"regionCode":"eu-west-2","instanceType":"t3.large","operatingSystem":"Windows","tenancy":"Shared","preInstalledSw":"NA","capacitystatus":"Used"}},
"C":{"sku":"C","productFamily":"Compute Instance","attributes":{"regionCode":"us-east-1","instanceType":"t3.small","operatingSystem":"Linux","tenancy":"Shared","preInstalledSw":"NA","capacitystatus":"Used"}},
"D":{"sku":"D","productFamily":"Database Instance","attributes":{"regionCode":"eu-west-2","instanceType":"db.t3.medium","databaseEngine":"PostgreSQL","deploymentOption":"Single-AZ"}}},
"terms":{"Reserved":{"A":{"A.R":{"priceDimensions":{"x":{"unit":"Hrs","pricePerUnit":{"USD":"0.01"}}}}}},
"OnDemand":{"A":{"A.J":{"priceDimensions":{"A.J.6":{"unit":"Hrs","pricePerUnit":{"USD":"0.0944000000"}}}}},"B":{"B.J":{"priceDimensions":{}}},"C":{"C.J":{"priceDimensions":{"x":{"unit":"Hrs","pricePerUnit":{"USD":"0.0208"}}}}},
"D":{"D.J":{"priceDimensions":{"x":{"unit":"Hrs","pricePerUnit":{"USD":"0.076"}}}}}}},"attributesList":{}}`
	// That of the Azure Retail Prices API.
	azurePage = `{"BillingCurrency":"EUR","Items":[
{"currencyCode":"EUR","retailPrice":0.084,"armRegionName":"uksouth","armSkuName":"Standard_D2s_v5","productName":"Virtual Machines Dsv5 Series","skuName":"D2s v5","serviceName":"Virtual Machines","unitOfMeasure":"1 Hour","type":"Consumption"},
{"currencyCode":"EUR","retailPrice":0.02,"armRegionName":"uksouth","armSkuName":"Standard_D2s_v5","productName":"Virtual Machines Dsv5 Series","skuName":"D2s v5 Spot","serviceName":"Virtual Machines","unitOfMeasure":"1 Hour","type":"Consumption"}],"NextPageLink":null,"Count":2}`
)

func TestImportedPricesAreAPriceList(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, text string
		how        environments.PriceImport
		want       string
	}{
		{"an offer file of AWS", awsOffer, environments.PriceImport{Format: "aws", Region: "eu-west-2"}, `currency: "USD"
prices:
  "aws_db_instance/db.t3.medium": {hour: 0.076, as_of: 2026-11-22, source: list}
  "aws_instance/t3.large": {hour: 0.0944, as_of: 2026-11-22, source: list}
`},
		{"a page of Azure's retail prices", azurePage, environments.PriceImport{Format: "azure", Region: "uksouth"}, `currency: "EUR"
prices:
  "azurerm_linux_virtual_machine/Standard_D2s_v5": {hour: 0.084, as_of: 2026-11-22, source: list}
`},
		{"a table of one's own", "key,hour,currency,covered,source\nprocess,0.04,EUR,0.3,contract\n", environments.PriceImport{Format: "csv"}, `currency: "EUR"
prices:
  "process": {hour: 0.04, as_of: 2026-11-22, source: contract, covered: 0.3}
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.how.AsOf = day
			p, err := environments.ReadPrices(strings.NewReader(tt.text), tt.how)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(p.YAML())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			back, err := environments.ParsePrices(p.YAML())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(p, back); diff != "" {
				t.Errorf("read back (-want +got):\n%s", diff)
			}
		})
	}
	for text, how := range map[string]environments.PriceImport{
		"":                                  {Format: "aws"},
		"[1,2]":                             {Format: "azure"},
		awsOffer:                            {Format: "aws", Region: "mars-north-1"},
		"key,hour,currency\nvm,cheap,EUR\n": {Format: "csv"},
		"key,hour,currency\nvm,1,EUR\ndb,1,USD\n":                        {Format: "csv"},
		"key,hour,currency,covered\nvm,1,EUR,2\n":                        {Format: "csv"},
		"key,hour,currency\nvm,NaN,EUR\n":                                {Format: "csv"},
		`{"Items":` + strings.Repeat(`[`, 20_000):                        {Format: "azure"},
		`{"products":{"A":{"productFamily":7}},"terms":{"OnDemand":{}}}`: {Format: "aws"},
		"key,hour,currency,source\nvm,1,EUR,\"list}\"\n":                 {Format: "csv"},
		"anything": {Format: "xlsx"},
	} {
		if _, err := environments.ReadPrices(strings.NewReader(text), how); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("%.40q as %s: %v, want invalid", text, how.Format, err)
		}
	}
}
