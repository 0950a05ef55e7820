package search

import "time"

// Kind is the R4 type of a search parameter (https://hl7.org/fhir/R4/search.html#ptypes).
type Kind byte

// The kinds of parameter. ID and LastUpdated are the two that every resource has in its
// envelope; they have no index rows.
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
)

// Parameter is one search parameter of one resource type.
type Parameter struct {
	// Type is the resource type, Code the name in the URL, such as "Procedure", "date".
	Type, Code string
	Kind       Kind
	// Targets are the types that a reference parameter may point to.
	Targets []string
	// Expression is the FHIRPath of the SearchParameter, cut down to this type.
	Expression string
}

// Key names the parameter in tables: "Procedure.date".
func (p *Parameter) Key() string { return p.Type + "." + p.Code }

// Row is one value of a resource under one parameter, in the form that is compared. Rows
// of one resource are distinct.
type Row struct {
	Param *Parameter
	// Token: System and Value (the code or identifier value; System "" is "none stated").
	// Reference to this server: System is the target type, Value the id.
	// Reference elsewhere (absolute URL, canonical without its version): System "", Value the URL.
	// String: Value is the folded text. URI: Value as written.
	System, Value string
	// Date: the half-open range [Low, High) in microseconds UTC. An open end of a Period
	// is MinTime or MaxTime.
	Low, High int64
	// Number and Quantity: the range that the written precision means; System and Value
	// are the unit's system and code.
	NumberLow, NumberHigh float64
}

// MinTime and MaxTime stand for an open end of a range of time.
const (
	MinTime = -1 << 62
	MaxTime = 1 << 62
)

// Query is a search as the store runs it: every clause must hold.
type Query struct {
	Type    string
	Clauses []Clause
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

// Clause is one parameter of a query: the resource matches if any of Values does.
type Clause struct {
	Param *Parameter
	// Modifier is "" or one that the parser allows for the kind, such as "missing".
	Modifier string
	Values   []Value
	// Chain, on a Reference parameter, asks that the resource pointed to, which has
	// type Chain.Type, satisfies Chain's clauses; Values is then empty. More than one
	// possible type gives more than one Chain, joined by or.
	Chain []Chain
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
)

// Value is one value of a clause.
type Value struct {
	// Token: AnySystem for "code" alone; else System must be equal ("" for "|code").
	// Value "" with a System matches any code of the system.
	// Reference: System is the type ("" when the caller gave an id alone and several
	// types are possible), Value the id, or with System "" and URL set, the URL.
	// String: Value folded like Row.Value; it matches as a prefix.
	// ID: Value.
	AnySystem     bool
	System, Value string
	URL           string
	// Date, LastUpdated: [Low, High) in microseconds UTC, compared by Prefix.
	Prefix    Prefix
	Low, High int64
	// Modifier missing: whether the value is to be absent.
	Missing bool
}

// Micros is t in the unit of Row.Low.
func Micros(t time.Time) int64 { return t.UnixMicro() }
