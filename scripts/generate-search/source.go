package main

import (
	"encoding/json"
	"io"
	"strings"
)

// definitions are the resources that the facts are taken from.
type definitions struct {
	parameters []searchParameter
	structures map[string]structureDefinition // by the name of the type
	valueSets  map[string]valueSet            // by URL
}

type searchParameter struct {
	URL, Code, Type, Expression string
	Base, Target                []string
	Component                   []struct{ Definition, Expression string }
}

type structureDefinition struct {
	Name, Type, Derivation string
	Snapshot               struct{ Element []element }
}

type element struct {
	Path, Max        string
	ContentReference string
	Type             []struct {
		Code          string
		TargetProfile []string
	}
	Binding struct{ Strength, ValueSet string }
}

type valueSet struct {
	URL     string
	Compose struct {
		Include []struct {
			System   string
			ValueSet []string
		}
	}
}

func newDefinitions() *definitions {
	return &definitions{structures: make(map[string]structureDefinition), valueSets: make(map[string]valueSet)}
}

// read keeps what a file of the package holds, if it is of use here.
func (d *definitions) read(name string, r io.Reader) error {
	var err error
	switch {
	case name == "Bundle-searchParams.json":
		var bundle struct {
			Entry []struct{ Resource searchParameter }
		}
		err = json.NewDecoder(r).Decode(&bundle)
		for _, e := range bundle.Entry {
			d.parameters = append(d.parameters, e.Resource)
		}
	case strings.HasPrefix(name, "StructureDefinition-"):
		var s structureDefinition
		err = json.NewDecoder(r).Decode(&s)
		if s.Derivation != "constraint" {
			d.structures[s.Name] = s
		}
	case strings.HasPrefix(name, "ValueSet-"):
		var v valueSet
		err = json.NewDecoder(r).Decode(&v)
		d.valueSets[v.URL] = v
	}
	return err
}
