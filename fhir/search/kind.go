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
	Number:      {"number", indexNumber, nil},
	Quantity:    {"quantity", indexQuantity, nil},
	ID:          {"token", nil, parseID},
	LastUpdated: {"date", nil, parseDate},
}

// kindByName reads SearchParameter.type. The kinds composite and special are not known.
func kindByName(name string) (Kind, bool) {
	for k := Token; k <= Quantity; k++ {
		if kinds[k].name == name {
			return k, true
		}
	}
	return 0, false
}

// Name is the kind as SearchParameter.type and CapabilityStatement write it: "token",
// "reference", "date", "string", "uri", "number" or "quantity".
func (k Kind) Name() string { return kinds[k].name }
