package search

import (
	"errors"
	"fmt"
	"reflect"
)

// composite is what a composite parameter is made of
// (https://hl7.org/fhir/R4/search.html#composite).
type composite struct {
	// components are where the values of each part are. Of a composite whose context is the
	// resource itself, they are plain parameters, or ones of their own without a Part.
	components []*entry
	// together is set where contexts repeat, and rows are told apart by Part.
	together bool
	contexts []path
	// rows are what has to be extracted: this composite where together is set, else those of
	// the components that are no parameters by themselves.
	rows []*entry
}

// compose finds the components of a composite. The values of each are like those of the
// parameter that its definition names, of the same type.
func (r *Registry) compose(e *entry) (*composite, error) {
	if len(e.fact.components) < 2 {
		return nil, errors.New("a composite has two components at least")
	}
	contexts, err := compileContexts(e.expression, e.typ)
	if err != nil {
		return nil, err
	}
	c := &composite{contexts: contexts, together: len(contexts) > 1 || len(contexts[0]) > 0}
	for i, f := range e.fact.components {
		like := r.defined(e.typ, f.definition)
		if like == nil || like.paths == nil {
			return nil, fmt.Errorf("component %d: %s has no simple parameter with this definition", i+1, e.typ)
		}
		paths, err := compileRelative(f.expression)
		if err != nil {
			return nil, fmt.Errorf("component %d: %w", i+1, err)
		}
		if !c.together && reflect.DeepEqual(paths, like.paths) {
			c.components = append(c.components, like)
			e.param.Components = append(e.param.Components, like.param)
			continue
		}
		part := &entry{fact: like.fact, index: like.index, parse: like.parse, paths: paths, param: &Parameter{
			Type: e.typ, Code: fmt.Sprintf("%s$%d", e.code, i+1), Kind: like.param.Kind, Targets: like.param.Targets, Expression: f.expression,
		}}
		part.addFacets()
		// No modifier goes to a component, so only quantities need theirs.
		part.facets = facets{canonical: part.canonical}
		c.components = append(c.components, part)
		e.param.Components = append(e.param.Components, part.param)
		if !c.together {
			c.rows = append(c.rows, part)
		}
	}
	if c.together {
		c.rows = []*entry{e}
	}
	return c, nil
}

// defined finds a parameter of a type by the URL of its definition.
func (r *Registry) defined(typ, definition string) *entry {
	for _, e := range r.types[typ].byCode {
		if e.definition == definition && definition != "" {
			return e
		}
	}
	return nil
}

// parts adds the rows of a composite: those of one context have the same Part. A context that
// lacks a component can never match, and has none.
func (x *extraction) parts(e *entry, v value) error {
	part := int64(0)
	return x.each(e, e.composite.contexts, v, func(_ *extraction, context value) error {
		part++
		x.part = part
		defer func() { x.part = 0 }()
		start := len(x.rows)
		for _, component := range e.composite.components {
			before := len(x.rows)
			x.entry = component
			for _, p := range component.paths {
				if err := x.walk(p, context, component.index); err != nil {
					return err
				}
			}
			if len(x.rows) == before {
				x.rows = x.rows[:start]
				break
			}
		}
		return nil
	})
}

// compositeClause reads values of the form a$b, of which any must match.
func (p *parser) compositeClause(e *entry, raw string) (Clause, error) {
	var any []Clause
	for _, value := range splitUnescaped(raw, ',') {
		c, err := p.compositeValue(e, value)
		if err != nil {
			return Clause{}, err
		}
		any = append(any, c)
	}
	return anyOf(any), nil
}

func (p *parser) compositeValue(e *entry, raw string) (Clause, error) {
	parts := splitUnescaped(raw, '$')
	if len(parts) != len(e.composite.components) {
		return Clause{}, problem(fmt.Sprintf("a value has %d parts with $ between them, as in %s", len(e.composite.components), form(e)))
	}
	var all []Clause
	for i, component := range e.composite.components {
		if parts[i] == "" {
			return Clause{}, problem("a part of a value is empty")
		}
		c, err := p.value(component, "", "", parts[i])
		if err != nil {
			return Clause{}, err
		}
		all = append(all, c)
	}
	if e.composite.together {
		return Clause{Together: all}, nil
	}
	return Clause{All: all}, nil
}

// form shows how a value of a composite is written.
func form(e *entry) string {
	s := ""
	for i, c := range e.composite.components {
		if i > 0 {
			s += "$"
		}
		s += c.code
	}
	return s
}

// anyOf joins clauses by or; those on one parameter with one modifier become one clause.
func anyOf(clauses []Clause) Clause {
	var any []Clause
next:
	for _, c := range clauses {
		if len(c.Values) > 0 {
			for i := range any {
				if any[i].Param == c.Param && any[i].Modifier == c.Modifier && len(any[i].Values) > 0 {
					any[i].Values = append(any[i].Values, c.Values...)
					continue next
				}
			}
		}
		any = append(any, c)
	}
	if len(any) == 1 {
		return any[0]
	}
	return Clause{Any: any}
}

// always holds for every resource of a type.
func (r *Registry) always(typ string) Clause {
	return Clause{Param: r.entry(typ, "_lastUpdated").param, Values: []Value{{Prefix: Gt, Low: MinTime, High: MinTime + 1}}}
}

// never holds for none.
func (r *Registry) never(typ string) Clause {
	all := r.always(typ)
	return Clause{Not: &all}
}
