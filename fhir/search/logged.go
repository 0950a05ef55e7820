package search

import (
	"slices"
	"strings"

	"aftercare/fhir"
)

// loggedParameters are those that the resources of Logged types (fhir.ServedType) are found by, with the
// modifiers that they take besides the types that a reference can have. Such resources have no rows in
// an index of resources, and the log that they come from has an index of these alone. Of their R4
// parameters the others are not known.
var loggedParameters = map[string][]string{
	"_id": {"not"}, "_lastUpdated": nil, "date": nil,
	"type": {"not"}, "subtype": {"not"}, "action": {"not"}, "outcome": {"not"}, "entity-type": {"not"}, "entity-role": {"not"},
	"patient": nil, "agent": {"identifier"}, "entity": {"identifier"}, "source": nil, "policy": nil,
}

// loggedSort are the parameters that a log can be sorted by: it is in the order of time.
var loggedSort = []string{"date", "_lastUpdated"}

// loggedChains are the chains that a log can be searched by.
var loggedChains = map[string]string{"patient": "identifier"}

func logged(typ string) bool {
	t, _ := fhir.Served(typ)
	return t.Logged
}

// knowsLogged are the facts but those of Logged types that these are not found by.
func knowsLogged(all []fact) []fact {
	return slices.DeleteFunc(all, func(f fact) bool {
		_, known := loggedParameters[f.code]
		return logged(f.typ) && !known
	})
}

const loggedAlone = "what the auditor's log holds is searched by itself alone"

// refuseLogged refuses what a log cannot be asked in a parameter of a type: what leads to other resources
// or away from them.
func refuseLogged(typ, name string) error {
	if !logged(typ) {
		return nil
	}
	first, rest, chained := strings.Cut(name, ".")
	code, _, _ := strings.Cut(first, ":")
	switch {
	case chained && loggedChains[code] != rest, strings.HasPrefix(name, "_has:"):
		return unsupported{problem(loggedAlone + ", but for patient.identifier")}
	case specialParameters[code] != nil:
		return unsupported{problem(loggedAlone)}
	}
	return nil
}

// loggedSortKeys refuses another order than that of time.
func loggedSortKeys(typ string, keys []string) error {
	if logged(typ) && (len(keys) > 1 || !slices.Contains(loggedSort, strings.TrimPrefix(keys[0], "-"))) {
		return unsupported{problem("the log is sorted by date or -date alone")}
	}
	return nil
}
