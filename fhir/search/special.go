package search

import "strings"

// specialParameters are those that every type has, that limit the matches, and that have no rows
// of their own (https://hl7.org/fhir/R4/search.html#all). The value is not empty.
var specialParameters map[string]func(p *parser, typ, raw string) (Clause, error)

func init() { // not initialised above, since _filter may hold any parameter
	refuse := func(why string) func(*parser, string, string) (Clause, error) {
		return func(*parser, string, string) (Clause, error) { return Clause{}, unsupported{problem(why)} }
	}
	specialParameters = map[string]func(p *parser, typ, raw string) (Clause, error){
		"_list":          (*parser).inList,
		"_filter":        (*parser).filter,
		"_containedType": refuse("contained resources are not searched, so none can be given"),
		"_query":         refuse("no named queries are offered"),
		"_type":          refuse("it is for a search of several types"),
		"_has":           refuse("write _has:Type:reference:parameter"),
	}
}

// inList reads _list (https://hl7.org/fhir/R4/search.html#list): the ids of Lists, in one of which
// a resource is an item.
func (p *parser) inList(typ, raw string) (Clause, error) {
	item, id := p.entry("List", "item"), p.entry("List", "_id")
	var values []Value
	for _, part := range splitUnescaped(raw, ',') {
		if strings.HasPrefix(part, "$") || strings.HasPrefix(part, `\$`) {
			return Clause{}, unsupported{problem("functional lists such as $current-problems are not offered; give the id of a List")}
		}
		v, err := parseID(nil, part)
		if err != nil {
			return Clause{}, err
		}
		values = append(values, v)
	}
	return Clause{Has: &Has{Param: item.param, Clause: Clause{Param: id.param, Values: values}}}, p.spend(len(values))
}
