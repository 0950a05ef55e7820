package service

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"aftercare/fhir"
	"aftercare/service/audit"
	"aftercare/service/memory"
)

// An entry of a batch whose answer has no room is in the log once, with the status that it was answered
// with and without what it would have shown; so are those after it, which are not run.
func TestEntriesWithoutRoomAreLogged(t *testing.T) {
	s := open(t, withLog(1))
	long := `{"resourceType":"Patient","id":"long","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">` + strings.Repeat("x", memory.FreeAnswer) + `</div>"}}`
	if _, err := s.Update(t.Context(), Anonymous, "Patient", "long", []byte(long), Preconditions{}); err != nil {
		t.Fatal(err)
	}
	var asked []string
	for _, url := range []string{"Patient/short", "Patient/long", "Patient/short", "Patient?_id=long", "Patient/long/_history/1"} {
		asked = append(asked, fmt.Sprintf(`{"request":{"method":"GET","url":%q}}`, url))
	}
	budget := memory.New(1 << 20)
	other := budget.Claim()
	defer other.Release()
	if err := other.Answer(1 << 20); err != nil {
		t.Fatal(err)
	}
	trail := NewTrail(audit.Record{})
	ctx := WithTrail(memory.With(t.Context(), budget.Claim()), trail)
	before := len(logged(t, s.store))
	out, err := s.Process(ctx, Anonymous, []byte(`{"resourceType":"Bundle","type":"batch","entry":[`+strings.Join(asked, ",")+`]}`), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.LogTrail(ctx, trail, 200, nil); err != nil {
		t.Fatal(err)
	}
	n, err := fhir.Parse(out)
	if err != nil {
		t.Fatal(err)
	}
	var statuses, told []string
	for _, e := range n.Each("entry") {
		statuses = append(statuses, e.Str("response", "status")[:3])
	}
	for _, r := range logged(t, s.store)[before:] {
		told = append(told, fmt.Sprint(r.Status))
		if (r.Status != 200) != (len(r.Shown) == 0) || (r.Status == 503) != (r.Reason == "throttled") {
			t.Errorf("%d shows %v, because of %q", r.Status, r.Shown, r.Reason)
		}
	}
	if got, want := strings.Join(told, " "), strings.Join(statuses, " "); got != want || got != "404 503 503 503 503" {
		t.Errorf("the log has %s of entries that were answered %s", got, want)
	}
	if !bytes.Contains(out, []byte(`"code":"throttled"`)) {
		t.Errorf("%.500s", out)
	}
}
