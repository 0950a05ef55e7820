package tree

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// An exchange with a witness of another make, litewitness of filippo.io/torchwood v0.9.0: what it was sent,
// byte by byte, and what it answered.
const (
	exchangeLog     = "fhir.hospital.example/fhir+229cd732+AVTOgFk7TQT3iN1SIsEGyiTSKjkHo0dFlmID/dXuVWhv"
	exchangeWitness = "witness.example/w1+5e8118fb+BOq7OL9zTIIkyWeGtlDK2PSMvsWiTbu4+RIu91uhNjhZ"
	exchangeRequest = `old 5
xWY7+nNWrf2SVZYwVA2GxZvxMaoSNvRv7ltCUaq5qCM=
OhCazXVAj1fvoQjyj0zxLIskQgQC1QajJMzB/9gMujI=
ozS4Tc1h9lp/chNHDXzsLpxROaFCHVkmLUmKPQ7/OfY=
+VjRSKOYslyOyDP0YbWoy54riTydlgLrpZluN2ZGAUE=
B5+XEocdPU4RvSsjsZlc+LLHW+q8L6Rur76QJcyviW4=

` + exchangeNote
	exchangeNote = `fhir.hospital.example/fhir
9
iBAVAxroqn4QBaMWmowD5xuUsl5KklUGnBY6ngnBTik=

— fhir.hospital.example/fhir IpzXMvg28akaM6gmHlgBif+QV++IuJe7P4Cbu47hUg4H9CJr9RCeD3Qk9psjm1vT2+Oii+1FDvWtagOmJ26LjRRxmws=
`
	exchangeAnswer = `— witness.example/w1 XoEY+wAAAABrAiIdPIrV2RogPqwMzr/vPqDBVWXnHKdHhibuDRg2N7sqYgwY7GwwB5Srt2ZKVXh0j/oUG27yMgWXmG+SmoxIgQP1DA==
`
)

func TestExchangeWithAWitness(t *testing.T) {
	lines := strings.Split(exchangeRequest, "\n")
	var proof []Hash
	for _, line := range lines[1:6] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			t.Fatal(err)
		}
		proof = append(proof, h)
	}
	w, err := NewWitness(exchangeWitness)
	if err != nil {
		t.Fatal(err)
	}
	cosigned, err := Cosign([]byte(exchangeNote), []byte(exchangeAnswer), exchangeLog, w, nil)
	if err != nil || string(cosigned) != exchangeNote+exchangeAnswer {
		t.Fatalf("got %q, %v", cosigned, err)
	}
	own, err := Own(cosigned, exchangeLog)
	if err != nil {
		t.Fatal(err)
	}
	if got := Submission(5, proof, own); string(got) != exchangeRequest {
		t.Errorf("sent %q\nwant %q", got, exchangeRequest)
	}
	if got := Submission(0, nil, own); string(got) != "old 0\n\n"+exchangeNote {
		t.Errorf("the first is %q", got)
	}
	if _, err := Open(cosigned, exchangeLog); err != nil {
		t.Error(err)
	}

	t.Run("lines of keys that nobody knows are passed over", func(t *testing.T) {
		unknown := "— witness.example/w2 " + strings.Repeat("A", 100) + "\n"
		for _, answer := range []string{unknown + exchangeAnswer, exchangeAnswer + unknown} {
			got, err := Cosign([]byte(exchangeNote), []byte(answer), exchangeLog, w, nil)
			if err != nil || !bytes.Equal(got, cosigned) {
				t.Errorf("got %q, %v", got, err)
			}
		}
	})
	t.Run("every changed byte of a signature is found", func(t *testing.T) {
		at := strings.LastIndex(exchangeAnswer, " ") + 1
		for i := at + 6; i < len(exchangeAnswer)-4; i++ { // behind the id of the key, before the last bits
			changed := []byte(exchangeAnswer)
			if changed[i] = 'A'; exchangeAnswer[i] == 'A' {
				changed[i] = 'B'
			}
			if got, err := Cosign([]byte(exchangeNote), changed, exchangeLog, w, nil); err == nil {
				t.Errorf("byte %d: %q", i, got)
			}
		}
	})
	t.Run("another checkpoint is not cosigned by it", func(t *testing.T) {
		key := newKey(t, "fhir.hospital.example/fhir")
		other, err := key.Sign(9, proof[0])
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Cosign(other, []byte(exchangeAnswer), key.Verifier(), w, []note.Verifier{w}); err == nil {
			t.Errorf("got %q", got)
		}
	})
}
