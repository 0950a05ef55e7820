package main

import (
	"encoding/json"
	"io"
	"path"
	"slices"
	"strings"
)

// structure is what the table needs of a StructureDefinition.
type structure struct {
	ResourceType   string
	Name           string
	Kind           string
	Abstract       bool
	Derivation     string
	BaseDefinition string
	Snapshot       struct{ Element []element }
}

type element struct {
	Path string
	Min  int
	Max  string
	Type []struct {
		Code          string
		Profile       []string
		TargetProfile []string
		Extension     []struct{ URL, ValueURL string }
	}
	ContentReference string
	IsModifier       bool
	IsSummary        bool
	Binding          struct{ Strength, ValueSet string }
	Constraint       []struct{ Key, Severity, Expression, Source string }
}

// definitions are the types by name, and the codes of value sets by name and system.
type definitions struct {
	structures map[string]*structure
	valueSets  map[string]map[string]map[string]bool
}

// notEnumerable are the required bindings whose codes nobody can list: MIME types, UCUM
// units, and an answer list that LOINC keeps to itself.
var notEnumerable = map[string]bool{"mimetypes": true, "ucum-units": true, "LL379-9": true}

func newDefinitions() *definitions {
	return &definitions{structures: map[string]*structure{}, valueSets: map[string]map[string]map[string]bool{}}
}

// read takes the definitions out of one file of a package.
func (d *definitions) read(name string, text io.Reader) error {
	switch {
	case strings.HasPrefix(name, "StructureDefinition-"):
		return d.readStructure(text)
	case strings.HasPrefix(name, "ValueSet-"):
		return d.readValueSet(text)
	}
	return nil
}

func (d *definitions) readStructure(r io.Reader) error {
	var s structure
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return err
	}
	switch {
	case s.ResourceType != "StructureDefinition" || s.Kind == "logical" || s.Kind == "primitive-type":
		return nil
	case s.Derivation == "constraint" && s.Name != "SimpleQuantity":
		return nil // SimpleQuantity is the one profile that the base types use
	}
	for i, e := range s.Snapshot.Element { // the paths of a profile begin with the base type's name
		_, rest, inside := strings.Cut(e.Path, ".")
		s.Snapshot.Element[i].Path = s.Name
		if inside {
			s.Snapshot.Element[i].Path += "." + rest
		}
	}
	d.structures[s.Name] = &s
	return nil
}

type contains struct {
	System, Code string
	Abstract     bool
	Contains     []contains
}

func (d *definitions) readValueSet(r io.Reader) error {
	var v struct {
		ResourceType, URL string
		Expansion         *struct{ Contains []contains }
	}
	if err := json.NewDecoder(r).Decode(&v); err != nil {
		return err
	}
	name := valueSetName(v.URL)
	if v.ResourceType != "ValueSet" || v.Expansion == nil || notEnumerable[name] {
		return nil
	}
	set := map[string]map[string]bool{}
	var add func([]contains)
	add = func(list []contains) {
		for _, c := range list {
			if c.Code != "" && !c.Abstract {
				if set[c.System] == nil {
					set[c.System] = map[string]bool{}
				}
				set[c.System][c.Code] = true
			}
			add(c.Contains)
		}
	}
	add(v.Expansion.Contains)
	if len(set) > 0 {
		d.valueSets[name] = set
	}
	return nil
}

func valueSetName(url string) string {
	url, _, _ = strings.Cut(url, "|")
	return path.Base(url)
}

// base is the name of the type that s specializes, "" for Element and Resource.
func (s *structure) base() string {
	return s.BaseDefinition[strings.LastIndexByte(s.BaseDefinition, '/')+1:]
}

// parents are the paths that have children: the type itself and its inner elements.
func (s *structure) parents() []string {
	found := []string{s.Name}
	for _, e := range s.Snapshot.Element {
		if i := strings.LastIndexByte(e.Path, '.'); i > 0 && !slices.Contains(found, e.Path[:i]) {
			found = append(found, e.Path[:i])
		}
	}
	return found
}

func (s *structure) element(path string) element {
	i := slices.IndexFunc(s.Snapshot.Element, func(e element) bool { return e.Path == path })
	return s.Snapshot.Element[i]
}

// types are an element's types, comma-separated, each with its targets in brackets. An
// element that has children names itself as its type, one that repeats another's content
// names that.
func (s *structure) types(e element) string {
	if e.ContentReference != "" {
		return strings.TrimPrefix(e.ContentReference, "#")
	}
	if slices.Contains(s.parents(), e.Path) {
		return e.Path
	}
	var types []string
	for _, t := range e.Type {
		name := t.Code
		for _, x := range t.Extension { // elements of primitives: the FHIR type is in an extension
			if strings.HasSuffix(x.URL, "/structuredefinition-fhir-type") {
				name = x.ValueURL
			}
		}
		if e.Path == s.Name+".id" && s.Kind == "resource" {
			name = "id" // 4.0.1 says string here; https://hl7.org/fhir/R4/resource.html says id
		}
		for _, p := range t.Profile {
			name = path.Base(p)
		}
		var targets []string
		for _, p := range t.TargetProfile {
			targets = append(targets, path.Base(p))
		}
		slices.Sort(targets)
		if len(targets) > 0 && !slices.Contains(targets, "Resource") {
			name += "(" + strings.Join(targets, "|") + ")"
		}
		types = append(types, name)
	}
	return strings.Join(types, ",")
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
