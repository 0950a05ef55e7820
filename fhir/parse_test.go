package fhir

import (
	"errors"
	"strings"
	"testing"
)

func TestParseRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"empty":             ``,
		"cut off":           `{"resourceType":"Patient"`,
		"trailing comma":    `{"a":1,}`,
		"duplicate member":  `{"a":1,"a":2}`,
		"escaped duplicate": `{"a":1,"\u0061":2}`,
		"invalid UTF-8":     "{\"a\":\"\xff\"}",
		"lone surrogate":    `{"a":"\ud800"}`,
		"two values":        `{} {}`,
		"trailing text":     `{}x`,
		"nesting bomb":      strings.Repeat(`[`, 100000),
		"object bomb":       strings.Repeat(`{"a":`, 100000),
		"byte order mark":   "\ufeff{}",
		"leading zero":      `{"a":01}`,
		"NaN":               `{"a":NaN}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(body))
			var e *Error
			if !errors.As(err, &e) || e.Kind != BadRequest || len(e.Issues) != 1 {
				t.Fatalf("got %v, want one BadRequest issue", err)
			}
		})
	}
}

func TestParseKeepsEveryByte(t *testing.T) {
	const body = ` {"a" : 1.50, "b":["x\u0041",true,null, {"c":-0.0E+02}] } `
	n, err := Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(n.Get("a").Raw); got != "1.50" {
		t.Errorf("decimal is %s", got)
	}
	if got := n.Get("b").Items[0].Text; got != "xA" {
		t.Errorf("string is %q", got)
	}
	if got := string(n.Get("b").Raw); got != `["x\u0041",true,null, {"c":-0.0E+02}]` {
		t.Errorf("array is %s", got)
	}
	if got := body[n.Get("b").Start:][:1]; got != "[" {
		t.Errorf("start points at %q", got)
	}
}

func TestDuplicateMemberIsPlaced(t *testing.T) {
	_, err := Parse([]byte("{\"resourceType\":\"Patient\",\n \"name\":[{\"family\":\"x\",\"family\":\"y\"}]}"))
	var e *Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	if got := e.Issues[0].Expression; len(got) != 1 || got[0] != "Patient.name[0].family" {
		t.Errorf("expression %v", got)
	}
	if !strings.Contains(e.Issues[0].Text, "line 2") {
		t.Errorf("text %q", e.Issues[0].Text)
	}
}

// A tree takes much more memory than a text of small values, so their number is bounded:
// 60 MB of them took 5 GB.
func TestParseBoundsTheNumberOfValues(t *testing.T) {
	_, err := Parse([]byte("[" + strings.Repeat("1,", MaxValues) + "1]"))
	if err == nil || KindOf(err) != TooLarge {
		t.Errorf("got %v, want TooLarge", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Patient","id":"a","meta":{"tag":[{"code":"x"}]},"x":1.0}`))
	f.Add([]byte(`{"a":"\ud83d\ude00","b":[[],{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := Parse(data)
		if err != nil {
			return
		}
		again, err := Parse(n.Raw)
		if err != nil || string(again.Raw) != string(n.Raw) {
			t.Fatalf("a parsed value does not parse again: %v", err)
		}
		if n.Kind == Object && n.Get("resourceType") != nil {
			d := NewDraft(n)
			if d.Type != "Patient" || (d.ID != "" && !ValidID(d.ID)) {
				return
			}
			if m := n.Get("meta"); m != nil && m.Kind != Object {
				return
			}
			r, err := Parse(d.Stamp("i", 1, epoch).Body)
			if err != nil {
				t.Fatalf("stamped resource does not parse: %v", err)
			}
			if !NewDraft(r).Same(&Draft{Type: d.Type, ID: "i", meta: d.meta, tail: d.tail}) {
				t.Fatal("stamping changed the content")
			}
		}
	})
}
