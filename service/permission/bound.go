package permission

import (
	"slices"
	"strings"
)

// Bound is a part of the resources of a type.
type Bound struct {
	// Patient is the id of the patient whose compartment it is, "" for all.
	Patient string
	// Narrow are search parameters that a resource must match, all of them.
	Narrow []Pair
}

// Equal reports whether two bounds are the same.
func (b Bound) Equal(o Bound) bool {
	return b.Patient == o.Patient && slices.Equal(b.Narrow, o.Narrow)
}

func (b Bound) whole() bool { return b.Patient == "" && len(b.Narrow) == 0 }

// Access is which resources of a type a caller may do something with: those that lie in one of
// the bounds of each element. No element is all of them; an element without bounds is none.
type Access [][]Bound

// All reports whether it is every resource of the type.
func (a Access) All() bool { return len(a) == 0 }

// None reports whether it is no resource of the type.
func (a Access) None() bool {
	return slices.ContainsFunc(a, func(any []Bound) bool { return len(any) == 0 })
}

// OfOne reports whether it is of one patient's data alone.
func (a Access) OfOne() bool {
	return slices.ContainsFunc(a, func(any []Bound) bool {
		return !slices.ContainsFunc(any, func(b Bound) bool { return b.Patient == "" })
	})
}

// Kind says whose the resources of a type are.
type Kind int

// The kinds of types.
const (
	// Guarded types belong neither to a patient nor to everybody; scopes for a patient's data
	// do not reach them.
	Guarded Kind = iota
	// OfPatient types have resources in patients' compartments.
	OfPatient
	// Shared types are for all who have a scope for them to read: staff, places and definitions.
	Shared
)

// Access is what the caller may do an action with, of the resources of a type of that kind.
func (p *Principal) Access(typ string, kind Kind, action Actions) Access {
	if p.Unbounded {
		return nil
	}
	if len(p.Grants) == 0 {
		return Access{nil}
	}
	var access Access
	for _, grant := range p.Grants {
		if bounds := p.bounds(grant, typ, kind, action); !slices.ContainsFunc(bounds, Bound.whole) {
			access = append(access, bounds)
		}
	}
	return access
}

func (p *Principal) bounds(grant Grant, typ string, kind Kind, action Actions) (bounds []Bound) {
	for _, scope := range grant {
		if scope.Type != typ && scope.Type != AnyType || scope.Actions&action == 0 {
			continue
		}
		b := Bound{Narrow: scope.Narrow}
		patient, bounded := p.bounded(scope.Level)
		switch {
		case !bounded:
		case kind == OfPatient && patient != "":
			b.Patient = patient
		case kind == Shared && patient != "" && action&^(Read|Search) == 0:
		default:
			continue
		}
		bounds = append(bounds, b)
	}
	return bounds
}

// bounded reports whether scopes of a level reach one patient's data alone, and which patient's, ""
// where it is not known. A user who is a patient, or related to one, sees that patient's data.
func (p *Principal) bounded(level Level) (patient string, bounded bool) {
	switch level {
	case LevelSystem:
		return "", false
	case LevelPatient:
		return p.Patient, true
	}
	typ, id := p.user()
	switch {
	case typ == "Practitioner" || typ == "PractitionerRole" || p.User == "":
		return "", false
	case typ == "Patient" && id != "":
		return id, true
	default:
		return p.Patient, true
	}
}

// user is the type of who uses the client, and the id where it is a resource of this server.
func (p *Principal) user() (typ, id string) {
	parts := strings.Split(p.User, "/")
	if len(parts) < 2 {
		return "", ""
	}
	typ, id = parts[len(parts)-2], parts[len(parts)-1]
	if len(parts) > 2 {
		id = ""
	}
	return typ, id
}
