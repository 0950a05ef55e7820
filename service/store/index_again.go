package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"aftercare/fhir/search"
)

// indexAgain puts rows in the place of those that a resource has. Most stay as they are, and to look
// costs less than to write; but not where each look is asked over a network.
func (tx *Tx) indexAgain(ctx context.Context, rid int64, typ string, rows []search.Row) error {
	if tx.store.engine.distant() {
		if err := tx.unindex(ctx, rid); err != nil {
			return err
		}
		return tx.index(ctx, rid, typ, rows)
	}
	wanted := map[string]map[string][]any{} // by table and content
	for i := range rows {
		kind := rows[i].Param.Kind
		if kind == search.Text {
			continue
		}
		stored, err := tx.stored(ctx, rid, typ, &rows[i])
		if err != nil {
			return err
		}
		if wanted[tables[kind]] == nil {
			wanted[tables[kind]] = map[string][]any{}
		}
		wanted[tables[kind]][rowKey(stored)] = stored
	}
	for _, t := range indexTables {
		if err := tx.changeRows(ctx, t, rid, wanted[t.name]); err != nil {
			return err
		}
	}
	if err := tx.unindexText(ctx, rid); err != nil {
		return err
	}
	return tx.indexText(ctx, rid, typ, rows)
}

// indexTable has the statements on the rows of one resource in an index table.
type indexTable struct {
	name, read, remove string
	columns            int
	into               *insertion
}

var indexTables = func() (all []indexTable) {
	for _, name := range tableNames {
		for kind, table := range tables {
			if table != name || slices.ContainsFunc(all, func(t indexTable) bool { return t.name == name }) {
				continue
			}
			list := append([]string{"rid", "param", "part"}, columns[kind]...)
			var same []string
			for i, column := range list {
				same = append(same, column+" = $"+strconv.Itoa(i+1))
			}
			all = append(all, indexTable{
				name: name, columns: len(list), into: into[kind],
				read:   "SELECT " + strings.Join(list, ", ") + " FROM " + name + " WHERE rid = $1",
				remove: "DELETE FROM " + name + " WHERE " + strings.Join(same, " AND "),
			})
		}
	}
	return all
}()

// changeRows removes the rows of a resource that are not wanted, and adds those that are not there.
func (tx *Tx) changeRows(ctx context.Context, t indexTable, rid int64, wanted map[string][]any) error {
	there := map[string]bool{}
	var unwanted [][]any
	if err := tx.rows(ctx, t.read, []any{rid}, func(scan func(...any) error) error {
		row, into := make([]any, t.columns), make([]any, t.columns)
		for i := range row {
			into[i] = &row[i]
		}
		if err := scan(into...); err != nil {
			return err
		}
		for i, v := range row { // an empty value is read as nil, which would be written as NULL
			if b, ok := v.([]byte); ok && b == nil {
				row[i] = []byte{}
			}
		}
		if key := rowKey(row); wanted[key] != nil {
			there[key] = true
		} else {
			unwanted = append(unwanted, row)
		}
		return nil
	}); err != nil {
		return err
	}
	for _, row := range unwanted {
		if err := tx.exec(ctx, t.remove, row...); err != nil {
			return err
		}
	}
	for key, row := range wanted {
		if there[key] {
			continue
		}
		if err := tx.insert(ctx, t.into, row...); err != nil {
			return err
		}
	}
	return nil
}

// rowKey is the same for equal rows of a table, and for no others.
func rowKey(row []any) string {
	var b []byte
	for _, v := range row {
		switch v := v.(type) {
		case int64:
			b = binary.BigEndian.AppendUint64(b, uint64(v))
		case float64:
			b = binary.BigEndian.AppendUint64(b, math.Float64bits(v))
		case []byte:
			b = append(binary.BigEndian.AppendUint64(b, uint64(len(v))), v...)
		default: // no column has such a type
			panic(fmt.Sprintf("a row of an index with a %T", v))
		}
	}
	return string(b)
}
