package store

import (
	"context"
	"slices"

	"aftercare/fhir/search"
)

// Changes tell what was written between two positions, well enough to rule out that an answer
// of the first is another by now.
type Changes struct {
	// Until is the later position: the Changes after it are the next ones.
	Until int64
	refs  map[string]bool            // "Type/id" of all that was stored or deleted
	texts map[string]map[string]bool // by type: what Sought may seek in them
}

// Position is the place in the order of commits of the newest version that r sees, 0 if there
// is none.
func (r *Reader) Position(ctx context.Context) (position int64, err error) {
	_, err = r.row(ctx, `SELECT coalesce(max(seq), 0) FROM version WHERE seq`+beforeHorizon, nil, &position)
	return position, err
}

// Changes returns what was written after a position, as far as r sees.
func (r *Reader) Changes(ctx context.Context, since int64) (*Changes, error) {
	c := &Changes{Until: since, refs: map[string]bool{}, texts: map[string]map[string]bool{}}
	const (
		written = ` FROM version v CROSS JOIN symbol t CROSS JOIN resource r`
		where   = ` WHERE v.seq > $1 AND v.seq` + beforeHorizon + ` AND t.id = v.type AND r.rid = v.rid`
	)
	add := func(scan func(...any) error, position *int64) (ref string, err error) {
		var typ, text []byte
		err = scan(position, &typ, &text)
		of := c.texts[string(typ)]
		if of == nil {
			of = map[string]bool{}
			c.texts[string(typ)] = of
		}
		of[string(text)] = true
		return string(typ) + "/" + string(text), err
	}
	if err := r.rows(ctx, `SELECT v.seq, t.text, r.id`+written+where, []any{since}, func(scan func(...any) error) error {
		var position int64
		ref, err := add(scan, &position)
		c.refs[ref] = true
		c.Until = max(c.Until, position)
		return err
	}); err != nil || len(c.refs) == 0 {
		return c, err
	}
	for _, column := range [...]struct{ table, name string }{{"index_token", "value"}, {"index_reference", "target"}, {"index_uri", "value"}} {
		var position int64
		if err := r.rows(ctx, `SELECT v.seq, t.text, x.`+column.name+written+` CROSS JOIN `+column.table+` x`+where+
			` AND r.seq = v.seq AND x.rid = r.rid`, []any{since}, func(scan func(...any) error) error {
			_, err := add(scan, &position)
			return err
		}); err != nil {
			return c, err
		}
	}
	return c, nil
}

// Len is how many resources were stored or deleted.
func (c *Changes) Len() int { return len(c.refs) }

// Has reports whether the resource "Type/id" was stored or deleted.
func (c *Changes) Has(ref string) bool { return c.refs[ref] }

// Mention reports whether a resource of the type was written that has, as its id or as a code,
// an identifier, a URI or a reference, the text that one of its search parameters finds it by.
func (c *Changes) Mention(typ, text string) bool { return c.texts[typ][string(key(text))] }

// MayMeet reports whether one of the resources written may meet the query now. What met it
// before and was written since is to be asked for with Has.
func (c *Changes) MayMeet(q *search.Query) bool {
	if c.Len() == 0 {
		return false
	}
	if len(q.Parts) > 0 {
		return slices.ContainsFunc(q.Parts, c.MayMeet)
	}
	for i := range q.Clauses {
		if leadsElsewhere(&q.Clauses[i]) {
			return true // it depends on resources of other types too
		}
	}
	if c.texts[q.Type] == nil {
		return false
	}
	for i := range q.Clauses {
		if texts, only := Sought(&q.Clauses[i]); only && !c.mentionAny(q.Type, texts) {
			return false
		}
	}
	return true
}

// leadsElsewhere reports whether other resources decide, too, whether one meets the clause.
func leadsElsewhere(c *search.Clause) bool {
	if len(c.Chain) > 0 || c.Has != nil {
		return true
	}
	return c.Param == nil && slices.ContainsFunc(parts(c), func(p search.Clause) bool { return leadsElsewhere(&p) })
}

func (c *Changes) mentionAny(typ string, texts []string) bool {
	for _, text := range texts {
		if c.Mention(typ, text) {
			return true
		}
	}
	return false
}

// Sought gives the texts one of which a resource must have, as its id or as the Value of a row,
// to meet the clause. only is false where the clause can be met in other ways.
func Sought(c *search.Clause) (texts []string, only bool) {
	if c.Param == nil || c.Modifier != "" || len(c.Chain) > 0 {
		return nil, false
	}
	switch c.Param.Kind {
	case search.ID, search.Token, search.Reference, search.URI:
	default:
		return nil, false
	}
	for _, v := range c.Values {
		switch {
		case v.URL != "":
			texts = append(texts, v.URL)
		case v.Value != "":
			texts = append(texts, v.Value)
		default: // a whole system
			return nil, false
		}
	}
	return texts, true
}
