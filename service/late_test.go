package service

import (
	"testing"

	"aftercare/fhir/search"
)

// A condition looks at other types through every form that a clause has.
func TestAConditionLooksAtOtherTypes(t *testing.T) {
	plain := search.Clause{Param: &search.Parameter{Type: "Observation", Code: "status", Kind: search.Token}, Values: []search.Value{{Value: "final"}}}
	chain := search.Clause{Param: &search.Parameter{Type: "Observation", Code: "subject", Kind: search.Reference}, Chain: []search.Chain{{Type: "Patient", Clause: plain}}}
	has := search.Clause{Has: &search.Has{Param: &search.Parameter{Type: "Patient", Code: "link", Kind: search.Reference}, Clause: plain}}
	for name, c := range map[string]struct {
		clause search.Clause
		want   bool
	}{
		"a value of its own":           {plain, false},
		"a chain":                      {chain, true},
		"a chain behind a chain":       {search.Clause{Param: chain.Param, Chain: []search.Chain{{Type: "Encounter", Clause: chain}}}, true},
		"a reverse chain":              {has, true},
		"a chain behind a reverse one": {search.Clause{Has: &search.Has{Param: &search.Parameter{Type: "Encounter"}, Clause: chain}}, true},
		"a reverse chain of others":    {search.Clause{Has: &search.Has{Param: &search.Parameter{Type: "Encounter"}, Clause: plain}}, false},
		"one of several":               {search.Clause{Any: []search.Clause{plain, has}}, true},
		"all of several":               {search.Clause{All: []search.Clause{plain, chain}}, true},
		"the opposite":                 {search.Clause{Not: &chain}, true},
		"the opposite of its own":      {search.Clause{Not: &plain}, false},
	} {
		t.Run(name, func(t *testing.T) {
			q := &search.Query{Type: "Observation", Clauses: []search.Clause{plain, c.clause}}
			if got := looksAt(q, map[string]bool{"Patient": true}); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
			if !looksAt(q, map[string]bool{"Observation": true}) {
				t.Error("it does not look at its own type")
			}
		})
	}
}
