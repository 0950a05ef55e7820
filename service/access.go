package service

import (
	"context"
	"fmt"
	"slices"

	"aftercare/fhir/search"
	"aftercare/service/permission"
	"aftercare/service/store"
)

// sharedTypes are those that are nobody's data: who and where care is given, and the definitions.
var sharedTypes = []string{
	"Practitioner", "PractitionerRole", "Organization", "Location", "HealthcareService", "Medication",
	"PlanDefinition", "ActivityDefinition", "Library", "Questionnaire", "ValueSet", "CodeSystem", "ConceptMap", "NamingSystem",
	"StructureDefinition", "SearchParameter", "OperationDefinition", "CapabilityStatement",
}

// kindOf says whose data the resources of a type are. A patient's are those of the R4 Patient
// compartment (https://hl7.org/fhir/R4/compartmentdefinition-patient.html), and Device and Task
// besides.
func kindOf(typ string) permission.Kind {
	if slices.Contains(sharedTypes, typ) {
		return permission.Shared
	}
	if types, err := compartmentTypes(); err == nil && slices.Contains(types, typ) {
		return permission.OfPatient
	}
	return permission.Guarded
}

// actions are what an interaction does with resources.
var actions = map[string]permission.Actions{
	"read": permission.Read, "vread": permission.Read, "history-instance": permission.Read,
	"search-type": searching, "search-system": searching, "history-type": searching, "history-system": searching, "operation": searching,
	"create": permission.Create, "update": permission.Update, "patch": permission.Update, "delete": permission.Delete,
}

// searching is what a search does: whoever has a resource in an answer may read it by itself.
const searching = permission.Read | permission.Search

// eachAction calls do with each action of a set.
func eachAction(set permission.Actions, do func(permission.Actions)) {
	for a := permission.Create; a <= permission.Search; a <<= 1 {
		if set&a != 0 {
			do(a)
		}
	}
}

// changing are the actions that change something.
const changing = permission.Create | permission.Update | permission.Delete

// part is which resources of a type the caller may do all of the actions with.
func (s *Service) part(p *Principal, typ string, do permission.Actions) (part store.Part) {
	kind := kindOf(typ)
	for _, set := range []permission.Actions{do & changing, do &^ changing} {
		var all permission.Access
		eachAction(set, func(action permission.Actions) {
			for _, bounds := range p.Access(typ, kind, action) {
				if !slices.ContainsFunc(all, func(o []permission.Bound) bool { return slices.EqualFunc(o, bounds, permission.Bound.Equal) }) {
					all = append(all, bounds)
				}
			}
		})
		if all.None() {
			return store.Part{None: true}
		}
		for _, bounds := range all {
			c, err := s.within(typ, bounds, set&changing != 0)
			if err != nil { // what is not understood allows nothing
				s.log.Debug("a scope cannot be understood, and allows nothing", "type", typ)
				return store.Part{None: true}
			}
			part.Clauses = append(part.Clauses, c)
		}
	}
	return part
}

// within is the clause that one of several bounds holds. What a bound of a patient allows to change is
// what is about the patient; what others wrote or did is in the compartment of who did it too, and
// may be read there.
func (s *Service) within(typ string, bounds []permission.Bound, change bool) (search.Clause, error) {
	in := s.inCompartment
	if change {
		in = s.about
	}
	var any []search.Clause
	for _, b := range bounds {
		var all []search.Clause
		if b.Patient != "" {
			c, err := in(typ, b.Patient)
			if err != nil {
				return c, err
			}
			all = append(all, c)
		}
		for _, pair := range b.Narrow {
			c, err := s.narrowing(typ, pair)
			if err != nil {
				return c, err
			}
			all = append(all, c)
		}
		if len(all) == 1 {
			any = append(any, all[0])
		} else {
			any = append(any, search.Clause{All: all})
		}
	}
	if len(any) == 1 {
		return any[0], nil
	}
	return search.Clause{Any: any}, nil
}

// narrowing is the clause of a parameter that narrows a scope. Tokens alone can.
func (s *Service) narrowing(typ string, pair permission.Pair) (search.Clause, error) {
	o := search.Options{}
	s.complete(&o, false)
	q, _, err := s.registry.Parse(typ, []search.Pair{{Name: pair.Name, Value: pair.Value}}, o)
	if err != nil {
		return search.Clause{}, err
	}
	if len(q.Clauses) != 1 {
		return search.Clause{}, fmt.Errorf("%s.%s is no search parameter that can narrow a scope", typ, pair.Name)
	}
	c := q.Clauses[0]
	if _, known := c.Holds("", nil); !known || c.Not != nil {
		return search.Clause{}, fmt.Errorf("%s.%s is no token that can narrow a scope", typ, pair.Name)
	}
	return c, nil
}

// view runs fn on one state of the store, as far as the caller may do the actions with it and
// patients do not keep it from the caller. All that is shown to a caller comes from such a reader.
func (s *Service) view(ctx context.Context, p *Principal, do permission.Actions, fn func(ctx context.Context, r *store.Reader) error) error {
	look := func(ctx context.Context) error {
		return s.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
			shared, err := s.shared(ctx, p, r, do)
			if err != nil {
				return err
			}
			return fn(ctx, shared)
		})
	}
	if do&permission.Search == 0 {
		return look(ctx)
	}
	return s.orDown(ctx, s.bounded(ctx, look))
}

// as is a reader to which only those resources are there that the caller may do all of the actions
// with, by scopes alone: whoever feeds the records has to find what is there already, also of
// patients who keep it from others.
func (s *Service) as(p *Principal, r *store.Reader, do permission.Actions) *store.Reader {
	if p.Unbounded {
		return r
	}
	return r.Only(func(typ string) store.Part { return s.part(p, typ, do) }, s.rows)
}

// mayWhole reports whether the caller may do the actions with all resources of a type that a
// patient has, if with any of that patient.
func (s *Service) mayWhole(p *Principal, typ string, do permission.Actions) bool {
	whole := true
	kind := kindOf(typ)
	eachAction(do, func(action permission.Actions) {
		for _, bounds := range p.Access(typ, kind, action) {
			whole = whole && slices.ContainsFunc(bounds, func(b permission.Bound) bool { return len(b.Narrow) == 0 })
		}
	})
	return whole
}
