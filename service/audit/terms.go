package audit

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// Terms are what records are found by: a parameter and a value make a term, which is a number that tells
// nothing to who has no secret of the log. Two things can make the same term, so a record that a term
// leads to is to be held against what was asked.
//
// What nearly all records have is told by what the others lack, so that it costs nothing.
//
// It is safe for concurrent use.
type Terms struct {
	site   Site
	key    []byte
	usual  []search.Row
	lacked []int64 // by usual: the term of a record that lacks it
}

// NewTerms makes the Terms of the log of a site, of the secret of the log.
func NewTerms(secret []byte, site Site) (*Terms, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "aftercare log term", sha256.Size)
	if err != nil {
		return nil, err
	}
	t := &Terms{site: site, key: key}
	var observer eventRows
	observer.reference(bySource, &reference{Reference: site.Observer})
	observer.reference(byAgent, &reference{Reference: site.Observer})
	t.usual = append(observer.rows,
		search.Row{Param: byOutcome, Value: "0"},
		search.Row{Param: byType, System: eventType, Value: "rest"},
		search.Row{Param: byEntityType, System: transactionID.System, Value: transactionID.Code},
		search.Row{Param: byEntityType, System: otherEntity.System, Value: otherEntity.Code},
		search.Row{Param: byEntityType, System: person.System, Value: person.Code},
		search.Row{Param: byEntityRole, System: patientRole.System, Value: patientRole.Code},
		search.Row{Param: byEntityType, System: systemObject.System, Value: systemObject.Code},
		search.Row{Param: byEntityRole, System: processRole.System, Value: processRole.Code},
		search.Row{Param: byEntityRole, System: resourceRole.System, Value: resourceRole.Code},
	)
	h := t.hash()
	for _, row := range t.usual {
		t.lacked = append(t.lacked, term(h, "without "+row.Param.Code, row.System, row.Value))
	}
	return t, nil
}

func (t *Terms) hash() hash.Hash { return hmac.New(sha256.New, t.key) }

func term(h hash.Hash, code, system, value string) int64 {
	h.Reset()
	fmt.Fprintf(h, "%s\x00%s\x00%s", code, system, value) // a hash never fails to be written to
	var sum [sha256.Size]byte
	return int64(binary.BigEndian.Uint64(h.Sum(sum[:0])))
}

// Of are the terms of a record, each once.
func (t *Terms) Of(r *Record) []int64 {
	rows := t.site.Rows(r)
	terms := make([]int64, 0, len(rows)+2)
	h := t.hash()
	for i := range rows {
		row := &rows[i]
		if row.Param == byPatient && row.System != "" || slices.Contains(t.usual, *row) {
			continue // a patient here is found as an entity or an agent
		}
		terms = append(terms, term(h, row.Param.Code, row.System, row.Value))
	}
	for i := range t.usual {
		if !slices.Contains(rows, t.usual[i]) {
			terms = append(terms, t.lacked[i])
		}
	}
	slices.Sort(terms)
	return slices.Compact(terms)
}

// Literal is a term that a record has, or lacks.
type Literal struct {
	Term  int64
	Lacks bool
}

// systemsOf are those of the values of token parameters, where a query may leave them out.
var systemsOf = map[string][]string{
	byAction.Code: {""}, byOutcome.Code: {""}, byEntityIdentifier.Code: {""},
	byType.Code: {eventType, dicom}, bySubtype.Code: {interactions, dicom},
	byEntityType.Code: {entityType, balpEntity, resourceType}, byEntityRole.Code: {entityRole},
}

// MaxLiterals is how many terms one parameter may come to. An id without a type is one of each type.
const MaxLiterals = 500

// Asked are the terms that a clause asks for, which has no other form than values of one parameter: of
// each element one must hold. An error is for the caller, and repeats no value.
func (t *Terms) Asked(c *search.Clause) ([][]Literal, error) {
	h := t.hash()
	var any []Literal
	for _, v := range c.Values {
		literals, err := t.value(h, c.Param, v)
		if err != nil {
			return nil, err
		}
		if any = append(any, literals...); len(any) > MaxLiterals {
			return nil, errors.New("these are too many values to look for in the log; give fewer, or the types of ids")
		}
	}
	if c.Modifier != "not" {
		return [][]Literal{any}, nil
	}
	var all [][]Literal
	for _, l := range any {
		all = append(all, []Literal{{l.Term, !l.Lacks}})
	}
	return all, nil
}

// value are the literals of which a record with a value has one.
func (t *Terms) value(h hash.Hash, p *search.Parameter, v search.Value) (any []Literal, err error) {
	add := func(p *search.Parameter, system, value string) {
		any = append(any, t.literal(h, p.Code, system, value))
	}
	switch {
	case p.Kind == search.URI:
		add(p, "", v.Value)
	case p.Kind == search.Token && v.Value == "":
		return nil, errors.New("give the code too; the log is not searched by a system alone")
	case p.Kind == search.Token && v.AnySystem:
		systems := systemsOf[p.Code]
		if systems == nil {
			return nil, errors.New("give the system too, as in system|value: for a client or a user, that is the issuer of its tokens")
		}
		for _, system := range systems {
			add(p, system, v.Value)
		}
	case p.Kind == search.Token:
		add(p, v.System, v.Value)
	case v.URL != "":
		add(p, "", v.URL)
	case p.Code == byPatient.Code:
		add(byEntity, byPatient.Targets[0], v.Value)
		add(byAgent, byPatient.Targets[0], v.Value)
	case v.System != "":
		add(p, v.System, v.Value)
	case len(p.Targets) == 0:
		for _, t := range fhir.ServedTypes() {
			add(p, t.Name, v.Value)
		}
	default:
		for _, target := range p.Targets {
			add(p, target, v.Value)
		}
	}
	return any, nil
}

func (t *Terms) literal(h hash.Hash, code, system, value string) Literal {
	i := slices.IndexFunc(t.usual, func(r search.Row) bool { return r.Param.Code == code && r.System == system && r.Value == value })
	if i >= 0 {
		return Literal{t.lacked[i], true}
	}
	return Literal{Term: term(h, code, system, value)}
}

// Holds reports whether a record satisfies a clause that Asked knows.
func Holds(c *search.Clause, rows []search.Row) bool {
	if c.Param.Kind == search.URI {
		return slices.ContainsFunc(rows, func(r search.Row) bool {
			return r.Param.Code == c.Param.Code && slices.ContainsFunc(c.Values, func(v search.Value) bool { return v.Value == r.Value })
		})
	}
	plain := *c
	plain.Modifier = ""
	holds, known := plain.Holds("", rows)
	return known && holds != (c.Modifier == "not")
}
