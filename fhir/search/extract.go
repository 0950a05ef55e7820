package search

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"aftercare/fhir"
)

// extraction is the state of one Extract.
type extraction struct {
	root *fhir.Node
	zone *time.Location
	base string

	entry *entry
	index func(*extraction, value) error
	rows  []Row
	first int          // where the rows of the current parameter begin
	seen  map[Row]bool // the rows of the current parameter, once they are many

	contained map[string]string // types of the contained resources by id; nil until asked for
}

// Extract returns the rows of a resource under every parameter of its type: by parameter
// code, then in document order, each row once. Contained resources have no rows of their
// own. zone is where date-times without a zone are taken to be; base is the server's
// public FHIR base without a trailing slash.
//
// The error is an *fhir.Error of kind Unprocessable that names the element, where a value
// cannot be of the type that its parameter needs, such as a date that does not exist.
func (r *Registry) Extract(n *fhir.Node, zone *time.Location, base string) ([]Row, error) {
	typ := n.Str("resourceType")
	t := r.types[typ]
	if t == nil {
		return nil, fmt.Errorf("search: extract from a resource of a type that is not served")
	}
	x := extraction{root: n, zone: zone, base: base, rows: make([]Row, 0, 2*len(t.entries))}
	for i := range t.entries {
		e := &t.entries[i]
		x.entry, x.index, x.first, x.seen = e, kinds[e.param.Kind].index, len(x.rows), nil
		for _, p := range e.paths {
			if err := x.walk(p, value{n, typ}); err != nil {
				return nil, fhir.Errorf(fhir.Unprocessable, "value", e.param.Expression,
					"The search parameter %s cannot index this element: %s", e.param.Code, err)
			}
		}
	}
	return slices.Clip(x.rows), nil
}

// manyRows is the number of rows from which finding doubles by comparing is slower than a
// map. ValueSet.code can have tens of thousands.
const manyRows = 16

func (x *extraction) add(row Row) error {
	// PostgreSQL cannot store it, and FHIR strings do not have it.
	if strings.IndexByte(row.Value, 0) >= 0 || strings.IndexByte(row.System, 0) >= 0 {
		return problem("a text contains the character U+0000")
	}
	row.Param = x.entry.param
	mine := x.rows[x.first:]
	if len(mine) < manyRows {
		if slices.Contains(mine, row) {
			return nil
		}
	} else {
		if x.seen == nil {
			x.seen = make(map[Row]bool, 4*manyRows)
			for _, r := range mine {
				x.seen[r] = true
			}
		}
		if x.seen[row] {
			return nil
		}
		x.seen[row] = true
	}
	x.rows = append(x.rows, row)
	return nil
}

// problem says what is wrong with the form of a value. It never holds the value, which may
// identify a patient.
type problem string

func (p problem) Error() string { return string(p) }

// text is the text of a JSON string; any other kind is a problem.
func text(n *fhir.Node) (string, error) {
	if n.Kind != fhir.String {
		return "", problem("a JSON string is needed")
	}
	return n.Text, nil
}
