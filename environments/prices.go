package environments

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// PriceImport says how to read a public price file.
type PriceImport struct {
	// Format is aws (an offer file of the bulk API, for one region), azure (a
	// page of the Retail Prices API) or csv (key, hour, and after them currency,
	// source and covered, named in its first line).
	Format string
	// Region keeps only what is sold there: "eu-west-2", "uksouth". "" keeps
	// what comes first of each key.
	Region string
	// Engine is the database whose instances are read, as AWS writes it.
	// Default: PostgreSQL.
	Engine string
	// AsOf is the day that is noted. Required.
	AsOf time.Time
}

// maxPrices bounds a list that is read in.
const maxPrices = 20_000

// ReadPrices reads list prices from a public file, by the keys that the terraform
// provider names: "aws_instance/t3.large". On-demand Linux prices count; what is
// reserved, spot, or not by the hour is left out. It reads as a stream: the files
// are large.
func ReadPrices(r io.Reader, i PriceImport) (Prices, error) {
	p := Prices{Items: map[string]Price{}}
	var err error
	switch i.Format {
	case "aws":
		err = i.aws(json.NewDecoder(r), &p)
	case "azure":
		err = i.azure(json.NewDecoder(r), &p)
	case "csv":
		err = i.csv(r, &p)
	default:
		return p, nightporter.E(nightporter.Invalid, "%q is no format of prices", i.Format).WithHint("choose aws, azure or csv")
	}
	if err != nil {
		if nightporter.CodeOf(err) == nightporter.Invalid {
			return p, err
		}
		return p, nightporter.Wrap(err, nightporter.Invalid, "the price file cannot be read as %s", i.Format)
	}
	if len(p.Items) == 0 {
		return p, nightporter.E(nightporter.Invalid, "the file has no hourly price that counts").WithHint("is the region %q in it?", i.Region)
	}
	return p, nil
}

func (i PriceImport) add(p *Prices, currency, key string, price Price) error {
	if p.Currency == "" {
		p.Currency = currency
	}
	if p.Currency != currency {
		return nightporter.E(nightporter.Invalid, "the file has prices in %s and in %s", p.Currency, currency)
	}
	if !slices.Contains([]string{"list", "contract", "guess", "sample"}, price.Source) {
		return nightporter.E(nightporter.Invalid, "the price of %s is from %q", key, price.Source).WithHint("write source: list, contract, guess or sample")
	}
	if !(price.Hour >= 0 && price.Hour < 1e9) || !(price.Covered >= 0 && price.Covered <= 1) {
		return nightporter.E(nightporter.Invalid, "the price of %s is not one", key)
	}
	if _, twice := p.Items[key]; twice {
		return nil
	}
	if len(p.Items) == maxPrices {
		return nightporter.E(nightporter.Invalid, "the file has more than %d prices that count", maxPrices).WithHint("choose a region")
	}
	price.AsOf = i.AsOf.Format(time.DateOnly)
	p.Items[key] = price
	return nil
}

// aws reads an offer file: products first, then their terms.
func (i PriceImport) aws(d *json.Decoder, p *Prices) error {
	keys := map[string]string{} // by SKU
	return object(d, func(name string) error {
		switch name {
		case "products":
			return object(d, func(sku string) error {
				var product struct {
					Family     string            `json:"productFamily"`
					Attributes map[string]string `json:"attributes"`
				}
				if err := d.Decode(&product); err != nil {
					return err
				}
				if key := i.awsKey(product.Family, product.Attributes); key != "" {
					keys[sku] = key
				}
				return nil
			})
		case "terms":
			return object(d, func(kind string) error {
				if kind != "OnDemand" {
					return skip(d)
				}
				return object(d, func(sku string) error {
					if keys[sku] == "" {
						return skip(d)
					}
					var offers map[string]struct {
						Dimensions map[string]struct {
							Unit  string            `json:"unit"`
							Price map[string]string `json:"pricePerUnit"`
						} `json:"priceDimensions"`
					}
					if err := d.Decode(&offers); err != nil {
						return err
					}
					for _, offer := range offers {
						for _, dim := range offer.Dimensions {
							for currency, text := range dim.Price {
								hour, err := strconv.ParseFloat(text, 64)
								if err != nil || hour == 0 || dim.Unit != "Hrs" {
									continue
								}
								if err := i.add(p, currency, keys[sku], Price{Hour: hour, Source: "list"}); err != nil {
									return err
								}
							}
						}
					}
					return nil
				})
			})
		}
		return skip(d)
	})
}

// awsKey is the key of a product that counts, or "".
func (i PriceImport) awsKey(family string, a map[string]string) string {
	if i.Region != "" && a["regionCode"] != i.Region {
		return ""
	}
	engine := i.Engine
	if engine == "" {
		engine = "PostgreSQL"
	}
	switch {
	case family == "Compute Instance" && a["operatingSystem"] == "Linux" && a["tenancy"] == "Shared" && a["preInstalledSw"] == "NA" && a["capacitystatus"] == "Used":
		return "aws_instance/" + a["instanceType"]
	case family == "Database Instance" && a["databaseEngine"] == engine && a["deploymentOption"] == "Single-AZ":
		return "aws_db_instance/" + a["instanceType"]
	case family == "Cache Instance" && a["cacheEngine"] == "Redis":
		return "aws_elasticache_cluster/" + a["instanceType"]
	}
	return ""
}

// azure reads a page of the Retail Prices API.
func (i PriceImport) azure(d *json.Decoder, p *Prices) error {
	return object(d, func(name string) error {
		if name != "Items" {
			return skip(d)
		}
		if err := expect(d, json.Delim('[')); err != nil {
			return err
		}
		for d.More() {
			var item struct {
				Currency string  `json:"currencyCode"`
				Price    float64 `json:"retailPrice"`
				Region   string  `json:"armRegionName"`
				Size     string  `json:"armSkuName"`
				Product  string  `json:"productName"`
				SKU      string  `json:"skuName"`
				Service  string  `json:"serviceName"`
				Unit     string  `json:"unitOfMeasure"`
				Type     string  `json:"type"`
			}
			if err := d.Decode(&item); err != nil {
				return err
			}
			if item.Service != "Virtual Machines" || item.Type != "Consumption" || item.Unit != "1 Hour" || item.Size == "" || i.Region != "" && item.Region != i.Region ||
				strings.Contains(item.Product, "Windows") || strings.Contains(item.SKU, "Spot") || strings.Contains(item.SKU, "Low Priority") {
				continue
			}
			if err := i.add(p, item.Currency, "azurerm_linux_virtual_machine/"+item.Size, Price{Hour: item.Price, Source: "list"}); err != nil {
				return err
			}
		}
		return expect(d, json.Delim(']'))
	})
}

func (i PriceImport) csv(r io.Reader, p *Prices) error {
	read := csv.NewReader(r)
	head, err := read.Read()
	if err != nil {
		return err
	}
	column := func(row []string, name, otherwise string) string {
		if at := slices.Index(head, name); at >= 0 && row[at] != "" {
			return row[at]
		}
		return otherwise
	}
	for {
		row, err := read.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		hour, err1 := strconv.ParseFloat(column(row, "hour", "-"), 64)
		covered, err2 := strconv.ParseFloat(column(row, "covered", "0"), 64)
		key, currency := column(row, "key", ""), column(row, "currency", "")
		if errors.Join(err1, err2) != nil || key == "" || currency == "" {
			line, _ := read.FieldPos(0)
			return nightporter.E(nightporter.Invalid, "line %d of the price file has no key, hour and currency", line).WithHint("its first line names the columns: key,hour,currency,source,covered")
		}
		if err := i.add(p, currency, key, Price{Hour: hour, Covered: covered, Source: column(row, "source", "guess")}); err != nil {
			return err
		}
	}
}

// object reads a JSON object member by member; each reads its own value.
func object(d *json.Decoder, member func(name string) error) error {
	if err := expect(d, json.Delim('{')); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		text, _ := name.(string) // a member's name is one
		if err := member(text); err != nil {
			return err
		}
	}
	return expect(d, json.Delim('}'))
}

func expect(d *json.Decoder, want json.Delim) error {
	got, err := d.Token()
	if err == nil && got != want {
		err = fmt.Errorf("found %v where %v should be", got, want)
	}
	return err
}

// skip reads over a value token by token, however large.
func skip(d *json.Decoder) error {
	for depth := 0; ; {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// YAML writes a price list as [ParsePrices] reads it, sorted by key.
func (p Prices) YAML() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "currency: %q\nprices:\n", p.Currency)
	for _, key := range slices.Sorted(maps.Keys(p.Items)) {
		v := p.Items[key]
		fmt.Fprintf(&b, "  %q: {hour: %s, as_of: %s, source: %s", key, strconv.FormatFloat(v.Hour, 'f', -1, 64), v.AsOf, v.Source)
		if v.Covered > 0 {
			fmt.Fprintf(&b, ", covered: %s", strconv.FormatFloat(v.Covered, 'f', -1, 64))
		}
		b.WriteString("}\n")
	}
	return []byte(b.String())
}
