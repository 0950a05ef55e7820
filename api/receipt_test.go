package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"aftercare/service"
	"aftercare/service/audit/tree"

	"github.com/go-jose/go-jose/v4"
)

type receipt struct {
	Iss, Sub, Records string
	Leaf              []byte
	Count             int
	Iat, Mmd          int64
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
		{"POST", "", mixedBatch},
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

// mixedBatch has entries that are logged with what they write, and others that are logged at the end.
const mixedBatch = `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/x"}},{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}},
	{"request":{"method":"GET","url":"Patient?_count=1"}},{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}]}`

// The receipt for a Bundle names its records also where others asked at the same time.
func TestReceiptsOfBundlesNameTheirRecords(t *testing.T) {
	s := start(t, setup{})
	var others sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for range 3 {
		others.Go(func() {
			for ctx.Err() == nil {
				if res, err := s.Client().Get(s.base + "/Patient/nobody"); err == nil {
					_ = res.Body.Close()
				}
			}
		})
	}
	var answers []answer
	for i := range 20 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.base, strings.NewReader(mixedBatch))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", fhirJSON)
		req.Header.Set("X-Request-Id", "bundle-"+strconv.Itoa(i))
		res, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		answers = append(answers, answer{res.StatusCode, res.Header, ""})
	}
	stop()
	others.Wait()
	for i, a := range answers {
		id, r := "bundle-"+strconv.Itoa(i), received(t, a)
		var of []int64
		all := sha256.New()
		for _, run := range strings.Split(r.Records, ",") {
			from, to, more := strings.Cut(run, "-")
			first, err := strconv.ParseInt(from, 10, 64)
			last := first
			if more {
				last, err = strconv.ParseInt(to, 10, 64)
			}
			if err != nil {
				t.Fatalf("%+v", r)
			}
			for p := first; p <= last; p++ {
				of = append(of, p)
				all.Write(decode(t, told(t, s.do(t, http.MethodGet, s.base+"/AuditEvent/"+strconv.FormatInt(p, 10)+"/$proof", "").want(t, 200, "").body)["hash"]...)[0][:])
			}
		}
		if len(of) != 4 || r.Count != 4 || !bytes.Equal(r.Leaf, all.Sum(nil)) || r.Sub != "AuditEvent/"+strconv.FormatInt(of[0], 10) {
			t.Errorf("%+v for %v", r, of)
		}
		records := s.logged(t, of[0]-1)
		for _, p := range of {
			if got := records[p-of[0]].RequestID; got != id {
				t.Errorf("record %d is of request %s", p, got)
			}
		}
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
