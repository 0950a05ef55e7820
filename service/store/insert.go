package store

import (
	"context"
	"strconv"
	"strings"

	"aftercare/fhir/search"
)

// insertion adds a row to a table. It reads nothing, so an engine may put it off, and add several
// rows at once, as long as no other kind of statement comes in between.
type insertion struct {
	one, many string
	types     []string
}

// insertInto makes an insertion from columns such as "rid bigint, value bytea", with PostgreSQL's
// types, and an ending such as "ON CONFLICT DO NOTHING".
func insertInto(table, columns, ending string) *insertion {
	in := &insertion{}
	var names, values, arrays []string
	for i, column := range strings.Split(columns, ", ") {
		name, typ, _ := strings.Cut(column, " ")
		in.types = append(in.types, typ)
		names = append(names, name)
		values = append(values, "$"+strconv.Itoa(i+1))
		arrays = append(arrays, "$"+strconv.Itoa(i+1)+"::"+typ+"[]")
	}
	into := "INSERT INTO " + table + " (" + strings.Join(names, ", ") + ") "
	in.one = strings.TrimSpace(into + "VALUES (" + strings.Join(values, ", ") + ") " + ending)
	in.many = strings.TrimSpace(into + "SELECT * FROM unnest(" + strings.Join(arrays, ", ") + ") " + ending)
	return in
}

var (
	intoResource  = insertInto("resource", "rid bigint, type bigint, id bytea, version bigint, updated bigint, deleted bigint, seq bigint", "")
	intoVersion   = insertInto("version", "seq bigint, rid bigint, version bigint, type bigint, updated bigint, method text, body bytea", "")
	intoToken     = insertInto("index_token", "rid bigint, param bigint, part bigint, value bytea, system bigint", "ON CONFLICT DO NOTHING")
	intoReference = insertInto("index_reference", "rid bigint, param bigint, part bigint, target bytea, type bigint", "ON CONFLICT DO NOTHING")
	intoDate      = insertInto("index_date", "rid bigint, param bigint, part bigint, low bigint, high bigint", "ON CONFLICT DO NOTHING")
	intoString    = insertInto("index_string", "rid bigint, param bigint, part bigint, value bytea, exact bytea", "ON CONFLICT DO NOTHING")
	intoURI       = insertInto("index_uri", "rid bigint, param bigint, part bigint, value bytea", "ON CONFLICT DO NOTHING")
	intoLog       = insertInto("log", "pos bigint, recorded bigint, leaf bytea, key bytea", "")
	intoNumber    = insertInto("index_number", "rid bigint, param bigint, part bigint, low float8, high float8, unit bytea, system bigint", "ON CONFLICT DO NOTHING")
)

// into are the insertions by kind of parameter.
var into = map[search.Kind]*insertion{
	search.Token:     intoToken,
	search.Reference: intoReference,
	search.Date:      intoDate,
	search.String:    intoString,
	search.Pieces:    intoString,
	search.URI:       intoURI,
	search.Number:    intoNumber,
	search.Quantity:  intoNumber,
}

// insert adds a row. The values have the types int64, float64, string and []byte, as the columns
// ask.
func (tx *Tx) insert(ctx context.Context, into *insertion, values ...any) error {
	return tx.fail(ctx, tx.conn.insert(ctx, into, values...))
}

// arrays turns rows into one array per column.
func (in *insertion) arrays(rows [][]any) []any {
	out := make([]any, len(in.types))
	for i, typ := range in.types {
		switch typ {
		case "bigint":
			out[i] = array[int64](rows, i)
		case "float8":
			out[i] = array[float64](rows, i)
		case "text":
			out[i] = array[string](rows, i)
		default:
			out[i] = array[[]byte](rows, i)
		}
	}
	return out
}

func array[T any](rows [][]any, i int) []T {
	out := make([]T, len(rows))
	for n, row := range rows {
		out[n] = row[i].(T)
	}
	return out
}
