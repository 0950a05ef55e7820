package api

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"testing"

	"aftercare/service/audit"
	"aftercare/service/audit/tree"
)

// told are the parameters of an answer by name.
func told(t testing.TB, body string) map[string][]string {
	t.Helper()
	var p struct {
		Parameter []struct{ Name, ValueString, ValueBase64Binary string }
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, one := range p.Parameter {
		out[one.Name] = append(out[one.Name], one.ValueString+one.ValueBase64Binary)
	}
	return out
}

func decode(t testing.TB, texts ...string) (out []tree.Hash) {
	t.Helper()
	for _, text := range texts {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(b) != 32 {
			t.Fatal(text, err)
		}
		out = append(out, tree.Hash(b))
	}
	return out
}

// opened is the checkpoint that an answer carries.
func opened(t testing.TB, answer map[string][]string) tree.Checkpoint {
	t.Helper()
	c, err := tree.Open([]byte(answer["checkpoint"][0]), auditKey.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	if answer["size"][0] != strconv.FormatInt(c.Size, 10) || answer["origin"][0] != c.Origin || answer["verifier"][0] != auditKey.Verifier() || decode(t, answer["root"]...)[0] != c.Root {
		t.Errorf("%v is not %v", answer, c)
	}
	return c
}

// What a caller has once seen of the log can be proven to be in it, and the log to have only grown since,
// by what the answers carry and the key that the caller knows.
func TestTheLogIsProven(t *testing.T) {
	s := start(t, setup{})
	s.do(t, "GET", s.base+"/AuditEvent/$checkpoint", "").want(t, 200, "")
	put(t, s, "p1")
	position := int64(len(s.logged(t, 0)))
	id := strconv.FormatInt(position, 10)
	first := told(t, s.do(t, "GET", s.base+"/AuditEvent/"+id+"/$proof", "").want(t, 200, "").body)
	then := opened(t, first)
	leaf, err := base64.StdEncoding.DecodeString(first["leaf"][0])
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(first["key"][0])
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.VerifyInclusion(then, position-1, tree.LeafHash(leaf), decode(t, first["proof"]...)); err != nil || decode(t, first["hash"]...)[0] != tree.LeafHash(leaf) {
		t.Error(err)
	}
	if r, err := audit.Read(position, leaf, key); err != nil || r.Code != "update" || r.Target != "p1" {
		t.Errorf("%+v, %v", r, err)
	}
	for range 300 {
		s.do(t, "GET", s.base+"/Patient/p1", "").want(t, 200, "")
	}
	last := strconv.Itoa(len(s.logged(t, 0)))
	now := opened(t, told(t, s.do(t, "GET", s.base+"/AuditEvent/"+last+"/$proof", "").want(t, 200, "").body))
	path := told(t, s.do(t, "GET", s.base+"/AuditEvent/$consistency?from="+first["size"][0]+"&to="+strconv.FormatInt(now.Size, 10), "").want(t, 200, "").body)
	if err := tree.VerifyConsistency(then, now, decode(t, path["proof"]...)); err != nil || opened(t, path) != now {
		t.Error(err)
	}
	newest := opened(t, told(t, s.do(t, "GET", s.base+"/AuditEvent/$checkpoint", "").want(t, 200, "").body))
	if newest.Size < now.Size {
		t.Errorf("the newest checkpoint is of %d records", newest.Size)
	}
	older := told(t, s.do(t, "GET", s.base+"/AuditEvent/"+id+"/$proof?size="+first["size"][0], "").want(t, 200, "").body)
	if c := opened(t, older); c != then {
		t.Errorf("%v is not %v", c, then)
	}
	between := told(t, s.do(t, "GET", s.base+"/AuditEvent/"+id+"/$proof?size=100", "").want(t, 200, "").body)
	if between["checkpoint"] != nil {
		t.Error("a checkpoint that was never made is shown")
	}
	if err := tree.VerifyInclusion(tree.Checkpoint{Origin: then.Origin, Size: 100, Root: decode(t, between["root"]...)[0]}, position-1, tree.LeafHash(leaf), decode(t, between["proof"]...)); err != nil {
		t.Error(err)
	}
	records := s.logged(t, 0)
	shown := records[len(records)-1]
	if shown.Operation != "proof" || len(shown.Shown) != 1 || shown.Shown[0].ID != id || len(shown.Patients) != 1 || shown.Patients[0] != "p1" {
		t.Errorf("the log says of a proof: %+v", shown)
	}
}

func TestProofsAreRefused(t *testing.T) {
	s := start(t, setup{})
	put(t, s, "p1")
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		code                     string
	}{
		{"an id that is no number", "GET", "/AuditEvent/x/$proof", "", 404, "not-found"},
		{"a number of another form", "GET", "/AuditEvent/01/$proof", "", 404, "not-found"},
		{"a record that is not there", "GET", "/AuditEvent/1000000/$proof", "", 404, "not-found"},
		{"a record that is not there and too large", "GET", "/AuditEvent/99999999999999999999/$proof", "", 404, "not-found"},
		{"a size to come", "GET", "/AuditEvent/1/$proof?size=100000", "", 422, "value"},
		{"a size that is none", "GET", "/AuditEvent/1/$proof?size=-1", "", 400, "value"},
		{"an unknown parameter", "GET", "/AuditEvent/1/$proof?at=1", "", 400, "not-supported"},
		{"a size before the record", "GET", "/AuditEvent/2/$proof?size=1", "", 422, "value"},
		{"no older size", "GET", "/AuditEvent/$consistency", "", 400, "required"},
		{"an older size that is newer", "GET", "/AuditEvent/$consistency?from=1000000", "", 422, "value"},
		{"a newer size to come", "GET", "/AuditEvent/$consistency?from=1&to=1000000", "", 422, "value"},
		{"a proof of a Patient", "GET", "/Patient/p1/$proof", "", 404, "not-supported"},
		{"in a transaction", "POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"GET","url":"AuditEvent/$checkpoint"}}]}`, 400, "not-supported"},
		{"not refused in a batch", "POST", "", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"AuditEvent/$checkpoint"}}]}`, 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) { s.do(t, c.method, s.base+c.path, c.body).want(t, c.status, c.code) })
	}
	s.breakStore()
	for _, path := range []string{"/AuditEvent/1/$proof", "/AuditEvent/$checkpoint", "/AuditEvent/$consistency?from=1"} {
		s.do(t, http.MethodGet, s.base+path, "").want(t, http.StatusServiceUnavailable, "transient")
	}
}
