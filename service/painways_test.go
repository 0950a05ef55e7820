package service

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"aftercare/fhir"
)

// However a report comes in, it is interpreted.
func TestPainIsInterpretedHoweverItComesIn(t *testing.T) {
	pain := hurting("o", "2026-03-05", "5", "pull")
	anonymous := strings.Replace(pain, `"id":"o",`, "", 1)
	numbered := strings.Replace(anonymous, `"status"`, `"identifier":[{"system":"urn:x","value":"1"}],"status"`, 1)
	entry := func(resource, method, url, more string) string {
		return `{"fullUrl":"urn:uuid:6c0c5b0e-5c0c-4d5e-8d7e-3a4f1a2b3c4d","resource":` + resource + `,"request":{"method":"` + method + `","url":"` + url + `"` + more + `}}`
	}
	bundle := func(typ string, entries ...string) []byte {
		return []byte(`{"resourceType":"Bundle","type":"` + typ + `","entry":[` + strings.Join(entries, ",") + `]}`)
	}
	process := func(s *Service, body []byte) error {
		_, err := s.Process(ctx, Anonymous, body, "")
		return err
	}
	for name, send := range map[string]func(t *testing.T, s *Service) error{
		"create": func(_ *testing.T, s *Service) error {
			_, err := s.Create(ctx, Anonymous, "Observation", []byte(anonymous), "")
			return err
		},
		"conditional create": func(_ *testing.T, s *Service) error {
			for range 2 {
				if _, err := s.Create(ctx, Anonymous, "Observation", []byte(numbered), "identifier=urn:x|1"); err != nil {
					return err
				}
			}
			return nil
		},
		"patch": func(t *testing.T, s *Service) error {
			s.keep(t, hurting("o", "2026-03-05", "0", "pull"))
			return process(s, bundle("transaction", `{"resource":{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Observation.value.value"},{"name":"value","valueDecimal":5}]}]},"request":{"method":"PATCH","url":"Observation/o"}}`))
		},
		"transaction": func(_ *testing.T, s *Service) error {
			return process(s, bundle("transaction", entry(anonymous, "POST", "Observation", "")))
		},
		"batch": func(_ *testing.T, s *Service) error {
			return process(s, bundle("batch", entry(pain, "PUT", "Observation/o", "")))
		},
		"conditional update": func(_ *testing.T, s *Service) error {
			return process(s, bundle("transaction", entry(numbered, "PUT", "Observation?identifier=urn:x|1", "")))
		},
		"large transaction": func(_ *testing.T, s *Service) error {
			s.stageFrom = 1
			return process(s, bundle("transaction", entry(pain, "PUT", "Observation/o", "")))
		},
		"large transaction with the operation again": func(_ *testing.T, s *Service) error {
			s.stageFrom = 1
			return process(s, bundle("transaction", entry(pain, "PUT", "Observation/o", ""), strings.Replace(entry(anchorIn("op", "2026-03-02", "left", `"note":[{"text":"x"}]`), "PUT", "Procedure/op", ""), "6c0c", "6c0d", 1)))
		},
		"a diary": func(t *testing.T, s *Service) error {
			diary := strings.NewReplacer("2026-07-02", "2026-03-05", `"phantom"`, `"residual-bone"`).Replace(answered)
			return process(s, s.ask(t, "QuestionnaireResponse/$extract", diary).Raw)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			s.keep(t, `{"resourceType":"Patient","id":"p"}`, anchorIn("op", "2026-03-02", "left"))
			if err := send(t, s); err != nil {
				t.Fatal(err)
			}
			got := s.painState(t)
			want := "bone-a 13, bone-b 13"
			if name == "a diary" {
				want = "bone-a 9, bone-b 9"
			}
			if strings.Count(got, want+"\n") != 1 || !strings.Contains(got, "loading on-hold") || !strings.Contains(got, "task requested discuss-with-surgeon") {
				t.Errorf("got\n%s", got)
			}
		})
	}
}

// An operation and its patient's reports in one large transaction come to the same as one by one.
func TestPainInOneLargeTransaction(t *testing.T) {
	resources := []string{`{"resourceType":"Patient","id":"p"}`, anchorIn("op", "2026-03-02", "left"), hurting("o", "2026-03-05", "5", "pull"), painBody("o2", nrs, "2026-07-02", "8")}
	var want string
	for _, from := range []int{0, 1, 1000} {
		s := open(t)
		if from == 0 {
			s.keep(t, resources...)
			want = s.painState(t)
			continue
		}
		s.stageFrom = from
		var entries []string
		for _, body := range resources {
			n, err := fhir.Parse([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			ref := n.Str("resourceType") + "/" + n.Str("id")
			entries = append(entries, `{"fullUrl":"`+base+"/"+ref+`","resource":`+body+`,"request":{"method":"PUT","url":"`+ref+`"}}`)
		}
		if _, err := s.Process(ctx, Anonymous, []byte(`{"resourceType":"Bundle","type":"transaction","entry":[`+strings.Join(entries, ",")+`]}`), ""); err != nil {
			t.Fatal(err)
		}
		if got := s.painState(t); got != want || !strings.Contains(got, "Observation/o2") {
			t.Errorf("staged from %d:\n%s\nwant\n%s", from, got, want)
		}
	}
}

// The same report many times at once, together with the operation, comes to one interpretation.
func TestPainAtOnce(t *testing.T) {
	s := open(t)
	s.keep(t, `{"resourceType":"Patient","id":"p"}`)
	bodies := []string{anchorIn("op", "2026-03-02", "left")}
	for range 16 {
		bodies = append(bodies, hurting("o", "2026-03-05", "5", "pull"))
	}
	var all sync.WaitGroup
	for _, body := range bodies {
		all.Go(func() {
			n, err := fhir.Parse([]byte(body))
			if err == nil {
				_, err = s.Update(ctx, Anonymous, n.Str("resourceType"), n.Str("id"), []byte(body), Preconditions{})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	wantState(t, s, "at once", "impression in-progress of Observation/o: bone-a 13, bone-b 13", "task requested discuss-with-surgeon", "flag active pain-ask-surgeon", "loading on-hold")
	for _, typ := range []string{"ClinicalImpression", "Flag"} {
		for _, n := range s.nodes(t, typ, "") {
			if n.Str("meta", "versionId") != "1" {
				t.Errorf("%s has version %s", typ, n.Str("meta", "versionId"))
			}
		}
	}
}

// Sides, scales, zones and dates that are not exact, from the report to what is stored.
func TestPainAtTheEdges(t *testing.T) {
	if !strings.HasPrefix(newDatabase(t), "sqlite:") {
		t.Skip("what is made of a report is decided above the engines")
	}
	side := func(code string) string {
		return `"bodySite":{"coding":[{"system":"http://snomed.info/sct","code":"` + code + `"}]}`
	}
	const left, right = "7771000", "24028007"
	one := "impression in-progress of Observation/o: "
	for name, c := range map[string]struct {
		report string
		want   []string // of impressions
	}{
		"the left of two":                        {hurting("o", "2026-04-05", "5", "pull", side(left)), []string{one + "bone-a 13, bone-b 13"}},
		"the right of two":                       {hurting("o", "2026-04-05", "5", "pull", side(right)), []string{one + "bone-c 13, bone-a 9, bone-b 9"}},
		"no side":                                {hurting("o", "2026-04-05", "5", "pull"), []string{one + "bone-a 13, bone-b 13", one + "bone-c 13, bone-a 9, bone-b 9"}},
		"no side, named by the operation":        {hurting("o", "2026-04-05", "5", "pull", `"partOf":[{"reference":"Procedure/r"}]`), []string{one + "bone-c 13, bone-a 9, bone-b 9"}},
		"the day of the operation":               {hurting("o", "2026-03-02", "5", "pull", side(left)), []string{one + "bone-a 13, bone-b 13"}},
		"the day before":                         {hurting("o", "2026-03-01", "5", "pull", side(left)), nil},
		"the last day of 3 months, near its end": {hurting("o", "2026-06-02T23:30:00+01:00", "5", "pull", side(left)), []string{one + "bone-c 13, bone-a 13, bone-b 9"}},
		"that instant is the next day here":      {hurting("o", "2026-06-02T23:30:00Z", "5", "pull", side(left)), []string{one + "bone-c 13, bone-a 9, bone-b 9"}},
		"a month":                                {hurting("o", "2026-04", "5", "pull", side(left)), nil},
		"a period that goes on":                  {strings.Replace(hurting("o", "2026-04-05", "5", "pull", side(left)), `"effectiveDateTime":"2026-04-05"`, `"effectivePeriod":{"start":"2026-03-05"}`, 1), []string{one + "bone-a 13, bone-b 13"}},
		"a line of 100 mm":                       {strings.Replace(hurting("o", "2026-04-05", "55", "pull", side(left)), nrs, vas, 1), []string{one + "bone-a 13, bone-b 13"}},
		"faces":                                  {strings.Replace(hurting("o", "2026-04-05", "4", "pull", side(left)), nrs, faces, 1), []string{one + "bone-a 13, bone-b 13"}},
		"a T-score":                              {strings.Replace(hurting("o", "2026-04-05", "61.2", "pull", side(left)), nrs, promis, 1), []string{one + "bone-a 13, bone-b 13"}},
		"another bone":                           {hurting("o", "2026-04-05", "5", "pull", `"bodySite":{"coding":[{"system":"http://snomed.info/sct","code":"12611008"}]}`), nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			s.keep(t, `{"resourceType":"Patient","id":"p"}`, anchorIn("l", "2026-03-02", "left"), anchorIn("r", "2025-03-02", "right"), c.report)
			var got []string
			for _, line := range strings.Split(s.painState(t), "\n") {
				if strings.HasPrefix(line, "impression") {
					got = append(got, line)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// A report alone, for which the anchors are at hand, comes to the same, byte by byte, as one that is
// interpreted with a whole derivation.
func TestPainWithAnchorsAtHand(t *testing.T) {
	if !strings.HasPrefix(newDatabase(t), "sqlite:") {
		t.Skip("what is made of a report is decided above the engines")
	}
	osseo := func(code string) string {
		return `"bodySite":{"coding":[{"system":"` + fhir.Canonical + `/CodeSystem/osseointegration","code":"` + code + `"}]}`
	}
	reports := []string{
		painBody("a", nrs, "2026-07-02", "8", osseo("muscle")), painBody("b", nrs, "2026-07-03", "4", osseo("phantom")), painBody("c", nrs, "2026-11-02", "4", osseo("phantom")),
		hurting("d", "2026-07-04", "4", "twist"), hurting("e", "2026-03-04", "4", "twist"), painBody("f", nrs, "2026-07-05", "5", osseo("stump-nerve")), painBody("g", nrs, "2026-03-06", "0"),
	}
	before := []string{`{"resourceType":"Patient","id":"p"}`, anchorIn("op", "2026-03-02", "left", `"focalDevice":[{"manipulated":{"reference":"Device/anchor"}}]`),
		strings.NewReplacer(`"single-stage"`, `"tmr"`, `"subject"`, `"partOf":[{"reference":"Procedure/op"}],"subject"`).Replace(anchorIn("tmr", "2026-03-02", "left")),
		`{"resourceType":"Device","id":"anchor","patient":{"reference":"Patient/p"},"modelNumber":"OPL"}`}
	made := func(s *Service) (all []string) {
		for _, typ := range []string{"ClinicalImpression", "Task", "Flag", "DetectedIssue"} {
			for _, n := range s.nodes(t, typ, "identifier=https://aftercare.example/fhir/identifier/interpretation|") {
				n.Members = slices.DeleteFunc(n.Members, func(m fhir.Member) bool { return m.Name == "meta" })
				var b strings.Builder
				for _, m := range n.Members {
					b.WriteString(m.Name + string(m.Value.Raw))
				}
				all = append(all, b.String())
			}
		}
		return sorted(all)
	}
	alone, whole, atHand := open(t), open(t), 0
	alone.keep(t, before...)
	whole.keep(t, before...)
	for _, body := range reports {
		alone.keep(t, body)
		if _, ok := alone.atHand.get("p"); ok {
			atHand++
		}
		whole.atHand.keep("p", knownAnchors{}) // which fits nothing
		whole.keep(t, body)
	}
	a, w := made(alone), made(whole)
	if len(a) < 10 || atHand < 5 || !slices.Equal(a, w) {
		t.Errorf("%d and %d, at hand %d times", len(a), len(w), atHand)
		for i := range min(len(a), len(w)) {
			if a[i] != w[i] {
				t.Fatalf("alone %s\nwhole %s", a[i], w[i])
			}
		}
	}
	moved := strings.Replace(before[1], "2026-03-02", "2026-03-03", 1) // the anchors at hand are not good any more
	alone.keep(t, moved, painBody("h", nrs, "2026-06-02", "4", osseo("muscle-insertion")))
	if got := alone.nodes(t, "ClinicalImpression", "investigation=Observation/h"); len(got) != 1 || candidateCauses(got[0]) != "enth 9, musc 7" {
		t.Errorf("after the operation has moved: %s", candidateCauses(got[0]))
	}
}
