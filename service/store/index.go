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
	search.Pieces:    "index_string",
	search.URI:       "index_uri",
	search.Number:    "index_number",
	search.Quantity:  "index_number",
}

// columns are those of an index table besides rid, param and part. The first is what a sort goes
// by, and with rid the order of the index by value.
var columns = map[search.Kind][]string{
	search.Token:     {"value", "system"},
	search.Reference: {"target", "type"},
	search.Date:      {"low", "high"},
	search.String:    {"value", "exact"},
	search.Pieces:    {"value", "exact"},
	search.URI:       {"value"},
	search.Number:    {"low", "high", "unit", "system"},
	search.Quantity:  {"low", "high", "unit", "system"},
}

// tableNames are the index tables of rows; words have one besides (see fullText).
var tableNames = []string{"index_token", "index_reference", "index_date", "index_string", "index_uri", "index_number"}

// keyLimit is the longest text, in bytes, that an index holds whole. Of a longer one it holds
// the start and a hash: equality stays exact, and so do prefixes of up to prefixLimit bytes.
const (
	keyLimit    = search.LongText
	prefixLimit = keyLimit - sha256.Size
)

// What may be asked for is in one of the pieces of a long text.
const _ uint = search.SoughtText - prefixLimit

// key is the form in which an index holds s.
func key(s string) []byte {
	if len(s) <= keyLimit {
		return []byte(s)
	}
	sum := sha256.Sum256([]byte(s))
	return append([]byte(s[:prefixLimit]), sum[:]...)
}

// values is what is stored of a row. system is the symbol of row.System.
func values(row *search.Row, system, rid, param, part int64) ([]any, error) {
	out := append(make([]any, 0, 7), rid, param, part)
	switch row.Param.Kind {
	case search.Token, search.Reference:
		return append(out, key(row.Value), system), nil
	case search.Date:
		return append(out, row.Low, row.High), nil
	case search.String:
		exact := []byte{}
		if row.Exact != "" && row.Exact != row.Value {
			exact = key(row.Exact)
		}
		return append(out, key(row.Value), exact), nil
	case search.Pieces:
		if len(row.Value) > search.PieceText {
			return nil, fmt.Errorf("parameter %s has a piece of %d bytes", row.Param.Key(), len(row.Value))
		}
		return append(out, []byte(row.Value), []byte{}), nil
	case search.URI:
		return append(out, key(row.Value)), nil
	case search.Number, search.Quantity:
		if math.IsNaN(row.NumberLow) || math.IsNaN(row.NumberHigh) {
			return nil, fmt.Errorf("parameter %s has a value that is no number", row.Param.Key())
		}
		return append(out, row.NumberLow, row.NumberHigh, key(row.Value), system), nil
	}
	return nil, fmt.Errorf("parameter %s has no index", row.Param.Key())
}

// index adds a row at a time: SQLite keeps an undo journal for a statement that inserts several,
// which costs more than the statements saved. Of PostgreSQL's rows, insert makes one statement.
func (tx *Tx) index(ctx context.Context, rid int64, typ string, rows []search.Row) error {
	for i := range rows {
		if rows[i].Param.Kind == search.Text {
			continue
		}
		stored, err := tx.stored(ctx, rid, typ, &rows[i])
		if err != nil {
			return err
		}
		if err := tx.insert(ctx, into[rows[i].Param.Kind], stored...); err != nil {
			return err
		}
	}
	return tx.indexText(ctx, rid, typ, rows)
}

// stored is what is stored of a row of a resource.
func (tx *Tx) stored(ctx context.Context, rid int64, typ string, row *search.Row) ([]any, error) {
	if row.Param.Type != typ {
		return nil, fmt.Errorf("index a %s: parameter %s is of another type", typ, row.Param.Key())
	}
	param, err := tx.intern(ctx, row.Param.Key())
	if err != nil {
		return nil, err
	}
	system, err := tx.intern(ctx, row.System)
	if err != nil {
		return nil, err
	}
	return values(row, system, rid, param, row.Part)
}

func (tx *Tx) indexText(ctx context.Context, rid int64, typ string, rows []search.Row) error {
	var narrative, content []string
	for i := range rows {
		row := &rows[i]
		switch {
		case row.Param.Kind != search.Text:
		case row.Param.Type != typ:
			return fmt.Errorf("index a %s: parameter %s is of another type", typ, row.Param.Key())
		case inNarrative(row.Param):
			narrative = append(narrative, words(row.Value)...)
		default:
			content = append(content, words(row.Value)...)
		}
	}
	if len(narrative) == 0 && len(content) == 0 {
		return nil
	}
	text := tx.store.engine.text()
	for _, values := range text.rows(rid, narrative, content) {
		if err := tx.insert(ctx, text.into(), values...); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) unindex(ctx context.Context, rid int64) error {
	for _, name := range tableNames {
		if err := tx.exec(ctx, "DELETE FROM "+name+" WHERE rid = $1", rid); err != nil {
			return err
		}
	}
	return tx.unindexText(ctx, rid)
}

func (tx *Tx) unindexText(ctx context.Context, rid int64) error {
	return tx.exec(ctx, "DELETE FROM index_text WHERE rowid = $1", rid)
}
