package service

import (
	"crypto/sha256"
	"encoding/json"
	"time"

	"aftercare/service/audit/tree"

	"github.com/go-jose/go-jose/v4"
)

// ReceiptType is the typ of receipts (https://www.rfc-editor.org/rfc/rfc7515#section-4.1.9).
const ReceiptType = "audit-receipt+jwt"

// mergeDelay is the time after which a record is in the tree, in seconds. KeepIntegrated keeps to it.
const mergeDelay = 1

// receipt is the payload of a receipt: the promise that the log has what a request did, and that it is in
// the tree soon.
type receipt struct {
	// Issuer is the public base, and Subject the AuditEvent: of a Bundle, that of the first entry.
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	// Leaf is the hash of the record's leaf: of a Bundle, the SHA-256 of those of all Count records, whose
	// ids follow one another, one after the other.
	Leaf  []byte `json:"leaf"`
	Count int    `json:"count,omitempty"`
	// IssuedAt is when the record was logged, and Delay by when it is in the tree, in seconds.
	IssuedAt int64 `json:"iat"`
	Delay    int   `json:"mmd"`
}

// newReceipts makes what signs receipts.
func newReceipts(key *tree.Key) (jose.Signer, error) {
	if key == nil {
		return nil, nil
	}
	return jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key.Private()}, (&jose.SignerOptions{}).WithType(ReceiptType).WithHeader("kid", key.ID()))
}

// Receipt is the receipt for what a trail has put into the log, a compact JWS
// (https://www.rfc-editor.org/rfc/rfc7515#section-3.1), "" where there is nothing to promise.
func (s *Service) Receipt(t *Trail) (string, error) {
	if !t.logged || s.auditLog == nil || s.auditLog.receipts == nil {
		return "", nil
	}
	leaves := t.leaves()
	first := leaves[0]
	r := receipt{Issuer: s.baseURL, Subject: eventType + "/" + first.record.ID, Leaf: first.leaf[:], IssuedAt: first.record.Recorded.Truncate(time.Second).Unix(), Delay: mergeDelay}
	if len(leaves) > 1 {
		all := sha256.New()
		for _, leaf := range leaves {
			all.Write(leaf.leaf[:])
		}
		r.Leaf, r.Count = all.Sum(nil), len(leaves)
	}
	payload, err := json.Marshal(&r)
	if err != nil {
		return "", err
	}
	signed, err := s.auditLog.receipts.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
