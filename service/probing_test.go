package service

import (
	"strconv"
	"strings"
	"testing"

	"aftercare/fhir"
)

// Whoever may write only some resources cannot find out which others are there: what is answered
// about those is answered about unknown ones too.
func TestNobodyFindsOutWhatIsThere(t *testing.T) {
	s := open(t, func(o *Options) { o.References = "exist" })
	twoPatients(t, s)
	p := principals(t)["the patient app of a, all of it"]
	said := func(err error) string {
		if err == nil {
			return "done"
		}
		return strconv.Itoa(fhir.KindOf(err).Status()) + ": " + strings.NewReplacer("b-lab", "ID", "unknown", "ID").Replace(err.Error())
	}
	observation := func(id string) []byte {
		return []byte(`{"resourceType":"Observation","id":"` + id + `","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/a"}}`)
	}
	for name, do := range map[string]func(id string) error{
		"an update with If-Match": func(id string) error {
			_, err := s.Update(ctx, *p, "Observation", id, observation(id), Preconditions{IfMatch: `W/"7"`})
			return err
		},
		"an update that must not be there": func(id string) error {
			_, err := s.Update(ctx, *p, "Observation", id, observation(id), Preconditions{IfNoneMatch: "*"})
			return err
		},
		"an update": func(id string) error {
			_, err := s.Update(ctx, *p, "Observation", id, observation(id), Preconditions{})
			return err
		},
		"a patch with If-Match": func(id string) error {
			_, err := s.Patch(ctx, *p, "Observation", id, JSONPatch, []byte(`[]`), Preconditions{IfMatch: `W/"7"`})
			return err
		},
		"a patch that does not fit": func(id string) error {
			_, err := s.Patch(ctx, *p, "Observation", id, JSONPatch, []byte(`[{"op":"remove","path":"/nothing"}]`), Preconditions{})
			return err
		},
		"a delete with If-Match": func(id string) error {
			_, err := s.Delete(ctx, *p, "Observation", id, Preconditions{IfMatch: `W/"7"`})
			return err
		},
		"a delete": func(id string) error {
			_, err := s.Delete(ctx, *p, "Observation", id, Preconditions{})
			return err
		},
		"a reference": func(id string) error {
			_, err := s.Create(ctx, *p, "Observation", []byte(strings.Replace(string(observation("x")), `"subject"`, `"hasMember":[{"reference":"Observation/`+id+`"}],"subject"`, 1)), "")
			return err
		},
		"a conditional reference": func(id string) error {
			_, err := s.Create(ctx, *p, "Observation", []byte(strings.Replace(string(observation("x")), `"subject"`, `"hasMember":[{"reference":"Observation?identifier=urn:x|`+id+`"}],"subject"`, 1)), "")
			return err
		},
		"a history": func(id string) error {
			_, err := s.History(ctx, *p, "Observation", id, nil)
			return err
		},
		"a version": func(id string) error {
			_, err := s.VRead(ctx, *p, "Observation", id, "1")
			return err
		},
		"a staged transaction": func(id string) error {
			entries := []string{entryOf("", string(observation(id)), "PUT", "Observation/"+id, "")}
			for range 3 {
				entries = append(entries, entryOf("", strings.Replace(string(observation("x")), `"id":"x",`, "", 1), "POST", "Observation", ""))
			}
			stageFrom := s.stageFrom
			s.stageFrom = 2
			defer func() { s.stageFrom = stageFrom }()
			_, err := s.Process(ctx, *p, bundleOf("transaction", entries...), "")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if of, unknown := said(do("b-lab")), said(do("unknown")); of != unknown {
				t.Errorf("of another's the answer is %s, and of an unknown one %s", of, unknown)
			}
		})
	}
	if _, err := s.Read(ctx, Anonymous, "Observation", "b-lab"); err != nil {
		t.Error(err)
	}
}
