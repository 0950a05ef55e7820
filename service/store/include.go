package store

import (
	"context"
	"maps"
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// Include gives the resources that includes ask for beside the matches of a page
// (https://hl7.org/fhir/R4/search.html#include): each once, none that is a match, and none that is
// deleted, by the round in which they are found and in order of creation. A reference to a version
// leads to the current one; those to other servers and to nothing are passed over. A canonical URL leads to the definitions that
// have it, whatever their version.
//
// The error is BadRequest if there are more than limit, or more than IncludeBytes of them.
func (r *Reader) Include(ctx context.Context, matches []*fhir.Resource, includes []search.Include, limit int) ([]*fhir.Resource, error) {
	if err := r.expectIndex(ctx); err != nil {
		return nil, err
	}
	in := &inclusion{Reader: r, seen: map[string]bool{}, limit: limit, most: limit + len(matches)}
	for _, m := range matches {
		in.seen[m.Ref()] = true
	}
	found := matches
	for round := 0; len(found) > 0; round++ {
		in.fresh = nil
		for i := range includes {
			if round > 0 && !includes[i].Iterate {
				continue
			}
			if err := in.follow(ctx, &includes[i], found); err != nil {
				return nil, err
			}
		}
		found = in.fresh
		in.all = append(in.all, found...)
	}
	return in.all, r.currentIndex(ctx)
}

// IncludeBytes is how large the resources that are included are together at most, in bytes.
const IncludeBytes = 4 * PageBytes

// includeStep is how many resources one statement follows from, and how many it reads.
const includeStep = 200

type inclusion struct {
	*Reader
	seen       map[string]bool // by ref: the matches and all that is found
	all, fresh []*fhir.Resource
	limit      int
	bytes      int // of all
	most       int // rows that one statement needs to give: with one more, there is too much
}

// follow adds what one include finds from some resources.
func (in *inclusion) follow(ctx context.Context, include *search.Include, from []*fhir.Resource) error {
	ids := map[string][]string{}
	var types []string
	for _, m := range from {
		if ids[m.Type] == nil {
			types = append(types, m.Type)
		}
		ids[m.Type] = append(ids[m.Type], m.ID)
	}
	for _, typ := range types {
		if include.Reverse && include.Target != "" && include.Target != typ {
			continue
		}
		params, canonical, err := in.params(ctx, include, typ)
		if err != nil {
			return err
		}
		if len(params) == 0 {
			continue
		}
		for chunk := range slices.Chunk(ids[typ], includeStep) {
			if err := in.references(ctx, include, typ, chunk, params, canonical); err != nil {
				return err
			}
		}
	}
	return nil
}

// params are the symbols of the parameters to follow from resources of a type, and which of them may
// have the URL of which types.
func (in *inclusion) params(ctx context.Context, include *search.Include, typ string) (params []int64, canonical map[string][]int64, err error) {
	canonical = map[string][]int64{}
	for _, p := range include.Params {
		if !include.Reverse && p.Type != typ {
			continue
		}
		symbol, known, err := in.param(ctx, p.Type, p.Code)
		if err != nil {
			return nil, nil, err
		}
		if !known {
			continue
		}
		params = append(params, symbol)
		for _, target := range p.Targets {
			if include.Target == "" || include.Target == target {
				canonical[target] = append(canonical[target], symbol)
			}
		}
	}
	return params, canonical, nil
}

// references follows the references of, or to, resources of one type.
func (in *inclusion) references(ctx context.Context, include *search.Include, typ string, ids []string, params []int64, canonical map[string][]int64) error {
	symbol, known, err := in.symbol(ctx, typ)
	if err != nil || !known {
		return err
	}
	if err := in.find(ctx, include, func(s *statement) (string, error) {
		if include.Reverse {
			return "SELECT x.rid AS rid FROM resource f CROSS JOIN index_reference x WHERE f.type = " + s.arg(symbol) + " AND " + inList(s, "f.id", ids) +
				" AND x.param IN (" + in.list(s, params) + ") AND x.target = f.id AND x.type = f.type AND +x.rid" + beforeHorizon, nil
		}
		text := "SELECT t.rid AS rid FROM resource f CROSS JOIN index_reference x CROSS JOIN resource t WHERE f.type = " + s.arg(symbol) + " AND " + inList(s, "f.id", ids) +
			" AND x.rid = f.rid AND x.param IN (" + in.list(s, params) + ") AND t.type = x.type AND t.id = x.target AND +t.deleted = 0"
		if include.Target != "" {
			target, err := in.symbolOrNone(ctx, include.Target)
			if err != nil {
				return "", err
			}
			text += " AND x.type = " + s.arg(target)
		}
		return text, nil
	}); err != nil {
		return err
	}
	for _, target := range slices.Sorted(maps.Keys(canonical)) {
		params := canonical[target]
		if include.Reverse && target != typ {
			continue
		}
		url, known, err := in.param(ctx, target, "url")
		if err != nil {
			return err
		}
		if !known {
			continue
		}
		if err := in.find(ctx, include, func(s *statement) (string, error) {
			definitions := " AND u.param = " + s.arg(url) + " AND x.param IN (" + in.list(s, params) + ") AND x.type = 0"
			of := " WHERE f.type = " + s.arg(symbol) + " AND " + inList(s, "f.id", ids)
			if include.Reverse {
				return "SELECT t.rid AS rid FROM resource f CROSS JOIN index_uri u CROSS JOIN index_reference x CROSS JOIN resource t" + of +
					definitions + " AND u.rid = f.rid AND x.target = u.value AND t.rid = x.rid", nil
			}
			return "SELECT t.rid AS rid FROM resource f CROSS JOIN index_reference x CROSS JOIN index_uri u CROSS JOIN resource t" + of +
				definitions + " AND x.rid = f.rid AND u.value = x.target AND t.rid = u.rid", nil
		}); err != nil {
			return err
		}
	}
	return nil
}

func (in *inclusion) list(s *statement, numbers []int64) string {
	var list []string
	for _, n := range numbers {
		list = append(list, s.arg(n))
	}
	return strings.Join(list, ", ")
}

// reached are the types that an include leads to, none for any.
func reached(include *search.Include) (types []string) {
	if include.Target != "" && !include.Reverse {
		return []string{include.Target}
	}
	for _, p := range include.Params {
		switch {
		case include.Reverse:
			types = append(types, p.Type)
		case len(p.Targets) == 0:
			return nil
		default:
			types = append(types, p.Targets...)
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// find reads the resources whose rids a query gives, but for those that were found before.
func (in *inclusion) find(ctx context.Context, include *search.Include, query func(s *statement) (string, error)) error {
	s := &statement{}
	text, err := query(s)
	if err != nil {
		return err
	}
	// First who they are: many references lead to one resource, or to what is there already.
	var rids []int64
	refs := map[int64]string{}
	visible, err := in.visibleOf(ctx, s, reached(include), "f.type", "f.rid")
	if err != nil {
		return err
	}
	if visible != "" {
		text = "SELECT found.rid AS rid FROM (" + text + ") found CROSS JOIN resource f WHERE f.rid = found.rid AND " + visible
	}
	err = in.rows(ctx, "SELECT r.rid, t.text, r.id FROM (SELECT DISTINCT rid FROM ("+text+") found ORDER BY rid LIMIT "+s.limit(in.most+1)+") d"+
		" CROSS JOIN resource r CROSS JOIN symbol t WHERE r.rid = d.rid AND t.id = r.type ORDER BY r.rid", s.args, func(scan func(...any) error) error {
		var rid int64
		var typ, id []byte
		err := scan(&rid, &typ, &id)
		if ref := string(typ) + "/" + string(id); !in.seen[ref] {
			rids, refs[rid] = append(rids, rid), ref
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(in.all)+len(in.fresh)+len(rids) > in.limit {
		return fhir.Errorf(fhir.BadRequest, "too-costly", "http._include", "More than %d resources would be included; ask for a smaller page, or for less beside it.", in.limit)
	}
	for chunk := range slices.Chunk(rids, includeStep) {
		if err := in.take(ctx, chunk, refs); err != nil {
			return err
		}
	}
	return nil
}

// take reads resources by rid.
func (in *inclusion) take(ctx context.Context, rids []int64, refs map[int64]string) error {
	s := &statement{}
	err := in.rows(ctx, "SELECT r.rid, r.id, r.version, r.updated, v.body FROM resource r CROSS JOIN version v WHERE r.rid IN ("+in.list(s, rids)+") AND v.seq = r.seq AND r.deleted = 0 ORDER BY r.rid", s.args,
		func(scan func(...any) error) error {
			res := &fhir.Resource{}
			var rid, updated int64
			var id []byte
			if err := scan(&rid, &id, &res.Version, &updated, &res.Body); err != nil {
				return err
			}
			res.Type, _, _ = strings.Cut(refs[rid], "/")
			res.ID, res.LastUpdated = string(id), fromMicros(updated)
			if in.bytes += len(res.Body); in.bytes > IncludeBytes {
				return errEnough
			}
			in.seen[refs[rid]] = true
			in.fresh = append(in.fresh, res)
			return nil
		})
	if err == nil && in.bytes > IncludeBytes {
		err = fhir.Errorf(fhir.BadRequest, "too-costly", "http._include", "More than %d bytes would be included; ask for a smaller page, or for less beside it.", IncludeBytes)
	}
	return err
}
