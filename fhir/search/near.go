package search

import (
	"math"
	"strconv"

	"aftercare/fhir"
	"aftercare/fhir/search/ucum"
)

// indexPosition gives the latitude and the longitude of Location.position.
func indexPosition(x *extraction, v value) error {
	for _, part := range []struct {
		name  string
		facet *Parameter
	}{{"latitude", x.entry.latitude}, {"longitude", x.entry.longitude}} {
		n := v.Get(part.name)
		if n == nil {
			return nil
		}
		if n.Kind != fhir.Number {
			return problem("a JSON number is needed")
		}
		d, err := readDecimal(n.Text)
		if err != nil {
			return err
		}
		if err := x.add(Row{Param: part.facet, NumberLow: d.float(), NumberHigh: d.float()}); err != nil {
			return err
		}
	}
	return nil
}

// What counts as near where no distance is given, and the mean radius of the Earth, in metres.
const (
	nearby      = 50_000
	earthRadius = 6_371_009
)

// near reads latitude|longitude[|distance[|unit]], without a unit in km
// (https://hl7.org/fhir/R4/location.html#search). It finds what lies in the smallest box of
// latitudes and longitudes that holds the circle: R4 leaves the accuracy to the server.
func (p *parser) near(e *entry, raw string) (Clause, error) {
	var any []Clause
	for _, value := range splitUnescaped(raw, ',') {
		c, err := p.nearOne(e, value)
		if err != nil {
			return Clause{}, err
		}
		any = append(any, c)
	}
	return anyOf(any), nil
}

func (p *parser) nearOne(e *entry, raw string) (Clause, error) {
	wrong := problem("write latitude|longitude|distance|unit, where the distance, in km without a unit, may be left out")
	parts, err := unescapeParts(raw, '|')
	if err != nil {
		return Clause{}, err
	}
	if len(parts) < 2 || len(parts) > 4 {
		return Clause{}, wrong
	}
	latitude, err1 := strconv.ParseFloat(parts[0], 64)
	longitude, err2 := strconv.ParseFloat(parts[1], 64)
	if err1 != nil || err2 != nil || !(math.Abs(latitude) <= 90) || !(math.Abs(longitude) <= 180) {
		return Clause{}, wrong
	}
	metres := float64(nearby)
	if len(parts) > 2 && parts[2] != "" {
		unit := "km"
		if len(parts) == 4 && parts[3] != "" {
			unit = parts[3]
		}
		d, err := readDecimal(parts[2])
		u, ok := ucum.Parse(unit)
		if err != nil || !ok || u.Base != "m" || d.rat().Sign() < 0 {
			return Clause{}, wrong
		}
		metres = d.toBase(u).float()
	}
	if err := p.spend(4); err != nil {
		return Clause{}, err
	}
	south, north, west, east := box(latitude, longitude, metres)
	all := []Clause{between(e.latitude, south, north)}
	switch {
	case east-west >= 360:
	case west < -180:
		all = append(all, Clause{Any: []Clause{between(e.longitude, west+360, 180), between(e.longitude, -180, east)}})
	case east > 180:
		all = append(all, Clause{Any: []Clause{between(e.longitude, west, 180), between(e.longitude, -180, east-360)}})
	default:
		all = append(all, between(e.longitude, west, east))
	}
	return Clause{All: all}, nil
}

// box is what holds all within a distance; of one that holds a pole, all longitudes.
func box(latitude, longitude, metres float64) (south, north, west, east float64) {
	const degree = math.Pi / 180
	angle := metres / earthRadius
	south, north = latitude-angle/degree, latitude+angle/degree
	if south <= -90 || north >= 90 {
		return south, north, -180, 180
	}
	wide := math.Asin(math.Min(1, math.Sin(angle)/math.Cos(latitude*degree))) / degree
	return south, north, longitude - wide, longitude + wide
}

func between(p *Parameter, low, high float64) Clause {
	at := func(prefix Prefix, number float64) Clause {
		return Clause{Param: p, Values: []Value{{Prefix: prefix, Number: number, NumberLow: number, NumberHigh: number, AnyUnit: true}}}
	}
	return Clause{All: []Clause{at(Ge, low), at(Le, high)}}
}
