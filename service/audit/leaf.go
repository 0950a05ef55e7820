package audit

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// A leaf is what the log stores of a record, and what its Merkle tree is built of
// (https://www.rfc-editor.org/rfc/rfc6962#section-2.1):
//
//	version    1 byte, 1
//	recorded   8 bytes, microseconds since 1970, big endian
//	links      their number, and of each: subject (16 bytes), n, before; numbers are uvarints
//	commitment 32 bytes, SHA-256 of the record's key
//	sealed     the record as JSON, by AES-256-GCM with the record's key, which seals nothing else, an
//	           empty nonce of zeros, and all of the above as additional data
//	mac        16 bytes, HMAC-SHA-256 of the position (8 bytes) and all of the above, by a key of the log
//
// Without its key, a record that was erased still counts in the tree and in the links of its subjects.
// The commitment keeps its writer from opening it to something else later. The mac tells a leaf that this
// service wrote, at this position, from one that somebody else put into the database.
const leafVersion = 1

const (
	commitmentSize = sha256.Size
	macSize        = 16
	leafHead       = 1 + 8
)

// Subject is a pseudonym of a patient: who has no secret of the log cannot tell whose it is.
type Subject [16]byte

// Link ties a record to the one before it of the same subject.
type Link struct {
	Subject Subject
	// N counts the records of the subject from 1; Before is the position of the record before this one, 0
	// for the first.
	N, Before int64
}

// Sealer makes the leaves of a log. It is safe for concurrent use.
type Sealer struct{ mac, pseudonym []byte }

// SecretSize is the size of the secret of a log, in bytes.
const SecretSize = 32

// NewSealer makes a Sealer of the secret of a log.
func NewSealer(secret []byte) (*Sealer, error) {
	if len(secret) != SecretSize {
		return nil, fmt.Errorf("audit: the secret of the log has %d bytes, and is to have %d", len(secret), SecretSize)
	}
	mac, err := hkdf.Key(sha256.New, secret, nil, "aftercare log mac", sha256.Size)
	if err != nil {
		return nil, err
	}
	pseudonym, err := hkdf.Key(sha256.New, secret, nil, "aftercare log subject", sha256.Size)
	if err != nil {
		return nil, err
	}
	return &Sealer{mac, pseudonym}, nil
}

// Subject is the pseudonym of the patient with an id.
func (s *Sealer) Subject(patient string) (subject Subject) {
	h := hmac.New(sha256.New, s.pseudonym)
	h.Write([]byte(patient))
	copy(subject[:], h.Sum(nil))
	return subject
}

// Seal makes the leaf of a record for a position of the log, and the key that opens it.
func (s *Sealer) Seal(position int64, r *Record, links []Link) (leaf, key []byte, err error) {
	payload, err := r.payload()
	if err != nil {
		return nil, nil, err
	}
	key = make([]byte, 32)
	rand.Read(key) // never fails
	leaf = make([]byte, 0, leafHead+2+len(links)*(len(Subject{})+8)+commitmentSize+len(payload)+16+macSize)
	leaf = append(leaf, leafVersion)
	leaf = binary.BigEndian.AppendUint64(leaf, uint64(r.Recorded.UnixMicro()))
	leaf = binary.AppendUvarint(leaf, uint64(len(links)))
	for _, l := range links {
		leaf = append(leaf, l.Subject[:]...)
		leaf = binary.AppendUvarint(leaf, uint64(l.N))
		leaf = binary.AppendUvarint(leaf, uint64(l.Before))
	}
	commitment := sha256.Sum256(key)
	leaf = append(leaf, commitment[:]...)
	box, err := boxOf(key)
	if err != nil {
		return nil, nil, err
	}
	leaf = box.Seal(leaf, make([]byte, box.NonceSize()), payload, leaf)
	return append(leaf, s.sign(position, leaf)...), key, nil
}

func (s *Sealer) sign(position int64, leaf []byte) []byte {
	h := hmac.New(sha256.New, s.mac)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(position)))
	h.Write(leaf)
	return h.Sum(nil)[:macSize]
}

// Genuine reports whether the log wrote a leaf, for this position.
func (s *Sealer) Genuine(position int64, leaf []byte) bool {
	n := len(leaf) - macSize
	return n > 0 && hmac.Equal(s.sign(position, leaf[:n]), leaf[n:])
}

func boxOf(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Leaf is what everybody can read of a leaf.
type Leaf struct {
	Recorded time.Time
	Links    []Link

	head, commitment, sealed []byte
}

var errLeaf = errors.New("audit: this is no leaf of a log")

// ParseLeaf takes a leaf apart. It does not say who wrote it.
func ParseLeaf(b []byte) (*Leaf, error) {
	if len(b) < leafHead || b[0] != leafVersion {
		return nil, errLeaf
	}
	l := &Leaf{Recorded: time.UnixMicro(int64(binary.BigEndian.Uint64(b[1:leafHead]))).UTC()}
	rest := b[leafHead:]
	number := func() int64 {
		v, n := binary.Uvarint(rest)
		if n <= 0 || v > 1<<62 {
			rest = nil
			return -1
		}
		rest = rest[n:]
		return int64(v)
	}
	count := number()
	if count < 0 || count > int64(len(rest))/int64(len(Subject{})) {
		return nil, errLeaf
	}
	for range count {
		if len(rest) < len(Subject{}) {
			return nil, errLeaf
		}
		link := Link{Subject: Subject(rest[:len(Subject{})])}
		rest = rest[len(Subject{}):]
		if link.N, link.Before = number(), number(); link.N < 1 || link.Before < 0 {
			return nil, errLeaf
		}
		l.Links = append(l.Links, link)
	}
	if len(rest) < commitmentSize+macSize {
		return nil, errLeaf
	}
	l.commitment, rest = rest[:commitmentSize], rest[commitmentSize:]
	l.head, l.sealed = b[:len(b)-len(rest)], rest[:len(rest)-macSize]
	return l, nil
}

// Open is the record of a leaf. The error says that the key is not that of the leaf, or that the leaf is
// not as it was written.
func (l *Leaf) Open(key []byte) (*Record, error) {
	if commitment := sha256.Sum256(key); !bytes.Equal(commitment[:], l.commitment) {
		return nil, errors.New("audit: this is not the key of the record")
	}
	box, err := boxOf(key)
	if err != nil {
		return nil, err
	}
	payload, err := box.Open(nil, make([]byte, box.NonceSize()), l.sealed, l.head)
	if err != nil {
		return nil, errors.New("audit: the record is not as it was written")
	}
	return readPayload(l.Recorded, payload)
}

// LinkOf is the link of a subject, nil where the record is not about it.
func (l *Leaf) LinkOf(s Subject) *Link {
	for i := range l.Links {
		if l.Links[i].Subject == s {
			return &l.Links[i]
		}
	}
	return nil
}
