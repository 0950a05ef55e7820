package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"

	"aftercare/fhir/search"
)

// tables are the index tables: one per kind of search parameter.
var tables = map[search.Kind]string{
	search.Token:     "index_token",
	search.Reference: "index_reference",
	search.Date:      "index_date",
	search.String:    "index_string",
	search.URI:       "index_uri",
	search.Number:    "index_number",
	search.Quantity:  "index_number",
}

var tableNames = []string{"index_token", "index_reference", "index_date", "index_string", "index_uri", "index_number"}

// keyLimit is the longest text, in bytes, that an index holds whole. Of a longer one it holds
// the start and a hash: equality stays exact, and so do prefixes of up to prefixLimit bytes.
const (
	keyLimit    = 512
	prefixLimit = keyLimit - sha256.Size
)

// key is the form in which an index holds s.
func key(s string) []byte {
	if len(s) <= keyLimit {
		return []byte(s)
	}
	sum := sha256.Sum256([]byte(s))
	return append([]byte(s[:prefixLimit]), sum[:]...)
}

// index adds a row at a time: SQLite keeps an undo journal for a statement that inserts several,
// which costs more than the statements saved. Of PostgreSQL's rows, insert makes one statement.
func (tx *Tx) index(ctx context.Context, rid int64, typ string, rows []search.Row) error {
	for i := range rows {
		if rows[i].Param.Type != typ {
			return fmt.Errorf("index a %s: parameter %s is of another type", typ, rows[i].Param.Key())
		}
		if err := tx.indexRow(ctx, rid, &rows[i]); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) indexRow(ctx context.Context, rid int64, row *search.Row) error {
	param, err := tx.intern(ctx, row.Param.Key())
	if err != nil {
		return err
	}
	system, err := tx.intern(ctx, row.System)
	if err != nil {
		return err
	}
	switch row.Param.Kind {
	case search.Token:
		return tx.insert(ctx, intoToken, rid, param, key(row.Value), system)
	case search.Reference:
		return tx.insert(ctx, intoReference, rid, param, key(row.Value), system)
	case search.Date:
		return tx.insert(ctx, intoDate, rid, param, row.Low, row.High)
	case search.String:
		return tx.insert(ctx, intoString, rid, param, key(row.Value))
	case search.URI:
		return tx.insert(ctx, intoURI, rid, param, key(row.Value))
	case search.Number, search.Quantity:
		if math.IsNaN(row.NumberLow) || math.IsNaN(row.NumberHigh) {
			return fmt.Errorf("parameter %s has a value that is no number", row.Param.Key())
		}
		return tx.insert(ctx, intoNumber, rid, param, row.NumberLow, row.NumberHigh, key(row.Value), system)
	}
	return fmt.Errorf("parameter %s has no index", row.Param.Key())
}

func (tx *Tx) unindex(ctx context.Context, rid int64) error {
	for _, name := range tableNames {
		if err := tx.exec(ctx, "DELETE FROM "+name+" WHERE rid = $1", rid); err != nil {
			return err
		}
	}
	return nil
}
