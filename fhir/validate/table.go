package validate

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// r4 is the generated table. Lines without a leading tab open a block:
//
//	valueset	NAME                 then lines of: system, code, code ...
//	abstract	NAME	BASE         then lines of: element, min..max[ flags], types[, value set]
//	resource	NAME	BASE
//	datatype	NAME	BASE
//	element	PATH	BASE             an inner element with children, such as Patient.contact
//
// Types are separated by commas; a type is a primitive, a NAME or a PATH, with the
// targets of a Reference or canonical in brackets: Reference(Group|Patient). A block
// lists what its BASE does not already have. Flags are modifier and summary
// (https://hl7.org/fhir/R4/conformance-rules.html#isModifier, #isSummary).
//
//go:embed r4.txt
var r4 string

// structure is a type, or an inner element with children.
type structure struct {
	name     string
	kind     string // the word that opens its block
	elements []*element
	members  map[string]*member
	rules    []rule
	done     bool // members are there
	base     string
}

// element is one line of a structure.
type element struct {
	name     string // as in the table: "value[x]"
	ordinal  int    // its place in structure.elements
	required bool
	list     bool
	banned   bool // max is 0
	choice   bool
	modifier bool
	summary  bool
	types    string
	codes    *valueSet
}

// label is the name that FHIRPath uses: without "[x]".
func (e *element) label() string { return strings.TrimSuffix(e.name, "[x]") }

// member is one JSON name of an element.
type member struct {
	element *element
	// Exactly one of these two is set.
	primitive *primitive
	structure *structure
	// targets are the resource types that a Reference or canonical may point to; none
	// means any.
	targets []string
}

// valueSet holds the codes of a required binding.
type valueSet struct {
	name    string
	codes   map[string]bool // by code
	systems map[string]bool // by system|code
}

// seen is a set of elements of one structure, by ordinal.
type seen [2]uint64

func (s *seen) add(i int)      { s[i>>6] |= 1 << (i & 63) }
func (s *seen) has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }

// readTable builds the structures by name.
func readTable(text string) (map[string]*structure, error) {
	types := map[string]*structure{}
	sets := map[string]*valueSet{}
	var at *structure
	var set *valueSet
	for line := range strings.Lines(text) {
		field := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		switch field[0] {
		case "":
			if at != nil {
				if err := at.addElement(field[1:], sets); err != nil {
					return nil, err
				}
			} else {
				set.addCodes(field[1], field[2:])
			}
		case "valueset":
			set = &valueSet{name: field[1], codes: map[string]bool{}, systems: map[string]bool{}}
			sets[set.name] = set
		case "abstract", "resource", "datatype", "element":
			at = &structure{name: field[1], kind: field[0], base: field[2]}
			types[at.name] = at
		}
	}
	for _, s := range types {
		if err := s.complete(types); err != nil {
			return nil, err
		}
	}
	return types, nil
}

func (v *valueSet) addCodes(system string, codes []string) {
	for _, c := range codes {
		v.codes[c] = true
		v.systems[system+"|"+c] = true
	}
}

func (s *structure) addElement(field []string, sets map[string]*valueSet) error {
	if len(field) < 3 {
		return fmt.Errorf("%s: malformed line in the table", s.name)
	}
	cardinality, flags, _ := strings.Cut(field[1], " ")
	least, most, _ := strings.Cut(cardinality, "..")
	e := &element{
		name:     field[0],
		required: least == "1",
		list:     most == "*",
		banned:   most == "0",
		choice:   strings.HasSuffix(field[0], "[x]"),
		modifier: strings.Contains(flags, "modifier"),
		summary:  strings.Contains(flags, "summary"),
		types:    field[2],
	}
	if len(field) > 3 {
		if e.codes = sets[field[3]]; e.codes == nil {
			return fmt.Errorf("%s.%s: no value set %s", s.name, e.name, field[3])
		}
	}
	s.elements = append(s.elements, e)
	return nil
}

// complete adds what the base has and makes the members.
func (s *structure) complete(types map[string]*structure) error {
	if s.done {
		return nil
	}
	s.done = true
	if s.base != "" {
		base := types[s.base]
		if base == nil {
			return fmt.Errorf("%s: no type %s", s.name, s.base)
		}
		if err := base.complete(types); err != nil {
			return err
		}
		var all []*element
		for _, e := range base.elements {
			if !slices.ContainsFunc(s.elements, func(own *element) bool { return own.name == e.name }) {
				inherited := *e
				all = append(all, &inherited)
			}
		}
		s.elements = append(all, s.elements...)
	}
	if len(s.elements) > len(seen{})*64 {
		return fmt.Errorf("%s: more elements than a set of them can hold", s.name)
	}
	s.members = make(map[string]*member, len(s.elements))
	for i, e := range s.elements {
		e.ordinal = i
		for t := range strings.SplitSeq(e.types, ",") {
			m := &member{element: e}
			if name, targets, ok := strings.Cut(t, "("); ok {
				t, m.targets = name, strings.Split(strings.TrimSuffix(targets, ")"), "|")
			}
			m.primitive, m.structure = primitives[t], types[t]
			if m.primitive == nil && m.structure == nil {
				return fmt.Errorf("%s.%s: no type %s", s.name, e.name, t)
			}
			name := e.name
			if e.choice {
				name = e.label() + strings.ToUpper(t[:1]) + t[1:]
				if t == "SimpleQuantity" {
					name = e.label() + "Quantity"
				}
			}
			s.members[name] = m
		}
	}
	return nil
}
