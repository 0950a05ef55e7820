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

	present uint64 // the first names of paths that the resource has; see mask
	entry   *entry
	part    int64 // of the composite's context, else 0
	rows    []Row
	first   int          // where the rows of the current parameter begin
	seen    map[Row]bool // the rows of the current parameter, once they are many

	contained map[string]string // types of the contained resources by id; nil until asked for
}

// Extract returns the rows of a resource under every parameter of its type: by parameter
// code, then in document order, each row once. Rows of facets stand beside those of their
// parameters. Contained resources have no rows of their own. zone is where date-times without a
// zone are taken to be; base is the server's public FHIR base without a trailing slash.
//
// The error is an *fhir.Error of kind Unprocessable that names the element, where a value
// cannot be of the type that its parameter needs, such as a date that does not exist.
func (r *Registry) Extract(n *fhir.Node, zone *time.Location, base string) ([]Row, error) {
	return r.extract(n, zone, base, func(p *Parameter, err error) error {
		return fhir.Errorf(fhir.Unprocessable, "value", p.Expression, "The search parameter %s cannot index this element: %s", p.Code, err)
	})
}

// ExtractStored is Extract for a resource that was stored when other parameters were known. One
// that cannot index it gives no rows, and is called refused.
func (r *Registry) ExtractStored(n *fhir.Node, zone *time.Location, base string, refused func(*Parameter)) ([]Row, error) {
	return r.extract(n, zone, base, func(p *Parameter, _ error) error { refused(p); return nil })
}

// extract calls refuse for a parameter that cannot index the resource, and leaves out its rows.
func (r *Registry) extract(n *fhir.Node, zone *time.Location, base string, refuse func(*Parameter, error) error) ([]Row, error) {
	typ := n.Str("resourceType")
	t := r.types[typ]
	if t == nil {
		return nil, fmt.Errorf("search: extract from a resource of a type that is not served")
	}
	x := extraction{root: n, zone: zone, base: base, rows: make([]Row, 0, 32), present: t.present(n)}
	for _, e := range t.entries {
		x.entry, x.first, x.seen = e, len(x.rows), nil
		var err error
		if e.composite != nil {
			err = x.parts(e, value{n, typ})
		} else {
			err = x.each(e, e.paths, value{n, typ}, e.index)
		}
		if err == nil {
			continue
		}
		if err := refuse(e.param, err); err != nil {
			return nil, err
		}
		x.rows = x.rows[:x.first]
	}
	if err := x.texts(t); err != nil {
		return nil, fhir.Errorf(fhir.Unprocessable, "value", typ, "The search parameter %s cannot index this resource: %s", x.entry.param.Code, err)
	}
	return slices.Clip(x.rows), nil
}

// each calls leaf for what the paths of an entry lead to.
func (x *extraction) each(e *entry, paths []path, v value, leaf leaf) error {
	for i, p := range paths {
		if e.masks[i]&x.present == 0 {
			continue
		}
		if err := x.walk(p, v, leaf); err != nil {
			return err
		}
	}
	return nil
}

// mask has a bit for the name that a path begins with, or all where it begins with none. Names
// beyond the 63rd share a bit, so a bit that is missing in what a resource has says that the path
// leads nowhere; no more than that. It saves most of the time of Extract.
func (t *typeEntries) mask(p path) uint64 {
	if len(p) == 0 || p[0].op != opMember {
		return 1<<64 - 1
	}
	i := slices.Index(t.firsts, p[0].name)
	if i < 0 {
		i = len(t.firsts)
		t.firsts = append(t.firsts, p[0].name)
	}
	return 1 << (i % 63)
}

func (t *typeEntries) present(n *fhir.Node) uint64 {
	present := uint64(1) << 63
	for i, name := range t.firsts {
		for j := range n.Members {
			if m := n.Members[j].Name; m != "" && m[0] == name[0] && strings.HasPrefix(m, name) {
				present |= 1 << (i % 63)
				break
			}
		}
	}
	return present
}

// manyRows is the number of rows from which finding doubles by comparing is slower than a
// map. ValueSet.code can have tens of thousands.
const manyRows = 16

// add adds a row of the current parameter, or of the facet that it names.
func (x *extraction) add(row Row) error {
	// PostgreSQL cannot store it, and FHIR strings do not have it.
	if strings.IndexByte(row.Value, 0) >= 0 || strings.IndexByte(row.System, 0) >= 0 || strings.IndexByte(row.Exact, 0) >= 0 {
		return problem("a text contains the character U+0000")
	}
	if row.Param == nil {
		row.Param = x.entry.param
	}
	row.Part = x.part
	mine := x.rows[x.first:]
	if len(mine) < manyRows {
		for i := range mine {
			if mine[i] == row {
				return nil
			}
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
