package form

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"aftercare/fhir"
)

// valueTypes are the types of value that a question of each type takes
// (https://hl7.org/fhir/R4/valueset-item-type.html).
var valueTypes = map[string][]string{
	"boolean": {"Boolean"}, "decimal": {"Decimal"}, "integer": {"Integer"}, "date": {"Date"}, "dateTime": {"DateTime"},
	"time": {"Time"}, "string": {"String"}, "text": {"String"}, "url": {"Uri"}, "choice": {"Coding"},
	"open-choice": {"Coding", "String"}, "attachment": {"Attachment"}, "reference": {"Reference"}, "quantity": {"Quantity"},
}

// checker collects what is amiss in a response.
type checker struct{ issues []fhir.Issue }

func (c *checker) tell(code, place, format string, args ...any) {
	c.issues = append(c.issues, fhir.Issue{Severity: "error", Code: code, Text: fmt.Sprintf(format, args...), Expression: []string{place}})
}

// items holds the items of n, at a place, against the questions that may stand there.
func (c *checker) items(n *fhir.Node, place string, questions []*question) {
	seen := map[string]bool{}
	for i, item := range n.Each("item") {
		at := fmt.Sprintf("%s.item[%d]", place, i)
		q := find(questions, item.Str("linkId"))
		switch {
		case q == nil:
			c.tell("not-found", at+".linkId", "The Questionnaire has no item with this linkId here.")
			continue
		case seen[q.linkID] && !(q.typ == "group" && q.repeats):
			c.tell("structure", at, "This item may stand here once; several answers to a question stand in one item.")
		}
		seen[q.linkID] = true
		c.answers(item, at, q)
	}
	for _, q := range questions {
		if q.required && !seen[q.linkID] {
			c.tell("required", place, "The item %s must be answered.", strconv.Quote(q.linkID))
		}
	}
}

func find(questions []*question, linkID string) *question {
	i := slices.IndexFunc(questions, func(q *question) bool { return q.linkID == linkID })
	if i < 0 {
		return nil
	}
	return questions[i]
}

func (c *checker) answers(item *fhir.Node, at string, q *question) {
	answers := item.Each("answer")
	if q.typ == "group" || q.typ == "display" {
		if len(answers) > 0 {
			c.tell("structure", at+".answer", "This item is no question.")
		}
		c.items(item, at, q.items)
		return
	}
	if item.Get("item") != nil {
		c.tell("structure", at+".item", "What is asked below a question stands in its answer.")
	}
	switch {
	case q.required && len(answers) == 0:
		c.tell("required", at, "The item %s must be answered.", strconv.Quote(q.linkID))
	case len(answers) > 1 && !q.repeats:
		c.tell("structure", at+".answer[1]", "This question takes one answer.")
	}
	for i, a := range answers {
		place := fmt.Sprintf("%s.answer[%d]", at, i)
		c.value(a, place, q)
		c.items(a, place, q.items)
	}
}

// value holds one answer against the type, options and limits of its question.
func (c *checker) value(answer *fhir.Node, at string, q *question) {
	typ, value := valueOf(answer)
	place := at + ".value" + typ
	switch {
	case value == nil:
		c.tell("required", at, "The answer has no value.")
	case !slices.Contains(valueTypes[q.typ], typ):
		c.tell("value", place, "The question takes an answer of type %s.", strings.ToLower(strings.Join(valueTypes[q.typ], " or ")))
	case len(q.options) > 0 && !(q.typ == "open-choice" && typ == "String") && !slices.ContainsFunc(q.options, func(o *fhir.Node) bool { return sameValue(o, typ, value) }):
		c.tell("code-invalid", place, "The answer is none of those that the question offers.")
	case typ == "Integer" || typ == "Decimal":
		if n, ok := decimal(value); ok && (outside(q.low, n, 1) || outside(q.high, n, -1)) {
			c.tell("value", place, "The answer is outside of the limits of the question.")
		}
	}
}

// outside reports whether a limit, if there is one, lies on the given side of a number.
func outside(limit *fhir.Node, n *apd.Decimal, side int) bool {
	if limit == nil {
		return false
	}
	d, ok := decimal(limit)
	return ok && d.Cmp(n) == side
}

// maxDigits bounds the numbers that are compared.
const maxDigits = 100

func decimal(n *fhir.Node) (*apd.Decimal, bool) {
	if n.Kind != fhir.Number || len(n.Text) > maxDigits {
		return nil, false
	}
	d, _, err := apd.NewFromString(n.Text)
	return d, err == nil && d.Exponent < maxDigits && d.Exponent > -maxDigits
}

// valueOf is the value of an answer or option and its type, such as "Coding".
func valueOf(n *fhir.Node) (typ string, value *fhir.Node) {
	for _, m := range memberList(n) {
		if t, ok := strings.CutPrefix(m.Name, "value"); ok {
			return t, m.Value
		}
	}
	return "", nil
}

// sameValue compares codings by system and code, and other values as they are written.
func sameValue(option *fhir.Node, typ string, value *fhir.Node) bool {
	t, v := valueOf(option)
	if t != typ {
		return false
	}
	if typ == "Coding" {
		return v.Str("system") == value.Str("system") && v.Str("code") == value.Str("code")
	}
	return v.Text == value.Text && string(v.Raw) == string(value.Raw)
}
