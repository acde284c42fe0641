package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/internal/cli"
	"nightporter.dev/nightporter/internal/egress"
)

// maxPriceFile bounds a price file: AWS's largest of one region are a few hundred
// megabytes.
const maxPriceFile = 2 << 30

// importPrices reads a public price file, as a stream.
func (h house) importPrices(ctx context.Context, o cli.PriceOptions) ([]byte, error) {
	file, err := openPrices(ctx, o.Source)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read from
	p, err := environments.ReadPrices(io.LimitReader(file, maxPriceFile), environments.PriceImport{Format: o.Format, Region: o.Region, Engine: o.Engine, AsOf: time.Now()})
	if err != nil {
		return nil, err
	}
	list := p.YAML()
	_, err = environments.ParsePrices(list) // what we write, we can read
	return list, err
}

func openPrices(ctx context.Context, source string) (io.ReadCloser, error) {
	if strings.HasPrefix(source, "http://") {
		return nil, nightporter.E(nightporter.Invalid, "prices are read over https, or from a file")
	}
	if !strings.HasPrefix(source, "https://") {
		f, err := os.Open(source)
		if err != nil {
			return nil, nightporter.Wrap(err, nightporter.NotFound, "the price file cannot be opened")
		}
		return f, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, source, nil)
	if err != nil {
		return nil, nightporter.Wrap(err, nightporter.Invalid, "that is no address of a price file")
	}
	res, err := egress.Client(egress.Config{Timeout: 30 * time.Minute, MaxResponse: maxPriceFile}).Do(req)
	if err != nil {
		return nil, nightporter.Wrap(err, nightporter.Unavailable, "the price file could not be fetched")
	}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close() // nothing of it is read
		return nil, nightporter.E(nightporter.Unavailable, "the price file could not be fetched: the answer was %d", res.StatusCode)
	}
	return res.Body, nil
}
