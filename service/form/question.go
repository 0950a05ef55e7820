package form

import (
	"slices"
	"strings"

	"aftercare/fhir"
)

const (
	extractExtension  = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-observationExtract"
	categoryExtension = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-observation-extract-category"
	unitExtension     = "http://hl7.org/fhir/StructureDefinition/questionnaire-unit"
	minExtension      = "http://hl7.org/fhir/StructureDefinition/minValue"
	maxExtension      = "http://hl7.org/fhir/StructureDefinition/maxValue"
	siteDefinition    = "http://hl7.org/fhir/StructureDefinition/Observation#Observation.bodySite"
)

// What becomes of the answers to a question.
type use int

const (
	unused use = iota
	asObservation
	asComponent
	asSite
)

// question is one item of a Questionnaire.
type question struct {
	linkID, typ string
	// required and repeats are those of the item; a question that is only asked on a condition
	// is not required here.
	required, repeats bool
	options           []*fhir.Node // answerOption
	low, high         *fhir.Node   // minValue and maxValue, nil for none
	use               use
	codes             []*fhir.Node // codings
	unit              *fhir.Node   // a coding
	categories        []*fhir.Node // CodeableConcepts
	items             []*question
}

// readQuestions reads the items of a Questionnaire. The error is of kind Unprocessable, for
// what a Questionnaire asks that is not understood here.
func readQuestions(questionnaire *fhir.Node) ([]*question, error) {
	top := &question{}
	if err := top.inherit(questionnaire, unused, false); err != nil {
		return nil, err
	}
	return readItems(questionnaire, top, top.use == asObservation, false)
}

// readItems reads the items below n; whole tells that all coded ones become observations, and
// within that there is an observation around them.
func readItems(n *fhir.Node, around *question, whole, within bool) ([]*question, error) {
	var out []*question
	for _, item := range n.Each("item") {
		q := &question{
			linkID: item.Str("linkId"), typ: item.Str("type"), options: item.Each("answerOption"), codes: item.Each("code"),
			repeats: isTrue(item.Get("repeats")), required: isTrue(item.Get("required")) && item.Get("enableWhen") == nil,
			categories: around.categories,
		}
		inherited := unused
		if whole && len(q.codes) > 0 && q.typ != "group" {
			inherited = asObservation
		}
		if err := q.inherit(item, inherited, within); err != nil {
			return nil, err
		}
		excluded := extension(item, extractExtension).Get("valueBoolean") != nil && q.use == unused
		var err error
		if q.items, err = readItems(item, q, whole && !excluded, within || q.use == asObservation); err != nil {
			return nil, err
		}
		out = append(out, q)
	}
	return out, nil
}

// inherit reads the extensions of an item, or of the Questionnaire.
func (q *question) inherit(n *fhir.Node, inherited use, within bool) error {
	q.use = inherited
	x := extension(n, extractExtension)
	switch value := x.Get("valueBoolean"); {
	case value != nil && value.Text == "true":
		q.use = asObservation
	case value != nil:
		q.use = unused
	case x.Str("valueCode") == "component" && within:
		q.use = asComponent
	case x.Str("valueCode") == "component":
		return q.refuse("its answers are components of nothing")
	case x != nil:
		return q.refuse("only true, false and component are understood of observationExtract")
	}
	if n.Str("definition") == siteDefinition {
		if q.use != unused && q.use != inherited || !within {
			return q.refuse("Observation.bodySite is understood below a question that becomes an observation")
		}
		q.use = asSite
	}
	if n.Str("resourceType") == "" && q.use == asObservation && (len(q.codes) == 0 || q.typ == "group") {
		return q.refuse("what becomes an observation needs a code and a value, so it is no group")
	}
	if own := n.Each("extension"); len(own) > 0 {
		categories := slices.DeleteFunc(slices.Clone(own), func(x *fhir.Node) bool { return x.Str("url") != categoryExtension })
		if len(categories) > 0 {
			q.categories = nil
		}
		for _, c := range categories {
			q.categories = append(q.categories, c.Get("valueCodeableConcept"))
		}
	}
	q.unit = extension(n, unitExtension).Get("valueCoding")
	q.low, q.high = number(extension(n, minExtension)), number(extension(n, maxExtension))
	return nil
}

func (q *question) refuse(why string) error {
	place := "Questionnaire"
	if q.linkID != "" {
		place += ".item.where(linkId = '" + q.linkID + "')"
	}
	return fhir.Errorf(fhir.Unprocessable, "not-supported", place, "The Questionnaire cannot be extracted: %s.", why)
}

// extension is the first extension with a URL, nil for none.
func extension(n *fhir.Node, url string) *fhir.Node {
	for _, x := range n.Each("extension") {
		if x.Str("url") == url {
			return x
		}
	}
	return nil
}

// number is the value of an extension that holds a whole or decimal number.
func number(x *fhir.Node) *fhir.Node {
	for _, m := range memberList(x) {
		if strings.HasPrefix(m.Name, "value") && m.Value.Kind == fhir.Number {
			return m.Value
		}
	}
	return nil
}

func memberList(n *fhir.Node) []fhir.Member {
	if n == nil {
		return nil
	}
	return n.Members
}

func isTrue(n *fhir.Node) bool { return n != nil && n.Text == "true" }
