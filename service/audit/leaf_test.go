package audit

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

func sealer(t testing.TB, fill byte) *Sealer {
	t.Helper()
	s, err := NewSealer(bytes.Repeat([]byte{fill}, SecretSize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLeavesKeepWhatTheyAre(t *testing.T) {
	s := sealer(t, 1)
	links := []Link{{s.Subject("a"), 1, 0}, {s.Subject("b"), 300, 1 << 40}}
	for name, r := range records() {
		leaf, key, err := s.Seal(7, r, links)
		if err != nil {
			t.Fatal(name, err)
		}
		again, err := Read(7, leaf, key)
		if err != nil {
			t.Fatal(name, err)
		}
		if !reflect.DeepEqual(again, r) {
			t.Errorf("%s: %+v, not %+v", name, again, r)
		}
		l, err := ParseLeaf(leaf)
		if err != nil {
			t.Fatal(name, err)
		}
		if !l.Recorded.Equal(r.Recorded) || !reflect.DeepEqual(l.Links, links) {
			t.Errorf("%s: recorded %v, links %v", name, l.Recorded, l.Links)
		}
		for _, secret := range []string{"CarePlan", "192.0.2.17", "req-1", "user-42"} {
			if bytes.Contains(leaf, []byte(secret)) {
				t.Errorf("%s: %q can be read in the leaf", name, secret)
			}
		}
	}
	if _, _, err := s.Seal(1, &Record{Code: "read", Status: 200}, nil); err == nil {
		t.Error("a record without a time is sealed")
	}
	if s.Subject("a") == s.Subject("b") || s.Subject("a") == sealer(t, 2).Subject("a") {
		t.Error("pseudonyms do not depend on the patient and on the secret")
	}
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := NewSealer(make([]byte, n)); err == nil {
			t.Errorf("a secret of %d bytes is taken", n)
		}
	}
}

// Every bit of a leaf counts, and so does its position; and no key but its own opens it.
func TestALeafIsOnlyWhatItsLogWrote(t *testing.T) {
	s := sealer(t, 1)
	leaf, key, err := s.Seal(7, records()["a read"], []Link{{s.Subject("a"), 1, 0}})
	if err != nil {
		t.Fatal(err)
	}
	if !s.Genuine(7, leaf) || s.Genuine(8, leaf) || sealer(t, 2).Genuine(7, leaf) || s.Genuine(7, nil) || s.Genuine(7, leaf[:macSize]) {
		t.Fatal("a leaf is not told from one of another position or log")
	}
	for i := range leaf {
		changed := bytes.Clone(leaf)
		changed[i] ^= 1
		if s.Genuine(7, changed) {
			t.Errorf("byte %d can be changed", i)
		}
		if l, err := ParseLeaf(changed); err == nil && i < len(leaf)-macSize {
			if r, err := l.Open(key); err == nil {
				t.Errorf("with byte %d changed it is opened: %+v", i, r)
			}
		}
		if l, err := ParseLeaf(leaf[:i]); err == nil {
			if _, err := l.Open(key); err == nil {
				t.Errorf("with %d bytes it is opened", i)
			}
		}
	}
	l, err := ParseLeaf(leaf)
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range [][]byte{nil, make([]byte, 32), key[:31]} {
		if _, err := l.Open(other); err == nil {
			t.Errorf("it is opened by %x", other)
		}
	}
}

func FuzzLeaf(f *testing.F) {
	s := sealer(f, 1)
	for _, r := range records() {
		leaf, key, err := s.Seal(7, r, []Link{{s.Subject("a"), 1, 0}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(leaf, key)
	}
	f.Fuzz(func(t *testing.T, leaf, key []byte) {
		l, err := ParseLeaf(leaf)
		if err != nil {
			return
		}
		_, _ = l.Open(key)
	})
}

func FuzzRecord(f *testing.F) {
	for _, r := range records() {
		payload, err := r.payload()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := readPayload(time.UnixMicro(1), payload)
		if err != nil {
			return
		}
		body, err := site.Event(r)
		if err != nil {
			return
		}
		if !json.Valid(body) {
			t.Fatalf("%s is no JSON", body)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	s := sealer(b, 1)
	r := records()["a read"]
	links := []Link{{s.Subject("a"), 1, 0}}
	for b.Loop() {
		if _, _, err := s.Seal(7, r, links); err != nil {
			b.Fatal(err)
		}
	}
}
