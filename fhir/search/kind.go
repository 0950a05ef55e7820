package search

// kind is how values of one kind of parameter are indexed and asked for.
type kind struct {
	name string
	// index adds the rows of one value of a resource.
	index func(*extraction, value) error
	// parse reads one value of a query, its escapes still in place. The error says what is
	// wrong with its form, without the value.
	parse func(*asked, string) (Value, error)
}

var kinds = map[Kind]kind{
	Token:       {"token", indexToken, parseToken},
	Reference:   {"reference", indexReference, parseReference},
	Date:        {"date", indexDate, parseDate},
	String:      {"string", indexString, parseString},
	URI:         {"uri", indexURI, parseURI},
	Number:      {"number", indexNumber, parseNumber},
	Quantity:    {"quantity", indexQuantity, parseQuantity},
	ID:          {"token", nil, parseID},
	LastUpdated: {"date", nil, parseDate},
	Text:        {"string", nil, nil},
	Composite:   {"composite", nil, nil},
	Special:     {"special", indexPosition, nil},
	Pieces:      {"string", nil, nil},
}

// kindByName reads SearchParameter.type.
func kindByName(name string) (Kind, bool) {
	for _, k := range []Kind{Token, Reference, Date, String, URI, Number, Quantity, Composite} {
		if kinds[k].name == name {
			return k, true
		}
	}
	return 0, false
}

// Name is the kind as SearchParameter.type and CapabilityStatement write it: "token",
// "reference", "date", "string", "uri", "number", "quantity", "composite" or "special".
func (k Kind) Name() string { return kinds[k].name }
