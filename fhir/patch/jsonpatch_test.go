package patch

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"aftercare/fhir"
)

// applied gives the result, or the error as "kind code expression".
func applied(out []byte, err error) string {
	if err == nil {
		return string(out)
	}
	var e *fhir.Error
	if !errors.As(err, &e) || len(e.Issues) != 1 {
		return fmt.Sprintf("not one issue: %v", err)
	}
	kind := map[fhir.ErrorKind]string{fhir.BadRequest: "BadRequest", fhir.Unprocessable: "Unprocessable", fhir.TooLarge: "TooLarge", fhir.Internal: "Internal"}[e.Kind]
	return strings.TrimSpace(kind + " " + e.Issues[0].Code + " " + strings.Join(e.Issues[0].Expression, " "))
}

// The situations of RFC 6902, appendix A.
func TestJSONPatchAsTheRFCShowsIt(t *testing.T) {
	for _, c := range []struct{ name, document, patch, want string }{
		{"A.1 adds a member", `{"a":"b"}`, `[{"op":"add","path":"/c","value":"d"}]`, `{"a":"b","c":"d"}`},
		{"A.2 adds an item", `{"a":["b","d"]}`, `[{"op":"add","path":"/a/1","value":"c"}]`, `{"a":["b","c","d"]}`},
		{"A.3 removes a member", `{"a":1,"b":2}`, `[{"op":"remove","path":"/a"}]`, `{"b":2}`},
		{"A.4 removes an item", `{"a":["b","c","d"]}`, `[{"op":"remove","path":"/a/1"}]`, `{"a":["b","d"]}`},
		{"A.5 replaces a value in its place", `{"a":1,"b":2}`, `[{"op":"replace","path":"/a","value":3}]`, `{"a":3,"b":2}`},
		{"A.6 moves a value", `{"a":{"b":1,"c":2},"d":{"e":3}}`, `[{"op":"move","from":"/a/c","path":"/d/f"}]`, `{"a":{"b":1},"d":{"e":3,"f":2}}`},
		{"A.7 moves an item", `{"a":[1,2,3,4]}`, `[{"op":"move","from":"/a/1","path":"/a/3"}]`, `{"a":[1,3,4,2]}`},
		{"A.8 a test that holds", `{"a":"b","c":["x",2,"y"]}`, `[{"op":"test","path":"/a","value":"b"},{"op":"test","path":"/c/1","value":2}]`, `{"a":"b","c":["x",2,"y"]}`},
		{"A.9 a test that fails", `{"a":"b"}`, `[{"op":"test","path":"/a","value":"c"}]`, `Unprocessable conflict [0]`},
		{"A.10 adds an object", `{"a":1}`, `[{"op":"add","path":"/b","value":{"c":{}}}]`, `{"a":1,"b":{"c":{}}}`},
		{"A.11 ignores what it does not know", `{"a":1}`, `[{"op":"add","path":"/b","value":2,"xyz":3}]`, `{"a":1,"b":2}`},
		{"A.12 cannot add to nothing", `{"a":1}`, `[{"op":"add","path":"/b/c","value":2}]`, `Unprocessable not-found [0].path`},
		{"A.13 refuses a member given twice", `{"a":1}`, `[{"op":"add","path":"/b","value":2,"op":"remove"}]`, `BadRequest structure [0].op`},
		{"A.14 reads ~01 as ~1", `{"/":9,"~1":10}`, `[{"op":"test","path":"/~01","value":10}]`, `{"/":9,"~1":10}`},
		{"A.15 a string is not a number", `{"~1":10}`, `[{"op":"test","path":"/~01","value":"10"}]`, `Unprocessable conflict [0]`},
		{"A.16 adds an array as an item", `{"a":["b"]}`, `[{"op":"add","path":"/a/-","value":["c","d"]}]`, `{"a":["b",["c","d"]]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := applied(JSON([]byte(c.document), []byte(c.patch))); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestJSONPatch(t *testing.T) {
	const patient = `{"resourceType":"Patient","id":"1","n":[{"f":1.50},{"f":2}],"m":{"x":"y"}}`
	for _, c := range []struct{ name, document, patch, want string }{
		{"no operations change nothing", "{ \"a\" : 1 }\n", `[]`, `{ "a" : 1 }`},
		{"keeps white space, digits, escapes and order", "{\n \"z\" : 1.500 ,\n \"\\u0061b\":\"\\u00e9\\/\",\n \"c\": [ ] }", `[{"op":"replace","path":"/c","value":[ 1.0 ]}]`,
			"{\n \"z\" : 1.500 ,\n \"\\u0061b\":\"\\u00e9\\/\",\n \"c\": [ 1.0 ] }"},
		{"finds an escaped name", `{"\u0061b":1}`, `[{"op":"replace","path":"/ab","value":2}]`, `{"\u0061b":2}`},
		{"later operations see earlier ones", `{"a":[]}`, `[{"op":"add","path":"/a/-","value":{"b":1}},{"op":"add","path":"/a/0/c","value":2},{"op":"remove","path":"/a/0/b"}]`, `{"a":[{"c":2}]}`},
		{"add replaces a member that is there", `{"a":1,"b":2}`, `[{"op":"add","path":"/a","value":null}]`, `{"a":null,"b":2}`},
		{"adds at the end by index", `{"a":[1]}`, `[{"op":"add","path":"/a/1","value":2}]`, `{"a":[1,2]}`},
		{"cannot add behind the end", `{"a":[1]}`, `[{"op":"add","path":"/a/2","value":2}]`, `Unprocessable not-found [0].path`},
		{"no index with a leading zero", `{"a":[1,2]}`, `[{"op":"remove","path":"/a/01"}]`, `Unprocessable not-found [0].path`},
		{"no negative index", `{"a":[1,2]}`, `[{"op":"remove","path":"/a/-1"}]`, `Unprocessable not-found [0].path`},
		{"no index that overflows", `{"a":[1,2]}`, `[{"op":"add","path":"/a/18446744073709551616","value":1}]`, `Unprocessable not-found [0].path`},
		{"- names no item", `{"a":[1]}`, `[{"op":"remove","path":"/a/-"}]`, `Unprocessable not-found [0].path`},
		{"nothing below a string", `{"a":"b"}`, `[{"op":"add","path":"/a/b","value":1}]`, `Unprocessable not-found [0].path`},
		{"removes the member with the empty name", `{"":1,"a":2}`, `[{"op":"remove","path":"/"}]`, `{"a":2}`},
		{"replace needs a target", `{"a":1}`, `[{"op":"replace","path":"/b","value":1}]`, `Unprocessable not-found [0].path`},
		{"remove needs a target", `{"a":1}`, `[{"op":"remove","path":"/b"}]`, `Unprocessable not-found [0].path`},
		{"move needs a source", `{"a":1}`, `[{"op":"move","from":"/b","path":"/c"}]`, `Unprocessable not-found [0].from`},
		{"copy needs a source", `{"a":1}`, `[{"op":"copy","from":"/b","path":"/c"}]`, `Unprocessable not-found [0].from`},
		{"moves onto itself", `{"a":1,"b":2}`, `[{"op":"move","from":"/a","path":"/a"}]`, `{"a":1,"b":2}`},
		{"moves onto itself only what is there", `{"a":1}`, `[{"op":"move","from":"/b","path":"/b"}]`, `Unprocessable not-found [0].from`},
		{"cannot move into itself", `{"a":{"b":1}}`, `[{"op":"move","from":"/a","path":"/a/b"}]`, `BadRequest value [0].path`},
		{"moves to a name that only starts alike", `{"a":1}`, `[{"op":"move","from":"/a","path":"/ab"}]`, `{"ab":1}`},
		{"a copy is a copy", `{"a":{"b":1}}`, `[{"op":"copy","from":"/a","path":"/c"},{"op":"replace","path":"/c/b","value":2}]`, `{"a":{"b":1},"c":{"b":2}}`},
		{"copies into itself", `{"a":{"b":1}}`, `[{"op":"copy","from":"/a","path":"/a/c"}]`, `{"a":{"b":1,"c":{"b":1}}}`},
		{"copies what was changed before", `{"a":{"b":1}}`, `[{"op":"add","path":"/a/c","value":2},{"op":"copy","from":"/a","path":"/d"}]`, `{"a":{"b":1,"c":2},"d":{"b":1,"c":2}}`},
		{"an index means the array as it is then", `{"a":[1,2,3]}`, `[{"op":"remove","path":"/a/0"},{"op":"remove","path":"/a/0"}]`, `{"a":[3]}`},
		{"tests numbers by value", `{"a":1.50}`, `[{"op":"test","path":"/a","value":15e-1}]`, `{"a":1.50}`},
		{"tests members in any order", `{"a":{"b":1,"c":[{}]}}`, `[{"op":"test","path":"/a","value":{"c":[{}],"b":1.0}}]`, `{"a":{"b":1,"c":[{}]}}`},
		{"tests items in order", `{"a":[1,2]}`, `[{"op":"test","path":"/a","value":[2,1]}]`, `Unprocessable conflict [0]`},
		{"tests all members", `{"a":{"b":1,"c":2}}`, `[{"op":"test","path":"/a","value":{"b":1}}]`, `Unprocessable conflict [0]`},
		{"tests null", `{"a":null}`, `[{"op":"test","path":"/a","value":null}]`, `{"a":null}`},
		{"absent is not null", `{"a":1}`, `[{"op":"test","path":"/b","value":null}]`, `Unprocessable not-found [0].path`},
		{"tests escaped strings", `{"a":"\u00e9"}`, `[{"op":"test","path":"/a","value":"é"}]`, `{"a":"\u00e9"}`},
		{"tests the whole", `{"a":1}`, `[{"op":"test","path":"","value":{"a":1}}]`, `{"a":1}`},
		{"a failure after changes gives nothing", `{"a":1}`, `[{"op":"remove","path":"/a"},{"op":"test","path":"/a","value":1}]`, `Unprocessable not-found [1].path`},
		{"no shorter way to write true", `{"a":true}`, `[{"op":"test","path":"/a","value":"true"}]`, `Unprocessable conflict [0]`},

		{"the id stays", patient, `[{"op":"replace","path":"/id","value":"2"}]`, `Unprocessable business-rule id`},
		{"the id cannot go", patient, `[{"op":"remove","path":"/id"}]`, `Unprocessable business-rule id`},
		{"the type stays", patient, `[{"op":"replace","path":"/resourceType","value":"Person"}]`, `Unprocessable business-rule resourceType`},
		{"the type moves nowhere", patient, `[{"op":"move","from":"/resourceType","path":"/m/x"}]`, `Unprocessable business-rule resourceType`},
		{"the type may go and come back", `{"resourceType":"A","b":1}`, `[{"op":"move","from":"/resourceType","path":"/c"},{"op":"move","from":"/c","path":"/resourceType"}]`, `{"b":1,"resourceType":"A"}`},
		{"the whole may be replaced by the same resource", patient, `[{"op":"replace","path":"","value":{"resourceType":"Patient","id":"1"}}]`, `{"resourceType":"Patient","id":"1"}`},
		{"the whole stays an object", patient, `[{"op":"add","path":"","value":[1]}]`, `Unprocessable business-rule`},
		{"the whole cannot be removed", patient, `[{"op":"remove","path":""}]`, `Unprocessable business-rule [0].path`},

		{"a patch is JSON", `{}`, `[`, `BadRequest structure`},
		{"a patch is an array", `{}`, `{"op":"remove","path":"/a"}`, `BadRequest structure`},
		{"an operation is an object", `{}`, `["remove"]`, `BadRequest structure [0]`},
		{"op is needed", `{}`, `[{"path":"/a"}]`, `BadRequest required [0].op`},
		{"op is a string", `{}`, `[{"op":1,"path":"/a"}]`, `BadRequest required [0].op`},
		{"op is known", `{}`, `[{"op":"delete","path":"/a"}]`, `BadRequest not-supported [0].op`},
		{"op has its case", `{"a":1}`, `[{"op":"Remove","path":"/a"}]`, `BadRequest not-supported [0].op`},
		{"path is needed", `{}`, `[{"op":"remove"}]`, `BadRequest required [0].path`},
		{"path is a string", `{}`, `[{"op":"remove","path":0}]`, `BadRequest required [0].path`},
		{"path starts with a slash", `{"a":1}`, `[{"op":"remove","path":"a"}]`, `BadRequest value [0].path`},
		{"path has no bare tilde", `{"a~b":1}`, `[{"op":"remove","path":"/a~b"}]`, `BadRequest value [0].path`},
		{"path ends with no tilde", `{"a~":1}`, `[{"op":"remove","path":"/a~"}]`, `BadRequest value [0].path`},
		{"value is needed", `{}`, `[{"op":"add","path":"/a"}]`, `BadRequest required [0].value`},
		{"value is needed by test", `{"a":null}`, `[{"op":"test","path":"/a"}]`, `BadRequest required [0].value`},
		{"from is needed", `{"a":1}`, `[{"op":"move","path":"/a"}]`, `BadRequest required [0].from`},
		{"the place of a later operation", `{"a":1}`, `[{"op":"add","path":"/b","value":1},{"op":"remove","path":"/c"}]`, `Unprocessable not-found [1].path`},
		{"a stored resource that is no JSON is our fault", `{"a"`, `[]`, `Internal`},
	} {
		t.Run(c.name, func(t *testing.T) {
			document := []byte(c.document)
			got := applied(JSON(document, []byte(c.patch)))
			if c.want == "Internal" {
				if !strings.HasPrefix(got, "not one issue") {
					t.Errorf("got %s", got)
				}
				return
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if string(document) != c.document {
				t.Error("the input was changed")
			}
		})
	}
}

func TestJSONPatchLimits(t *testing.T) {
	operations := func(n int, one string) []byte {
		return []byte("[" + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + "]")
	}
	for _, c := range []struct {
		name, document string
		patch          []byte
		want           string
	}{
		{"1000 operations are allowed", `{"a":[]}`, operations(1000, `{"op":"test","path":"/a","value":[]}`), `{"a":[]}`},
		{"1001 are not", `{"a":[]}`, operations(1001, `{"op":"test","path":"/a","value":[]}`), `TooLarge too-long`},
		{"copies cannot double for ever", `{"a":"0123456789"}`, operations(1000, `{"op":"copy","from":"","path":"/a"}`), `Unprocessable structure [64].from`},
		{"copies cannot grow for ever", `{"a":["0123456789"]}`, operations(1000, `{"op":"copy","from":"/a","path":"/a/-"}`), `TooLarge too-long`},
		{"additions cannot nest for ever", `{"a":{"a":{}}}`, []byte(`[{"op":"add","path":"/a/a/b","value":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}]`), `Unprocessable structure`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := applied(JSON([]byte(c.document), c.patch)); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %.200s, want %s", got, c.want)
			}
		})
	}
}

func TestErrorsRepeatNothing(t *testing.T) {
	const secret = "Bettany"
	document := []byte(`{"resourceType":"Patient","name":"` + secret + `"}`)
	for _, patch := range []string{
		`[{"op":"test","path":"/name","value":"x` + secret + `"}]`,
		`[{"op":"remove","path":"/` + secret + `"}]`,
		`[{"op":"` + secret + `","path":"/name"}]`,
		`[{"op":"remove","path":"` + secret + `"}]`,
		`[{"op":"add","path":"/id","value":"` + secret + `"}]`,
	} {
		_, err := JSON(document, []byte(patch))
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", patch, err)
		}
	}
}

func TestSameNumber(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"1", "1.0", true}, {"1", "10e-1", true}, {"0", "-0.00", true}, {"1e2", "100", true}, {"1E+2", "100.0", true},
		{"0.001", "1e-3", true}, {"-1", "1", false}, {"1", "10", false}, {"0.1", "0.01", false}, {"9007199254740993", "9007199254740992", false},
		{"1e400", "1e401", false}, {"1e999999999999", "1e999999999999", true}, {"1e999999999999", "1e999999999998", false}, {"0", "1", false},
		{"12345678901234567890.10", "12345678901234567890.1", true},
	} {
		if got := sameNumber(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %t", c.a, c.b, got)
		}
		if got := sameNumber(c.b, c.a); got != c.want {
			t.Errorf("%s and %s: %t", c.b, c.a, got)
		}
	}
}

func TestResultSharesNoMemory(t *testing.T) {
	document := []byte(`{"a":1}`)
	out, err := JSON(document, []byte(`[]`))
	if err != nil {
		t.Fatal(err)
	}
	out[1] = 'x'
	if !bytes.Equal(document, []byte(`{"a":1}`)) {
		t.Error("the result is the input's memory")
	}
}
