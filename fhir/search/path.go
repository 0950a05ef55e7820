package search

import (
	"strings"

	"aftercare/fhir"
)

// path is one branch of a search expression after its resource type: the steps that lead
// from a resource to the values.
type path []step

type op byte

const (
	opMember    op = iota + 1 // .name, also of a choice of types: .value finds valueQuantity
	opAs                      // .as(type): the member that was just found, of this type only
	opWhereIs                 // .where(resolve() is type)
	opWhereEq                 // .where(name='value')
	opExtension               // .extension('url')
	opHolds                   // whether an element is there and is not false
)

type step struct {
	op op
	// name is the member's name, or the type of opAs and opWhereIs, or the URL.
	name string
	// value is the literal of opWhereEq.
	value string
	// of is the path of opHolds.
	of path
}

// value is what a path leads to. Type is the data type where the path or the name of a
// choice element tells it ("dateTime" for effectiveDateTime), else "".
type value struct {
	*fhir.Node
	Type string
}

// leaf is called with what a path leads to.
type leaf func(*extraction, value) error

// walk calls do for every value that p leads to from v, in document order, and stops at
// the first error.
func (x *extraction) walk(p path, v value, do leaf) error {
	if v.Kind == fhir.Array {
		for _, item := range v.Items {
			if err := x.walk(p, value{item, v.Type}, do); err != nil {
				return err
			}
		}
		return nil
	}
	if v.Kind == fhir.Null {
		return nil
	}
	if len(p) == 0 {
		return do(x, v)
	}
	rest := p[1:]
	switch s := &p[0]; s.op {
	case opMember:
		only := ""
		if len(rest) > 0 && rest[0].op == opAs {
			only, rest = rest[0].name, rest[1:]
		}
		for i := range v.Members {
			m := &v.Members[i]
			typ, ok := s.names(m.Name, only)
			if !ok {
				continue
			}
			if err := x.walk(rest, value{m.Value, typ}, do); err != nil {
				return err
			}
			if len(m.Name) == len(s.name) { // the element itself, of which there is one
				break
			}
		}
	case opWhereIs:
		if x.refersTo(v.Node) == s.name {
			return x.walk(rest, v, do)
		}
	case opWhereEq:
		for _, n := range v.Each(s.name) {
			if n.Kind == fhir.String && n.Text == s.value {
				return x.walk(rest, v, do)
			}
		}
	case opHolds:
		holds := &fhir.Node{Kind: fhir.Bool, Raw: []byte("false"), Text: "false"}
		err := x.walk(s.of, v, func(_ *extraction, v value) error {
			if v.Kind != fhir.Bool || v.Text != "false" {
				holds.Raw, holds.Text = []byte("true"), "true"
			}
			return nil
		})
		if err != nil {
			return err
		}
		return x.walk(rest, value{holds, "boolean"}, do)
	case opExtension:
		for _, n := range v.Each("extension") {
			if n.Str("url") != s.name {
				continue
			}
			if err := x.walk(rest, value{n, "Extension"}, do); err != nil {
				return err
			}
		}
	}
	return nil
}

// names reports whether the step leads to the JSON member of that name, and the type
// that the member's value is known to have. A type given as only leaves others out.
func (s *step) names(member, only string) (typ string, ok bool) {
	if len(member) < len(s.name) || member[0] != s.name[0] {
		return "", false
	}
	suffix, ok := strings.CutPrefix(member, s.name)
	if !ok {
		return "", false
	}
	if suffix == "" {
		return only, true
	}
	typ, ok = choiceTypes[suffix]
	return typ, ok && (only == "" || only == typ)
}

// choiceTypes are the data types that a choice of types can have
// (https://hl7.org/fhir/R4/datatypes.html#open), by the end of the member's name.
var choiceTypes = func() map[string]string {
	m := make(map[string]string)
	for _, typ := range strings.Fields(`base64Binary boolean canonical code date dateTime decimal id
		instant integer markdown oid positiveInt string time unsignedInt uri url uuid
		Address Age Annotation Attachment CodeableConcept Coding ContactPoint Count Distance
		Duration HumanName Identifier Money Period Quantity Range Ratio Reference SampledData
		Signature Timing ContactDetail Contributor DataRequirement Expression ParameterDefinition
		RelatedArtifact TriggerDefinition UsageContext Dosage Meta`) {
		m[strings.ToUpper(typ[:1])+typ[1:]] = typ
	}
	return m
}()
