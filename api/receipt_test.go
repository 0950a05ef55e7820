package api

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"aftercare/service"
	"aftercare/service/audit/tree"

	"github.com/go-jose/go-jose/v4"
)

type receipt struct {
	Iss, Sub string
	Leaf     []byte
	Count    int
	Iat, Mmd int64
}

// received is the receipt of an answer, once its signature has been verified.
func received(t testing.TB, a answer) (r receipt) {
	t.Helper()
	signed, err := jose.ParseSignedCompact(a.header.Get("Audit-Receipt"), []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := signed.Verify(auditKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	if h := signed.Signatures[0].Header; h.KeyID != auditKey.ID() || h.ExtraHeaders[jose.HeaderType] != service.ReceiptType {
		t.Errorf("%+v", h)
	}
	if err := json.Unmarshal(payload, &r); err != nil {
		t.Fatal(err)
	}
	if r.Iss != publicBase || r.Mmd != 1 || r.Iat == 0 {
		t.Errorf("%+v", r)
	}
	return r
}

// Each answer carries a receipt, which the log makes true.
func TestReceiptsAreHonoured(t *testing.T) {
	s := start(t, setup{})
	for _, c := range []struct{ method, path, body string }{
		{"PUT", "/Patient/p1", `{"resourceType":"Patient","id":"p1"}`}, {"GET", "/Patient/p1", ""}, {"GET", "/Patient/p2", ""}, {"HEAD", "/Patient", ""}, {"GET", "/metadata", ""}, {"PUT", "/Patient/p1", "{"},
		{"GET", "/Nothing", ""}, {"DELETE", "/Patient/p1", ""},
		{"POST", "", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}},{"request":{"method":"GET","url":"Patient?_count=1"}}]}`},
		{"POST", "", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/x"}},{"request":{"method":"GET","url":"Patient?_count=1"}},{"request":{"method":"GET","url":"x"}}]}`},
	} {
		before := len(s.logged(t, 0))
		r := received(t, s.do(t, c.method, s.base+c.path, c.body))
		position, err := strconv.Atoi(strings.TrimPrefix(r.Sub, "AuditEvent/"))
		records := len(s.logged(t, 0))
		if err != nil || position != before+1 || records-before != max(r.Count, 1) {
			t.Fatalf("%s %s: %+v of records %d to %d", c.method, c.path, r, before+1, records)
		}
		all := sha256.New()
		var hash tree.Hash
		for p := position; p <= records; p++ {
			proof := told(t, s.do(t, http.MethodGet, s.base+"/AuditEvent/"+strconv.Itoa(p)+"/$proof", "").want(t, 200, "").body)
			hash = decode(t, proof["hash"]...)[0]
			if err := tree.VerifyInclusion(opened(t, proof), int64(p-1), hash, decode(t, proof["proof"]...)); err != nil {
				t.Fatal(err)
			}
			all.Write(hash[:])
		}
		if r.Count > 1 {
			hash = tree.Hash(all.Sum(nil))
		}
		if tree.Hash(r.Leaf) != hash {
			t.Errorf("%s %s: the receipt is for something else", c.method, c.path)
		}
	}
	s.breakStore()
	if a := s.do(t, http.MethodGet, s.base+"/Patient", "").want(t, http.StatusServiceUnavailable, "transient"); a.header.Get("Audit-Receipt") != "" {
		t.Error("there is a receipt for what is not in the log")
	}
}

func BenchmarkReceipt(b *testing.B) {
	key := auditKey.Private()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		signed, err := signer.Sign(make([]byte, 150))
		if err == nil {
			_, err = signed.CompactSerialize()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
