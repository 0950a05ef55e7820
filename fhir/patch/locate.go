package patch

import (
	"aftercare/fhir"
	"aftercare/fhir/path"
)

// The work that the paths of one patch may cause, in elements looked at. A byte of a path
// counts as several, and criteria asked of an element as many, with its size on top.
const (
	maxWork      = 10_000_000
	pathWork     = 20
	criteriaWork = 200
)

// selected are the elements that the steps lead to from the root. Steps work on all
// elements at once, as in FHIRPath: name.given[0] is the first given name of all names.
func (p *fhirPatch) selected(steps []step) ([]*element, error) {
	found := []*element{p.root}
	for _, s := range steps {
		next, err := p.step(found, s)
		if err != nil {
			return nil, err
		}
		found = next
	}
	return found, nil
}

func (p *fhirPatch) step(from []*element, s step) ([]*element, error) {
	var next []*element
	switch s.kind {
	case toIndex:
		if s.index < len(from) {
			next = from[s.index : s.index+1]
		}
	case toLast:
		next = from[max(0, len(from)-1):]
	case toMember:
		return p.members(from, s.name)
	case toType:
		for _, e := range from {
			if plainType(e.typ) == s.name || e.typ == "Resource" && e.structure() == s.name {
				next = append(next, e)
			}
		}
	case toExtension:
		extensions, err := p.members(from, "extension")
		if err != nil {
			return nil, err
		}
		for _, e := range extensions {
			if e.value.text("url") == s.name {
				next = append(next, e)
			}
		}
	case toWhere:
		for _, e := range from {
			holds, err := p.holds(e, s.criteria)
			if err != nil {
				return nil, err
			}
			if holds {
				next = append(next, e)
			}
		}
	}
	return next, nil
}

// members are the children of a name. It is an error if no element has such children by
// its type, so that a misspelt name is not taken for an absent element.
func (p *fhirPatch) members(from []*element, name string) ([]*element, error) {
	var next []*element
	known := len(from) == 0
	for _, e := range from {
		d, ok := p.schema.of(e.structure(), name)
		if !ok {
			continue
		}
		known = true
		children, err := e.children(d)
		if err == nil {
			err = p.spend(1 + len(children))
		}
		if err != nil {
			return nil, err
		}
		next = append(next, children...)
	}
	if !known {
		return nil, p.schema.unknownElement(from[0].structure(), name)
	}
	return next, nil
}

func (s Schema) unknownElement(structure, name string) error {
	if _, known := s.of(structure, "id"); !known {
		structure = "This type"
	}
	what := "of that name"
	if plainName(name) {
		what = name
	}
	return fhir.Errorf(fhir.Unprocessable, "not-found", "",
		"%s has no element %s. A choice is named without its type: value, not valueString.", structure, what)
}

// plainName tells whether a text can be the name of an element.
func plainName(s string) bool {
	for i := 0; i < len(s); i++ {
		if !letter(s[i]) && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// holds evaluates criteria on an element. Only true counts; empty is not true.
func (p *fhirPatch) holds(e *element, criteria *path.Expression) (bool, error) {
	if e.value == nil {
		return false, nil
	}
	n, err := e.value.parsed()
	if err != nil {
		return false, fhir.Errorf(fhir.Unprocessable, "structure", "", "An earlier operation made the resource nest deeper than %d levels.", fhir.MaxDepth)
	}
	if err := p.spend(criteriaWork + len(n.Raw)/10); err != nil {
		return false, err
	}
	truth, err := criteria.Truth(n, path.Bind(nil))
	if err != nil {
		return false, fhir.Errorf(fhir.Unprocessable, "value", "", "The criteria of where() do not give true or false for an element that they are asked of.")
	}
	return truth == path.True, nil
}

func (p *fhirPatch) spend(work int) error {
	if p.work += work; p.work > maxWork {
		return fhir.Errorf(fhir.TooLarge, "too-costly", "", "The paths of this patch look at too many elements. Send it in parts.")
	}
	return nil
}

// one is the element that steps must select exactly one of.
func (p *fhirPatch) one(steps []step) (*element, error) {
	found, err := p.selected(steps)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, fhir.Errorf(fhir.Unprocessable, "not-found", "", "The path selects nothing in the resource.")
	case len(found) > 1:
		return nil, severalSelected(len(found))
	}
	return found[0], nil
}

func severalSelected(n int) error {
	return fhir.Errorf(fhir.Unprocessable, "multiple-matches", "", "The path selects %d elements where it must select one.", n)
}

// collection is a list that a path names: the member of one object.
type collection struct {
	in     *value
	name   string
	length int
	definition
}

// collection finds the list of which the path selects all items. It must have an item.
func (p *fhirPatch) collection(steps []step) (collection, error) {
	last := len(steps) - 1
	if last < 0 || steps[last].kind != toMember {
		return collection{}, fhir.Errorf(fhir.Unprocessable, "value", "", "The path must end with the name of a list, without an index or a function.")
	}
	parent, err := p.one(steps[:last])
	if err != nil {
		return collection{}, err
	}
	d, ok := p.schema.of(parent.structure(), steps[last].name)
	switch {
	case !ok:
		return collection{}, p.schema.unknownElement(parent.structure(), steps[last].name)
	case !d.repeats:
		return collection{}, fhir.Errorf(fhir.Unprocessable, "value", "", "The path names an element that does not repeat, so it has no places.")
	}
	c := collection{in: parent.object(), name: d.label, definition: d}
	v, side, err := sides(c.in, c.name, d)
	if err != nil {
		return collection{}, err
	}
	if c.length = max(v.size(), side.size()); c.length == 0 {
		return collection{}, fhir.Errorf(fhir.Unprocessable, "not-found", "", "The path selects nothing in the resource. Use add to start a list.")
	}
	return c, nil
}
