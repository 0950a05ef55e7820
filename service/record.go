package service

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// The R4 Patient compartment (https://hl7.org/fhir/R4/compartmentdefinition-patient.html),
// restricted to served types: facts, one type per line.
//
//go:embed compartment.txt
var compartmentText string

// What a record holds besides, and when care took place, by hand.
//
//go:embed record.txt
var recordText string

// recordType is one type of resource that a patient's record is made of.
type recordType struct {
	name string
	// members are the codes of the search parameters that put a resource into the record
	// of the patient they name.
	members []string
	// owners are those of members that say whose data it is: patient or subject, or all
	// of them for a type that has neither.
	owners []string
	// kept are the codes of further ones: what names a patient by them tells of the record, and
	// is kept from whom the record is kept from.
	kept []string
	// begin and end are the codes of the date parameters that tell the time of care, ""
	// for none.
	begin, end string
	// shared tells that a resource of the type may belong to nobody.
	shared bool
}

// record lists the types in the order in which $everything gives them. Patient is not
// among them: a link leads to another patient's own record.
var record = sync.OnceValues(func() ([]recordType, error) { return readRecord(compartmentText, recordText) })

func readRecord(compartment, additions string) ([]recordType, error) {
	var types []recordType
	find := func(name string) *recordType {
		for i := range types {
			if types[i].name == name {
				return &types[i]
			}
		}
		types = append(types, recordType{name: name})
		return &types[len(types)-1]
	}
	for _, words := range dataLines(compartment) {
		if words[0] != "Patient" {
			find(words[0]).members = words[1:]
		}
	}
	for _, words := range dataLines(additions) {
		if len(words) < 2 {
			return nil, fmt.Errorf("record.txt: %q names no type", words[0])
		}
		t, codes := find(words[1]), words[2:]
		switch {
		case words[0] == "member" && len(codes) > 0:
			t.members = append(t.members, codes...)
		case words[0] == "kept" && len(codes) > 0:
			t.kept = append(t.kept, codes...)
		case words[0] == "shared" && len(codes) == 0:
			t.shared = true
		case words[0] == "time" && (len(codes) == 1 || len(codes) == 2):
			t.begin, t.end = codes[0], codes[len(codes)-1]
		default:
			return nil, fmt.Errorf("record.txt: the line of %s %s is not understood", words[0], words[1])
		}
	}
	for i := range types {
		t := &types[i]
		if _, ok := fhir.Served(t.name); !ok || len(t.members) == 0 {
			return nil, fmt.Errorf("record.txt: %s is not served or not a part of a record", t.name)
		}
		for _, owner := range []string{"patient", "subject"} {
			if slices.Contains(t.members, owner) && t.owners == nil {
				t.owners = []string{owner}
			}
		}
		if t.owners == nil {
			t.owners = t.members
		}
	}
	slices.SortFunc(types, func(a, b recordType) int { return strings.Compare(a.name, b.name) })
	return types, nil
}

func dataLines(text string) [][]string {
	var lines [][]string
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 0 && words[0][0] != '#' {
			lines = append(lines, words)
		}
	}
	return lines
}

// named are the ids of the patients that a resource's rows name under parameters.
func named(rows []search.Row, codes []string) []string {
	var ids []string
	for i := range rows {
		r := &rows[i]
		if r.System == "Patient" && slices.Contains(codes, r.Param.Code) && !slices.Contains(ids, r.Value) {
			ids = append(ids, r.Value)
		}
	}
	return ids
}
