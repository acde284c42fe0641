package prom

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"nightporter.dev/nightporter/metrics"
)

// The bounds of one request of remote write. Decoded, each element costs many
// times what it takes on the wire, so they are counted before anything is decoded.
const (
	maxBody     = 4 << 20   // as it comes
	maxDecoded  = 10 << 20  // uncompressed
	maxSeries   = 50_000    // series
	maxParts    = 500_000   // labels, samples, exemplars and buckets of all series
	maxSymbols  = 200_000   // of remote write 2.0
	maxExpanded = 128 << 20 // bytes of labels, with every symbol as often as it is used
)

var errWire = errors.New("the body is not a write request of this protocol")

// count is what a request holds.
type count struct {
	series, parts, samples int
	metadata               map[string]metrics.Metadata // remote write 1.0 only
}

// fields calls fn with every field of a protobuf message. value is the content of
// a length-delimited field, and nil for the others.
func fields(msg []byte, fn func(n protowire.Number, value []byte) error) error {
	for len(msg) > 0 {
		n, kind, used := protowire.ConsumeTag(msg)
		if used < 0 {
			return errWire
		}
		msg = msg[used:]
		var value []byte
		if kind == protowire.BytesType {
			if value, used = protowire.ConsumeBytes(msg); used < 0 {
				return errWire
			}
		} else if used = protowire.ConsumeFieldValue(n, kind, msg); used < 0 {
			return errWire
		}
		if err := fn(n, value); err != nil {
			return err
		}
		msg = msg[used:]
	}
	return nil
}

func (c *count) check() error {
	switch {
	case c.series > maxSeries:
		return fmt.Errorf("one request may hold %d series: send fewer at once (max_samples_per_send)", maxSeries)
	case c.parts > maxParts:
		return fmt.Errorf("one request may hold %d labels and samples: send fewer at once (max_samples_per_send)", maxParts)
	}
	return nil
}

// part counts the fields of a message inside of a series, and what is inside of
// those: spans and buckets of histograms, labels of exemplars.
func (c *count) part(msg []byte) error {
	c.parts++
	return fields(msg, func(_ protowire.Number, value []byte) error {
		c.parts++
		c.parts += len(value) / 16 // packed numbers, which decode to 8 bytes each
		return c.check()
	})
}

// countV1 counts prometheus.WriteRequest and reads its metadata.
func countV1(body []byte) (count, error) {
	c := count{}
	err := fields(body, func(n protowire.Number, value []byte) error {
		switch n {
		case 1: // timeseries
			c.series++
			if err := c.check(); err != nil {
				return err
			}
			return fields(value, func(n protowire.Number, value []byte) error {
				switch n {
				case 1: // labels
					c.parts++
					return c.check()
				case 2, 4: // samples, histograms
					c.samples++
				}
				return c.part(value)
			})
		case 3: // metadata
			c.parts++
			if err := c.check(); err != nil {
				return err
			}
			return c.describe(value)
		}
		return c.check()
	})
	return c, err
}

var metricTypes = []string{"unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"}

// describe reads one prometheus.MetricMetadata.
func (c *count) describe(msg []byte) error {
	d, name := metrics.Metadata{Type: metricTypes[0]}, ""
	for len(msg) > 0 {
		n, kind, used := protowire.ConsumeTag(msg)
		if used < 0 {
			return errWire
		}
		msg = msg[used:]
		switch kind {
		case protowire.VarintType:
			v, m := protowire.ConsumeVarint(msg)
			if used = m; m >= 0 && n == 1 && v < uint64(len(metricTypes)) {
				d.Type = metricTypes[v]
			}
		case protowire.BytesType:
			v, m := protowire.ConsumeString(msg)
			used = m
			switch n {
			case 2:
				name = v
			case 4:
				d.Help = v
			case 5:
				d.Unit = v
			}
		default:
			used = protowire.ConsumeFieldValue(n, kind, msg)
		}
		if used < 0 {
			return errWire
		}
		msg = msg[used:]
	}
	if c.metadata == nil {
		c.metadata = map[string]metrics.Metadata{}
	}
	c.metadata[name] = d
	return nil
}

// countV2 counts io.prometheus.write.v2.Request, whose labels are numbers of
// symbols: a short request could name a long symbol very often.
func countV2(body []byte) (count, error) {
	c := count{}
	var symbols []int
	err := fields(body, func(n protowire.Number, value []byte) error {
		if n == 4 {
			if len(symbols) >= maxSymbols {
				return fmt.Errorf("one request may hold %d symbols: send fewer series at once (max_samples_per_send)", maxSymbols)
			}
			symbols = append(symbols, len(value))
		}
		return nil
	})
	if err != nil {
		return c, err
	}
	expanded := 0
	err = fields(body, func(n protowire.Number, value []byte) error {
		if n != 5 { // timeseries
			return nil
		}
		c.series++
		if err := c.check(); err != nil {
			return err
		}
		return fields(value, func(n protowire.Number, value []byte) error {
			switch n {
			case 1: // labels_refs, packed
				for len(value) > 0 {
					ref, used := protowire.ConsumeVarint(value)
					if used < 0 {
						return errWire
					}
					value = value[used:]
					c.parts++
					if ref < uint64(len(symbols)) {
						expanded += symbols[ref]
					}
				}
				if expanded > maxExpanded {
					return fmt.Errorf("the labels of one request may be %d MiB long: send fewer series at once (max_samples_per_send)", maxExpanded>>20)
				}
				return c.check()
			case 2, 3: // samples, histograms
				c.samples++
			}
			return c.part(value)
		})
	})
	return c, err
}
