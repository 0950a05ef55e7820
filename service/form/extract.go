package form

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"aftercare/fhir"
)

// IdentifierSystem is that of the identifier which every extracted observation has.
const IdentifierSystem = fhir.Canonical + "/identifier/extracted-observation"

var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte(IdentifierSystem))

// Extracted is one observation.
type Extracted struct {
	// Place is that of the answer in the response, such as "QuestionnaireResponse.item[0].answer[0]".
	Place string
	// Key is the value of its identifier: a UUID that is the same for the same answer of the same
	// response, whatever its value is.
	Key  string
	Body []byte
}

// Extract makes the observations of a response. stored is the reference to the response, where it
// is stored, else "". Answers that are not there give nothing. The error is of kind Unprocessable
// and lists all that is amiss in the response with its places; or it says what of the
// Questionnaire is not understood.
func Extract(questionnaire, response *fhir.Node, stored string) ([]Extracted, error) {
	questions, err := readQuestions(questionnaire)
	if err != nil {
		return nil, err
	}
	var c checker
	switch response.Str("status") {
	case "completed", "amended":
	default:
		c.tell("business-rule", "QuestionnaireResponse.status", "Only a response that is completed or amended is extracted.")
	}
	for _, name := range []string{"subject", "authored"} {
		if response.Get(name) == nil {
			c.tell("required", "QuestionnaireResponse."+name, "Observations are made from the response, so it needs %s.", name)
		}
	}
	c.items(response, "QuestionnaireResponse", questions)
	if len(c.issues) > 0 {
		return nil, &fhir.Error{Kind: fhir.Unprocessable, Issues: c.issues}
	}
	x := extraction{response: response, stored: stored, identity: identity(response)}
	x.items(response, "QuestionnaireResponse", "", questions, nil)
	return x.finish()
}

// identity is what tells a response from others: its identifier, else its id, else its content.
// What a response of either kind is sent with, it must be sent with again.
func identity(response *fhir.Node) string {
	if i := response.Get("identifier"); i.Str("value") != "" {
		return key("identifier", i.Str("system"), i.Str("value"))
	}
	if id := response.Str("id"); id != "" {
		return key("id", id)
	}
	return key("content", string(response.Raw))
}

// key is a version 5 UUID over texts, which may hold anything.
func key(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(strconv.Itoa(len(p)) + ":" + p)
	}
	return uuid.NewSHA1(namespace, []byte(b.String())).String()
}

type extraction struct {
	response         *fhir.Node
	stored, identity string
	found            []*observation
}

// observation is one in the making.
type observation struct {
	place, key string
	question   *question
	answer     *fhir.Node
	components []any
	sites      []any
	siteTexts  []string
}

// items goes through the items of n; around is the observation of the answer that they stand in.
func (x *extraction) items(n *fhir.Node, place, path string, questions []*question, around *observation) {
	count := map[string]int{}
	for i, item := range n.Each("item") {
		q := find(questions, item.Str("linkId"))
		at, own := fmt.Sprintf("%s.item[%d]", place, i), path+key(q.linkID, strconv.Itoa(count[q.linkID]))
		count[q.linkID]++
		x.items(item, at, own, q.items, around)
		for k, answer := range item.Each("answer") {
			here, o := fmt.Sprintf("%s.answer[%d]", at, k), around
			position := own + strconv.Itoa(k)
			switch q.use {
			case asObservation:
				o = &observation{place: here, key: key(x.identity, position), question: q, answer: answer}
				x.found = append(x.found, o)
			case asComponent:
				var c object
				c.set("code", concept(q.codes))
				setValue(&c, q, answer)
				around.components = append(around.components, c)
			case asSite:
				around.site(answer)
			}
			x.items(answer, here, position, q.items, o)
		}
	}
}

// site adds an answer to the site: a coding without its display, which is in the words that the
// patient saw and goes into the text.
func (o *observation) site(answer *fhir.Node) {
	switch typ, value := valueOf(answer); typ {
	case "Coding":
		c := object{}
		c.set("system", value.Str("system"))
		c.set("version", value.Str("version"))
		c.set("code", value.Str("code"))
		o.sites = append(o.sites, c)
		o.siteTexts = append(o.siteTexts, value.Str("display"))
	case "String":
		o.siteTexts = append(o.siteTexts, value.Text)
	}
}

func concept(codes []*fhir.Node) object {
	var codings []any
	for _, c := range codes {
		codings = append(codings, coding(c))
	}
	var o object
	o.set("coding", codings)
	return o
}

// setValue sets the value that an answer gives. A number of a question with a unit is a
// quantity; a coding keeps the words that were chosen as the text of its concept.
func setValue(o *object, q *question, answer *fhir.Node) {
	typ, value := valueOf(answer)
	switch {
	case typ == "Coding":
		c := object{}
		c.set("system", value.Str("system"))
		c.set("version", value.Str("version"))
		c.set("code", value.Str("code"))
		v := object{}
		v.set("coding", []any{c})
		v.set("text", value.Str("display"))
		o.set("valueCodeableConcept", v)
	case typ == "Integer" && q.unit == nil:
		o.set("valueInteger", value)
	case typ == "Integer", typ == "Decimal":
		v := object{}
		v.set("value", value)
		if q.unit != nil {
			v.set("unit", q.unit.Str("display"))
			v.set("system", q.unit.Str("system"))
			v.set("code", q.unit.Str("code"))
		}
		o.set("valueQuantity", v)
	case typ == "Date": // a dateTime may be a date
		o.set("valueDateTime", value)
	default:
		o.set("value"+typ, value)
	}
}

// The types of reference that an Observation takes of what a response has
// (https://hl7.org/fhir/R4/observation.html).
var (
	performers = []string{"Practitioner", "PractitionerRole", "Organization", "CareTeam", "Patient", "RelatedPerson"}
	parts      = []string{"MedicationAdministration", "MedicationDispense", "MedicationStatement", "Procedure", "Immunization", "ImagingStudy"}
)

// ofTypes are the references to resources of some types, by their text.
func ofTypes(references []*fhir.Node, types []string) []any {
	return list(slices.DeleteFunc(slices.Clone(references), func(r *fhir.Node) bool {
		segments := strings.Split(r.Str("reference"), "/")
		typ := r.Str("type")
		if len(segments) > 1 {
			typ = segments[len(segments)-2]
		}
		return !slices.Contains(types, typ)
	}))
}

func (x *extraction) finish() ([]Extracted, error) {
	var out []Extracted
	for _, o := range x.found {
		body, err := json.Marshal(x.observation(o))
		if err != nil {
			return nil, err
		}
		out = append(out, Extracted{Place: o.place, Key: o.key, Body: body})
	}
	return out, nil
}

// observation fills the elements in as the page of SDC says.
func (x *extraction) observation(o *observation) object {
	r := x.response
	status := "final"
	if r.Str("status") == "amended" {
		status = "amended"
	}
	var b object
	b.set("resourceType", "Observation")
	b.set("identifier", []any{object{{"system", IdentifierSystem}, {"value", o.key}}})
	b.set("basedOn", list(r.Each("basedOn")))
	b.set("partOf", ofTypes(r.Each("partOf"), parts))
	b.set("status", status)
	b.set("category", list(o.question.categories))
	b.set("code", concept(o.question.codes))
	b.set("subject", r.Get("subject"))
	b.set("encounter", r.Get("encounter"))
	b.set("effectiveDateTime", r.Get("authored"))
	if isInstant(r.Str("authored")) {
		b.set("issued", r.Get("authored"))
	}
	b.set("performer", ofTypes(r.Each("author"), performers))
	setValue(&b, o.question, o.answer)
	if len(o.sites) > 0 || len(o.siteTexts) > 0 {
		var site object
		site.set("coding", o.sites)
		site.set("text", strings.Join(slices.DeleteFunc(o.siteTexts, func(t string) bool { return t == "" }), "; "))
		b.set("bodySite", site)
	}
	if x.stored != "" {
		b.set("derivedFrom", []any{object{{"reference", x.stored}}})
	}
	b.set("component", o.components)
	return b
}

// isInstant reports whether a dateTime is precise enough for an instant.
func isInstant(s string) bool { return strings.Contains(s, "T") }

// Bundle is the transaction that stores observations. Those of a completed response are made
// where there is none with their identifier; those of an amended one replace what there is.
func Bundle(all []Extracted, amended bool) ([]byte, error) {
	var entries []any
	for _, e := range all {
		query := "identifier=" + url.QueryEscape(IdentifierSystem+"|"+e.Key)
		request := object{{"method", "POST"}, {"url", "Observation"}, {"ifNoneExist", query}}
		if amended {
			request = object{{"method", "PUT"}, {"url", "Observation?" + query}}
		}
		entries = append(entries, object{{"fullUrl", "urn:uuid:" + e.Key}, {"resource", json.RawMessage(e.Body)}, {"request", request}})
	}
	var b object
	b.set("resourceType", "Bundle")
	b.set("type", "transaction")
	b.set("entry", entries)
	return json.Marshal(b)
}
