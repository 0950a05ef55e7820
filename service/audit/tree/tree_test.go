package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

func leafAt(i int64) Hash { return LeafHash(binary.BigEndian.AppendUint64(nil, uint64(i))) }

// stored are tiles by level and number.
type stored map[place][]byte

func (s stored) source(level int, n int64) ([]byte, error) {
	data, ok := s[place{level, n}]
	if !ok {
		return nil, errors.New("no tile")
	}
	return data, nil
}

// reference is the root of the tree of the first leaves, by the definition of RFC 6962.
func reference(from, to int64) Hash {
	if to-from == 1 {
		return leafAt(from)
	}
	k := int64(1)
	for k*2 < to-from {
		k *= 2
	}
	return tlog.NodeHash(reference(from, from+k), reference(from+k, to))
}

// However a tree grows, it is that of the definition, its tiles are those of its size, and every proof
// from it holds, and no longer where one bit is another.
func TestTreesGrow(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tiles := stored{}
		var size int64
		var root Hash
		var run Run
		roots := map[int64]Hash{}
		for range rapid.IntRange(1, 5).Draw(rt, "steps") {
			n := rapid.SampledFrom([]int64{0, 1, 2, 3, 100, 255, 256, 257, 600}).Draw(rt, "leaves")
			var leaves []Hash
			for i := range n {
				leaves = append(leaves, leafAt(size+i))
				run.Add(leafAt(size + i))
			}
			now, grown, err := Grow(size, root, tiles.source, leaves)
			if err != nil {
				rt.Fatal(err)
			}
			for _, tile := range grown {
				tiles[place{tile.Level, tile.N}] = tile.Data
			}
			size, root = size+n, now
			roots[size] = root
			if size > 0 && (root != reference(0, size) || run.Root() != root || run.Size() != size) {
				rt.Fatalf("the root at %d is another", size)
			}
		}
		if size == 0 {
			return
		}
		for level, width := 0, size; width > 0; level, width = level+1, width>>Height {
			for n := int64(0); n<<Height < width; n++ {
				if got, want := int64(len(tiles[place{level, n}])), min(width-n<<Height, Width)*32; got != want {
					rt.Fatalf("tile %d of level %d has %d bytes, not %d", n, level, got, want)
				}
			}
		}
		hashes := Hashes(size, root, tiles.source)
		index := rapid.Int64Range(0, size-1).Draw(rt, "index")
		at := rapid.Int64Range(index+1, size).Draw(rt, "at")
		older := Checkpoint{"log", at, reference(0, at)}
		proof, err := Inclusion(at, index, hashes)
		if err != nil {
			rt.Fatal(err)
		}
		if err := VerifyInclusion(older, index, leafAt(index), proof); err != nil {
			rt.Fatal(err)
		}
		if VerifyInclusion(older, index, leafAt(index+1), proof) == nil || VerifyInclusion(older, at, leafAt(index), proof) == nil || VerifyInclusion(older, -1, leafAt(index), proof) == nil {
			rt.Fatal("another leaf is proven")
		}
		spoil(rt, proof, func(p []Hash) error { return VerifyInclusion(older, index, leafAt(index), p) })
		newer := Checkpoint{"log", size, root}
		path, err := Consistency(at, size, hashes)
		if err != nil {
			rt.Fatal(err)
		}
		if err := VerifyConsistency(older, newer, path); err != nil {
			rt.Fatal(err)
		}
		other := older
		other.Root[3] ^= 1
		if VerifyConsistency(other, newer, path) == nil {
			rt.Fatal("another past is proven")
		}
		spoil(rt, path, func(p []Hash) error { return VerifyConsistency(older, newer, p) })
	})
}

// spoil changes, removes and adds a hash of a proof, which must hold no more.
func spoil(rt *rapid.T, proof []Hash, verify func([]Hash) error) {
	if verify(append(append([]Hash{}, proof...), Hash{})) == nil {
		rt.Fatal("a proof with one hash more holds")
	}
	if len(proof) == 0 {
		return
	}
	i := rapid.IntRange(0, len(proof)-1).Draw(rt, "spoilt")
	changed := append([]Hash{}, proof...)
	changed[i][rapid.IntRange(0, 31).Draw(rt, "byte")] ^= 1
	if verify(changed) == nil || verify(append(append([]Hash{}, proof[:i]...), proof[i+1:]...)) == nil {
		rt.Fatal("a proof that was changed holds")
	}
}

// A tree does not grow on tiles that are not its own.
func TestDamagedTilesAreNoticed(t *testing.T) {
	tiles := stored{}
	var leaves []Hash
	for i := range int64(300) {
		leaves = append(leaves, leafAt(i))
	}
	root, grown, err := Grow(0, Hash{}, tiles.source, leaves)
	if err != nil {
		t.Fatal(err)
	}
	for _, tile := range grown {
		tiles[place{tile.Level, tile.N}] = tile.Data
	}
	for at, data := range tiles {
		for name, changed := range map[string][]byte{"another": append([]byte{data[0] ^ 1}, data[1:]...), "short": data[:len(data)-32], "empty": nil} {
			others := stored{}
			for k, v := range tiles {
				others[k] = v
			}
			others[at] = changed
			if _, err := Inclusion(300, 299-at.n, Hashes(300, root, others.source)); err == nil && at.level == 1 {
				t.Errorf("tile %v is %s, and a proof is made", at, name)
			}
			if at == (place{0, 0}) { // a tree that grows does not look at it
				if _, err := Inclusion(300, 7, Hashes(300, root, others.source)); err == nil {
					t.Errorf("tile %v is %s, and a proof is made", at, name)
				}
				continue
			}
			if _, _, err := Grow(300, root, others.source, []Hash{leafAt(300)}); err == nil {
				t.Errorf("tile %v is %s, and the tree grows", at, name)
			}
		}
	}
}

func newKey(t testing.TB, name string) *Key {
	t.Helper()
	text, err := NewKey(name)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ReadKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestCheckpointsAreSigned(t *testing.T) {
	k, other := newKey(t, "clinic.example/fhir"), newKey(t, "clinic.example/fhir")
	signed, err := k.Sign(7, leafAt(1))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(signed, k.Verifier())
	if err != nil || c != (Checkpoint{"clinic.example/fhir", 7, leafAt(1)}) {
		t.Fatal(c, err)
	}
	if again, err := Read(signed); err != nil || again != c {
		t.Error(again, err)
	}
	if _, err := Open(signed, other.Verifier()); err == nil {
		t.Error("another key of that name has signed it")
	}
	for i := range signed {
		changed := bytes.Clone(signed)
		changed[i] ^= 1
		if got, err := Open(changed, k.Verifier()); err == nil && got != c {
			t.Errorf("with byte %d changed it is %v", i, got)
		}
	}
	public, err := PublicOf(k.Verifier())
	if err != nil || !bytes.Equal(public, k.Public()) {
		t.Error(public, err)
	}
}

func TestWhatIsNoCheckpointIsRefused(t *testing.T) {
	k := newKey(t, "log")
	root := "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	signer, err := note.NewSigner(mustKey(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"no lines": "log\n", "no size": "log\nx\n" + root + "\n", "a size with a zero before it": "log\n07\n" + root + "\n", "a size with a sign": "log\n+7\n" + root + "\n", "a negative size": "log\n-7\n" + root + "\n",
		"no root": "log\n7\n\n", "a short root": "log\n7\nAAAA\n", "no origin": "\n7\n" + root + "\n", "an empty extension": "log\n7\n" + root + "\nx\n\nx\n",
	} {
		signed, err := note.Sign(&note.Note{Text: text}, signer)
		if err != nil {
			t.Fatal(name, err)
		}
		if c, err := Read(signed); err == nil {
			t.Errorf("%s: it is read as %v", name, c)
		}
	}
	other, err := note.Sign(&note.Note{Text: "another\n7\n" + root + "\n"}, k.signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(other, k.Verifier()); err == nil {
		t.Error("the checkpoint of another log is taken")
	}
	for _, verifier := range []string{"", "log", "log+00000000+AAAA", k.Verifier() + "A"} {
		if _, err := Open(other, verifier); err == nil {
			t.Errorf("%q is a key", verifier)
		}
		if _, err := PublicOf(verifier); err == nil {
			t.Errorf("%q has a public key", verifier)
		}
	}
	for _, text := range []string{"", "PRIVATE+KEY+log+00000000+AAAA", k.Verifier()} {
		if _, err := ReadKey(text); err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func mustKey(t testing.TB) string {
	t.Helper()
	text, err := NewKey("log")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestLogsAreNamedAfterTheirBase(t *testing.T) {
	for base, want := range map[string]string{
		"https://clinic.example/fhir": "clinic.example/fhir", "http://127.0.0.1:8080/fhir": "127.0.0.1:8080/fhir", "https://a.example/x+y/fhir/": "a.example/x-y/fhir",
		"": "", "fhir": "",
	} {
		got, err := NameOf(base)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", base, got, err)
		}
		if err == nil {
			newKey(t, got)
		}
	}
}

func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte("log\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— log AAAA\n"))
	f.Fuzz(func(t *testing.T, signed []byte) {
		c, err := Read(signed)
		if err == nil && !strings.HasPrefix(string(signed), c.text()) {
			t.Errorf("%q is read as %q", signed, c.text())
		}
	})
}
