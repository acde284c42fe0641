package audit

import (
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
)

// Report is what a verification found. Damage is empty when the log is whole.
type Report struct {
	Entries     int64    `json:"entries"`
	Checkpoints int      `json:"checkpoints"`
	Root        string   `json:"root"`
	Damage      []string `json:"damage,omitempty"`
}

// maxDamage is how many findings a report lists: one is enough to know, and a
// log that was restored from elsewhere has a million.
const maxDamage = 20

// Verify reads the whole log and recomputes every leaf and every node from the
// entries, then compares: the stored nodes, the order without gaps, and each
// stored checkpoint's signature and root. anchors are checkpoints that were kept
// outside: with them a log that was cut short, or replaced by an older one, is
// found too, and so is a checkpoint that was removed. vkey may be "" to check the
// tree alone.
func Verify(ctx context.Context, tx *store.Tx, vkey string, anchors ...string) (Report, error) {
	v := verifier{want: map[int64][]checkpointRow{}}
	size, err := sizeOf(ctx, tx)
	if err != nil {
		return v.Report, err
	}
	if err := v.readCheckpoints(ctx, tx, vkey, anchors, size); err != nil {
		return v.Report, err
	}
	nodes := newNodeReader(ctx, tx)
	const page = 500
	for from := int64(0); from < size; from += page {
		leaves, err := readLeaves(ctx, tx, from, from+page)
		if err != nil {
			return v.Report, fmt.Errorf("read the audit log: %w", err)
		}
		for _, l := range leaves {
			if err := v.add(l, nodes); err != nil {
				return v.Report, err
			}
		}
	}
	if err := v.finish(ctx, tx, size); err != nil {
		return v.Report, err
	}
	return v.Report, nil
}

type checkpointRow struct {
	source string
	root   tlog.Hash
}

type verifier struct {
	Report
	log  Log // the tree, recomputed
	want map[int64][]checkpointRow
}

func (v *verifier) damaged(format string, args ...any) {
	if len(v.Damage) < maxDamage {
		v.Damage = append(v.Damage, fmt.Sprintf(format, args...))
	}
}

func (v *verifier) readCheckpoints(ctx context.Context, tx *store.Tx, vkey string, anchors []string, size int64) error {
	add := func(source, text string) (n int64, ok bool) {
		v.Checkpoints++
		if vkey == "" {
			// A copy whose key was removed must not pass for one that was
			// never signed.
			v.damaged("%s cannot be checked: the log's public key is missing", source)
			return 0, false
		}
		n, root, err := OpenCheckpoint(text, vkey)
		switch {
		case err != nil:
			v.damaged("%s: %s", source, nightporter.MessageOf(err))
		case n > size:
			v.damaged("%s covers %d entries, the log has %d: it was cut short or is an older copy", source, n, size)
		default:
			v.want[n] = append(v.want[n], checkpointRow{source, root})
		}
		return n, err == nil
	}
	stored := map[int64]bool{}
	err := tx.Each(ctx, `SELECT size, note FROM audit_checkpoint ORDER BY size`, nil, func(scan func(...any) error) error {
		var n int64
		var text string
		if err := scan(&n, &text); err != nil {
			return err
		}
		stored[n] = true
		if stated, ok := add(fmt.Sprintf("checkpoint %d", n), text); ok && stated != n {
			v.damaged("checkpoint %d states the size %d", n, stated)
		}
		// Witnesses sign copies outside; ours has our signature alone.
		if strings.Count(text, "\n— ") != 1 {
			v.damaged("checkpoint %d is not as it was signed", n)
		}
		return nil
	})
	for i, text := range anchors {
		// Every anchor was a row here before it was handed out.
		source := fmt.Sprintf("anchor %d", i+1)
		if n, ok := add(source, text); ok && n <= size && !stored[n] {
			v.damaged("%s is not among the stored checkpoints: it was removed", source)
		}
	}
	return err
}

func (v *verifier) add(e leaf, nodes *nodeReader) error {
	if v.log.edge == nil {
		v.log = Log{loaded: true, edge: map[int]tlog.Hash{}}
	}
	if e.seq != v.log.size {
		v.damaged("entry %d stands where entry %d should", e.seq, v.log.size)
	}
	hashes, err := tlog.StoredHashesForRecordHash(v.log.size, tlog.RecordHash(e.data), tlog.HashReaderFunc(v.log.readEdge))
	if err != nil {
		return fmt.Errorf("hash audit entry %d: %w", e.seq, err)
	}
	at := tlog.StoredHashIndex(0, v.log.size)
	for level, h := range hashes {
		stored, ok, err := nodes.next(at + int64(level))
		if err != nil {
			return err
		}
		switch {
		case !ok:
			v.damaged("node %d of the tree is missing", at+int64(level))
		case stored != h && level == 0:
			v.damaged("entry %d is not what was written", e.seq)
		case stored != h:
			v.damaged("node %d of the tree does not fit its entries", at+int64(level))
		}
		v.log.edge[level] = h
	}
	v.log.size++
	v.Entries++
	if len(v.want[v.log.size]) > 0 {
		root, err := tlog.TreeHash(v.log.size, tlog.HashReaderFunc(v.log.readEdge))
		if err != nil {
			return fmt.Errorf("hash the first %d entries: %w", v.log.size, err)
		}
		for _, c := range v.want[v.log.size] {
			if c.root != root {
				v.damaged("%s does not fit the entries", c.source)
			}
		}
	}
	return nil
}

func (v *verifier) finish(ctx context.Context, tx *store.Tx, size int64) error {
	if v.Entries != size {
		v.damaged("%d entries are missing", size-v.Entries)
	}
	var entries, nodes int64
	if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM audit_entry`).Scan(&entries); err != nil {
		return fmt.Errorf("count the audit log: %w", err)
	}
	if entries != v.Entries {
		v.damaged("%d entries stand outside the log's numbers", entries-v.Entries)
	}
	if err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM audit_node`).Scan(&nodes); err != nil {
		return fmt.Errorf("count the audit tree: %w", err)
	}
	if want := tlog.StoredHashCount(v.Entries); nodes != want {
		v.damaged("the tree has %d nodes, %d entries make %d: entries were removed or nodes added", nodes, v.Entries, want)
	}
	if v.Entries > 0 && v.Entries == v.log.size {
		root, err := tlog.TreeHash(v.log.size, tlog.HashReaderFunc(v.log.readEdge))
		if err != nil {
			return fmt.Errorf("hash the log: %w", err)
		}
		v.Root = root.String()
	}
	return nil
}

// nodeReader reads the stored nodes in order, a page at a time.
type nodeReader struct {
	ctx        context.Context
	tx         *store.Tx
	from, upto int64
	page       [2000]struct {
		hash tlog.Hash
		ok   bool
	}
}

func newNodeReader(ctx context.Context, tx *store.Tx) *nodeReader {
	return &nodeReader{ctx: ctx, tx: tx}
}

func (r *nodeReader) next(position int64) (h tlog.Hash, ok bool, err error) {
	if position >= r.upto {
		clear(r.page[:])
		r.from, r.upto = position, position+int64(len(r.page))
		var at int64
		var b sql.RawBytes
		err := r.tx.Each(r.ctx, `SELECT position, hash FROM audit_node WHERE position >= ? AND position < ?`,
			[]any{r.from, r.upto}, func(scan func(...any) error) error {
				if err := scan(&at, &b); err != nil {
					return err
				}
				if n := &r.page[at-r.from]; len(b) == tlog.HashSize {
					n.hash, n.ok = tlog.Hash(b), true
				}
				return nil
			})
		if err != nil {
			return h, false, fmt.Errorf("read the audit tree: %w", err)
		}
	}
	n := &r.page[position-r.from]
	return n.hash, n.ok, nil
}

func decodeKey(s string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) != 33 || b[0] != 1 { // 1 = Ed25519
		return nil, nightporter.E(nightporter.Invalid, "the audit log's key is damaged")
	}
	return b[1:], nil
}
