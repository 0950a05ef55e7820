package service

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// compartmentTypes are the types of which a patient's compartment has resources, by name. Besides
// what the record has, these are the patient, and the Patients that link to the patient
// (https://hl7.org/fhir/R4/compartmentdefinition-patient.html); the records of those are not.
var compartmentTypes = sync.OnceValues(func() ([]string, error) {
	types, err := record()
	names := []string{"Patient"}
	for i := range types {
		names = append(names, types[i].name)
	}
	slices.Sort(names)
	return names, err
})

// AllTypes stands in a URL for all types that a compartment has.
const AllTypes = "*"

// HasCompartment reports whether resources of a type have a compartment with resources of another
// type, or of any if that is AllTypes. Patients alone have one here.
func HasCompartment(of, typ string) bool {
	types, err := compartmentTypes()
	return err == nil && of == "Patient" && (typ == AllTypes || slices.Contains(types, typ))
}

// inCompartment is the clause that holds for the resources of a type in a patient's compartment.
func (s *Service) inCompartment(typ, patient string) (search.Clause, error) {
	return s.inCompartments(typ, []string{patient})
}

// inCompartments is inCompartment for any of several patients.
func (s *Service) inCompartments(typ string, patients []string) (search.Clause, error) {
	t, err := recordOf(typ)
	if err != nil {
		return search.Clause{}, err
	}
	return s.naming(typ, t.members, patients)
}

// tellsOf is the clause that holds for the resources of a type that are in a compartment of one of the
// patients, or tell of what is.
func (s *Service) tellsOf(typ string, patients ...string) (search.Clause, error) {
	t, err := recordOf(typ)
	if err != nil {
		return search.Clause{}, err
	}
	return s.naming(typ, slices.Concat(t.members, t.kept), patients)
}

// recordOf is what makes resources of a type a part of a record; of Patients, that they are the patient,
// or link to the patient.
func recordOf(typ string) (recordType, error) {
	types, err := record()
	if err != nil {
		return recordType{}, err
	}
	for i := range types {
		if types[i].name == typ {
			return types[i], nil
		}
	}
	return recordType{name: typ, members: []string{"_id", linkParameter}}, nil
}

// about is the clause that holds for the resources of a type that are a patient's own data: of those in
// the compartment, those that name the patient as who they are about, and not only as who had a part in
// them.
func (s *Service) about(typ, patient string) (search.Clause, error) {
	types, err := record()
	if err != nil {
		return search.Clause{}, err
	}
	owners := []string{"_id"}
	for i := range types {
		if types[i].name == typ {
			owners = types[i].owners
		}
	}
	return s.naming(typ, owners, []string{patient})
}

// naming is the clause that one of the parameters of a type names one of the patients.
func (s *Service) naming(typ string, codes, patients []string) (search.Clause, error) {
	var any []search.Clause
	for _, code := range codes {
		param, ok := s.registry.Lookup(typ, code)
		if !ok {
			return search.Clause{}, fmt.Errorf("a compartment needs the search parameter %s.%s, which is not there", typ, code)
		}
		values := make([]search.Value, len(patients))
		for i, patient := range patients {
			values[i] = search.Value{System: "Patient", Value: patient}
			if param.Kind == search.ID {
				values[i].System = ""
			}
		}
		any = append(any, search.Clause{Param: param, Values: values})
	}
	if len(any) == 1 {
		return any[0], nil
	}
	return search.Clause{Any: any}, nil
}

func errNotInCompartment(types []string) error {
	return fhir.Errorf(fhir.NotFound, "not-supported", "", "Resources of this type do not belong to patients, so there is no such address. Those that do are %s.", strings.Join(types, ", "))
}
