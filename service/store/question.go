package store

import (
	"fmt"

	"aftercare/fhir/search"
)

// questionOf is the same for two queries that ask for the same resources in the same order,
// whatever their page size, and differs otherwise: every text is quoted, every list has its
// length.
func questionOf(q *search.Query) string {
	return string(appendQuery([]byte("search "), q))
}

func appendQuery(b []byte, q *search.Query) []byte {
	b = fmt.Appendf(b, "%q %d %d %d", q.Type, len(q.Parts), len(q.Clauses), len(q.Sort))
	for _, part := range q.Parts {
		b = appendQuery(append(b, ' '), part)
	}
	b = appendClauses(b, q.Clauses)
	for _, k := range q.Sort {
		b = fmt.Appendf(b, " %q %v", k.Param.Key(), k.Descending)
	}
	return b
}

func appendClauses(b []byte, clauses []search.Clause) []byte {
	b = fmt.Appendf(b, " %d", len(clauses))
	for i := range clauses {
		b = appendClause(b, &clauses[i])
	}
	return b
}

func appendClause(b []byte, c *search.Clause) []byte {
	b = append(b, " ["...)
	if c.Param != nil {
		b = fmt.Appendf(b, "%q ", c.Param.Key())
	}
	b = fmt.Appendf(b, "%q %d", c.Modifier, len(c.Values))
	for _, v := range c.Values {
		b = fmt.Appendf(b, " %#v", v)
	}
	b = fmt.Appendf(b, " %d", len(c.Chain))
	for i := range c.Chain {
		b = fmt.Appendf(b, " %q", c.Chain[i].Type)
		b = appendClause(b, &c.Chain[i].Clause)
	}
	if c.Has != nil {
		b = fmt.Appendf(b, " has %q", c.Has.Param.Key())
		b = appendClause(b, &c.Has.Clause)
	}
	for _, form := range [...][]search.Clause{c.Together, c.All, c.Any} {
		b = appendClauses(b, form)
	}
	if c.Not != nil {
		b = appendClause(append(b, " not"...), c.Not)
	}
	return append(b, ']')
}
