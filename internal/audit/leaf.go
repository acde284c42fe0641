package audit

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"strings"

	"nightporter.dev/nightporter/internal/store"
)

// leaf is an entry as the tree hashes it: every column in order, each text with
// its length in front, so that no two entries share one.
type leaf struct {
	seq  int64
	data []byte
}

func (e *Entry) leaf() []byte {
	b := leafHead(make([]byte, 0, 256), e.Seq, store.Micros(e.At))
	for _, s := range []string{
		string(e.Actor.Kind), e.Actor.Name, e.Actor.Method, e.Actor.Accessor, e.Actor.OnBehalfOf, e.Actor.Remote,
		e.Action, e.Resource.Kind, e.Resource.ID, e.Decision, e.Policy, e.RequestID, string(e.Detail),
	} {
		b = leafText(b, []byte(s))
	}
	return b
}

func leafHead(b []byte, seq, at int64) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(seq))
	return binary.BigEndian.AppendUint64(b, uint64(at))
}

func leafText(b, text []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
	return append(b, text...)
}

// texts are the columns of an entry that are text, in the order of its leaf.
var texts = []string{
	"actor_kind", "actor", "method", "accessor", "on_behalf_of", "remote", "action", "resource_kind", "resource_id",
	"decision", "policy", "request_id", "detail",
}

// separator stands between the texts of one row in an answer. A text that has it
// itself is found by their number.
const separator = 0x1f

// readLeaves reads entries as leaves. To read fifteen columns a row one by one
// takes most of the time of a verification, so the database joins the texts.
func readLeaves(ctx context.Context, tx *store.Tx, from, to int64) ([]leaf, error) {
	char := "char(31)"
	if tx.Dialect() == store.Postgres {
		char = "chr(31)"
	}
	query := `SELECT seq, at, ` + strings.Join(texts, "||"+char+"||") + ` FROM audit_entry WHERE seq >= ? AND seq < ? ORDER BY seq`
	out := make([]leaf, 0, to-from)
	var again []int // rows whose texts have the separator
	var seq, at int64
	var joined sql.RawBytes
	err := tx.Each(ctx, query, []any{from, to}, func(scan func(...any) error) error {
		if err := scan(&seq, &at, &joined); err != nil {
			return err
		}
		if bytes.Count(joined, []byte{separator}) != len(texts)-1 {
			again = append(again, len(out))
			out = append(out, leaf{seq: seq})
			return nil
		}
		b := leafHead(make([]byte, 0, 16+len(joined)+4*len(texts)), seq, at)
		for text := range bytes.SplitSeq(joined, []byte{separator}) {
			b = leafText(b, text)
		}
		out = append(out, leaf{seq, b})
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, i := range again {
		entries, err := scanEntries(ctx, tx, selectEntry+` WHERE seq = ?`, out[i].seq)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			out[i].data = e.leaf()
		}
	}
	return out, nil
}
