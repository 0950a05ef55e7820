package tree

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// cosignatureKey is the type of the key of a witness (https://c2sp.org/tlog-cosignature#format).
const cosignatureKey = 0x04

// witness verifies the cosignatures of one witness: Ed25519 over a checkpoint and a time
// (https://c2sp.org/tlog-cosignature#ed25519-signed-message).
type witness struct {
	name   string
	hash   uint32
	public ed25519.PublicKey
}

func (w *witness) Name() string    { return w.name }
func (w *witness) KeyHash() uint32 { return w.hash }

func (w *witness) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(signature)
	signed := append([]byte("cosignature/v1\ntime "+strconv.FormatUint(at, 10)+"\n"), text...)
	return at <= math.MaxInt64 && ed25519.Verify(w.public, signed, signature[8:])
}

var errWitness = errors.New("tree: this is no key of a witness: NAME+HASH+KEY for Ed25519 cosignatures")

// Verifier verifies the signature lines of one key.
type Verifier = note.Verifier

// NewWitness reads the key of a witness (https://c2sp.org/signed-note#verifier-keys), which has to be one
// for timestamped Ed25519 cosignatures.
func NewWitness(key string) (note.Verifier, error) {
	parts := strings.SplitN(key, "+", 3)
	if len(parts) != 3 || parts[0] == "" || strings.ContainsAny(parts[0], " \t\r\n") {
		return nil, errWitness
	}
	hash, err := strconv.ParseUint(parts[1], 16, 32)
	data, failed := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || failed != nil || len(parts[1]) != 8 || len(data) != 1+ed25519.PublicKeySize || data[0] != cosignatureKey {
		return nil, errWitness
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), data...))
	if binary.BigEndian.Uint32(sum[:]) != uint32(hash) {
		return nil, errWitness
	}
	return &witness{parts[0], uint32(hash), data[1:]}, nil
}

// Submission is what a witness is sent, to cosign a checkpoint
// (https://c2sp.org/tlog-witness#add-checkpoint): older is the size of the checkpoint that it cosigned
// last, and proof the consistency of the two.
func Submission(older int64, proof []Hash, signed []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "old %d\n", older)
	for _, h := range proof {
		fmt.Fprintf(&b, "%s\n", base64.StdEncoding.EncodeToString(h[:]))
	}
	b.WriteByte('\n')
	b.Write(signed)
	return b.Bytes()
}

// Own is a checkpoint with the signature of its log alone.
func Own(signed []byte, verifier string) ([]byte, error) { return only(signed, verifier) }

// Cosign adds the signature lines that a witness has answered with to a checkpoint, which keeps those of
// the log and of known witnesses. The error says that one is wrong, or that the witness has not signed.
func Cosign(signed, lines []byte, verifier string, from note.Verifier, known []note.Verifier) ([]byte, error) {
	if !bytes.HasSuffix(lines, []byte("\n")) {
		return nil, errors.New("the answer of the witness is cut")
	}
	alone, err := only(append(bytes.Clone(signed), lines...), verifier, from)
	if err != nil {
		return nil, err
	}
	if bytes.Count(alone, []byte("\n— ")) < 2 {
		return nil, errors.New("the witness has not signed by its key")
	}
	return only(append(bytes.Clone(signed), lines...), verifier, append([]note.Verifier{from}, known...)...)
}

// only is a note with the signatures of the log and of some witnesses, all of which hold.
func only(signed []byte, verifier string, witnesses ...note.Verifier) ([]byte, error) {
	own, err := note.NewVerifier(verifier)
	if err != nil {
		return nil, err
	}
	unique := map[string]note.Verifier{}
	for _, w := range append([]note.Verifier{own}, witnesses...) {
		unique[fmt.Sprintf("%s+%08x", w.Name(), w.KeyHash())] = w
	}
	var list []note.Verifier
	for _, w := range unique {
		list = append(list, w)
	}
	n, err := note.Open(signed, note.VerifierList(list...))
	if err != nil {
		return nil, fmt.Errorf("the signatures do not hold: %w", err)
	}
	n.UnverifiedSigs = nil
	return note.Sign(n)
}
