package search

import "time"

// Kind is the R4 type of a search parameter (https://hl7.org/fhir/R4/search.html#ptypes).
type Kind byte

// The kinds of parameter. ID and LastUpdated are the two that every resource has in its
// envelope; they have no index rows. Text is _text and _content, which have a full-text index.
// Composite has the rows of its Components. Special is Location.near. No clause is on a
// Composite or a Special: the parser turns it into clauses on what has rows. Pieces are those of
// long texts, which a clause asks for with the modifiers contains and ends.
const (
	Token Kind = iota + 1
	Reference
	Date
	String
	URI
	Number
	Quantity
	ID
	LastUpdated
	Text
	Composite
	Special
	Pieces
)

// LongText is the number of bytes from which on a folded text has pieces, and PieceText the most
// that one of them has. Whatever stands in a text in SoughtText bytes stands in one of its pieces.
const (
	LongText   = 512
	PieceText  = 1024
	SoughtText = 480
)

// Parameter is one search parameter of one resource type.
type Parameter struct {
	// Type is the resource type, Code the name in the URL, such as "Procedure", "date".
	Type, Code string
	Kind       Kind
	// Targets are the types that a reference parameter may point to.
	Targets []string
	// Expression is the FHIRPath of the SearchParameter, cut down to this type; "" for _text
	// and _content.
	Expression string
	// Definition is the canonical URL of the SearchParameter, "" where it has none.
	Definition string
	// Components are the parts of a Composite, each with rows of its own: "Observation.
	// component-code-value-quantity$1", "…$2".
	Components []*Parameter
}

// A facet is a parameter that no query names: what a modifier asks of another parameter. It has
// rows of its own, and its Code is that of the other with the modifier: "code:text" (String),
// "subject:identifier" and "identifier:of-type" (Token; Value is OfType of code and value).
// "value-quantity:canonical" (Quantity) has the quantities in base units, where they can be
// converted: System is "", Value the base units. The rows of "value-quantity" are those that are
// written. "near:latitude" and "near:longitude" (Number) are where a Location is, in degrees.
// "name:contains" (Pieces) has a text of LongText bytes or more in pieces that overlap, and
// "name:ends" its last one alone.

// Key names the parameter in tables: "Procedure.date".
func (p *Parameter) Key() string { return p.Type + "." + p.Code }

// Row is one value of a resource under one parameter, in the form that is compared. Rows
// of one resource are distinct.
type Row struct {
	Param *Parameter
	// Part tells the rows of a Composite's Components that belong together, from 1; 0 for the
	// rows of other parameters.
	Part int64
	// Token: System and Value (the code or identifier value; System "" is "none stated").
	// Reference to this server: System is the target type, Value the id.
	// Reference elsewhere (absolute URL, canonical without its version): System "", Value the URL.
	// String: Value is the folded text. URI: Value as written.
	System, Value string
	// Date: the half-open range [Low, High) in microseconds UTC. An open end of a Period
	// is MinTime or MaxTime.
	Low, High int64
	// Number and Quantity: the range [NumberLow, NumberHigh], both included: of a number both
	// are its value, of a Range its ends, and infinite where an end is open. System and Value are
	// the unit's system and code.
	NumberLow, NumberHigh float64
	// String: the text as it was written, where Value is not the same.
	Exact string
}

// MinTime and MaxTime stand for an open end of a range of time.
const (
	MinTime = -1 << 62
	MaxTime = 1 << 62
)

// Query is a search as the store runs it: every clause must hold.
type Query struct {
	// Type is the resource type; "" for a search of several types, which Parts are then for:
	// one query each, of which only Type, Clauses and Sort count.
	Type    string
	Parts   []*Query
	Clauses []Clause
	// Sort is the order of the matches; what is equal is in order of creation, and what has no
	// value comes last, whatever the direction. With Parts, theirs count, which are alike.
	Sort []SortKey
	// Include asks for further resources beside the matches of a page.
	Include []Include
	// Count is the page size (_count), 1 or more; 0 asks for no resources, only Total.
	Count int
	// Total asks for the number of all matches.
	Total bool
	// Cursor is the opaque position that Page.Next of the page before gave, "" at first.
	Cursor string
	// Applied are the parameters as they were understood, in order, for the self link:
	// names and raw (decoded) values. Result parameters such as _count are included,
	// the cursor is not.
	Applied []Pair
}

// Pair is one name and value of a query string, decoded.
type Pair struct{ Name, Value string }

// SortKey is one key of _sort (https://hl7.org/fhir/R4/search.html#sort). Of a parameter with
// several values, the least counts, or the greatest where Descending.
type SortKey struct {
	Param      *Parameter
	Descending bool
}

// Include is one _include or _revinclude (https://hl7.org/fhir/R4/search.html#include).
type Include struct {
	// Params are the reference parameters to follow: one, or all of a type for "*".
	Params []*Parameter
	// Target is the only type to follow to, or to come from where Reverse; "" for any.
	Target string
	// Reverse follows from the resource referred to, to those that refer to it.
	Reverse bool
	// Iterate follows from what was included, too.
	Iterate bool
}

// Clause is one condition on a resource, in one of these forms: Param with Values, of which any
// must match; Param with Chain; Has; Together; All; Any; Not.
type Clause struct {
	Param *Parameter
	// Modifier is "" or one that the parser allows for the kind, such as "missing".
	Modifier string
	Values   []Value
	// Chain, on a Reference parameter, asks that the resource pointed to, which has
	// type Chain.Type, satisfies Chain's clauses; Values is then empty. More than one
	// possible type gives more than one Chain, joined by or.
	Chain []Chain
	// Has asks for a resource that refers to this one and satisfies a clause itself.
	Has *Has
	// Together holds if one Part of the resource has a row for each of the clauses, which are
	// on the Components of a Composite, with Values and no modifier.
	Together []Clause
	// All and Any join clauses by and and or; Not holds where the clause does not.
	All, Any []Clause
	Not      *Clause
}

// Has is a reverse chain (https://hl7.org/fhir/R4/search.html#has): a resource of type
// Param.Type refers to this one under Param, of kind Reference, and satisfies Clause.
type Has struct {
	Param  *Parameter
	Clause Clause
}

// Chain is the second half of a chained parameter such as patient.identifier.
type Chain struct {
	Type   string
	Clause Clause
}

// Prefix is a comparator of ordered values (https://hl7.org/fhir/R4/search.html#prefix).
type Prefix string

// The comparators.
const (
	Eq Prefix = "eq"
	Ne Prefix = "ne"
	Gt Prefix = "gt"
	Lt Prefix = "lt"
	Ge Prefix = "ge"
	Le Prefix = "le"
	Sa Prefix = "sa"
	Eb Prefix = "eb"
	Ap Prefix = "ap"
	// Po is an overlap of dates, which only _filter gives.
	Po Prefix = "po"
)

// Value is one value of a clause.
type Value struct {
	// Token: AnySystem for "code" alone; else System must be equal ("" for "|code").
	// Value "" with a System matches any code of the system.
	// Reference: System is the type ("" when the caller gave an id alone and several
	// types are possible), Value the id, or with System "" and URL set, the URL.
	// String: Value folded like Row.Value; it matches as a prefix, and with the modifier
	// "contains" anywhere, with "ends" at the end and with "equals" whole, the last two of
	// which only _filter gives. With "exact" it is the text as written, to match whole. Pieces:
	// the same; contains and ends of a String are for texts shorter than LongText.
	// URI: Value as written; with "below" what it begins matches at the bounds of its path,
	// with "above" what it begins with.
	// ID: Value.
	AnySystem     bool
	System, Value string
	URL           string
	// Date, LastUpdated: [Low, High) in microseconds UTC, compared by Prefix.
	Prefix    Prefix
	Low, High int64
	// Number, Quantity: Number is what is asked for, [NumberLow, NumberHigh) the range that its
	// precision means, which Eq, Ne and Ap go by; the other prefixes compare Number. For Ap the
	// range is at least a tenth of the number to either side already. AnyUnit is set where no
	// unit is asked for, AnySystem where only its code or text is, in Value.
	Number, NumberLow, NumberHigh float64
	AnyUnit                       bool
	// Text: each must be found, each with all its words in this order, which are those of
	// Words with a space between them.
	Phrases []string
	// Modifier missing: whether the value is to be absent.
	Missing bool
}

// Micros is t in the unit of Row.Low.
func Micros(t time.Time) int64 { return t.UnixMicro() }
