package service

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"time"

	"aftercare/service/audit"
	"aftercare/service/audit/tree"

	"github.com/go-jose/go-jose/v4"
)

// ReceiptType is the typ of receipts (https://www.rfc-editor.org/rfc/rfc7515#section-4.1.9).
const ReceiptType = "audit-receipt+jwt"

// mergeDelay is the time after which a record is in the tree, in seconds. KeepIntegrated keeps to it.
const mergeDelay = 1

// maxReceiptRecords is the longest list of ids in a receipt, in bytes.
const maxReceiptRecords = 2048

// receipt is the payload of a receipt: the promise that the log has what a request did, and that it is in
// the tree soon.
type receipt struct {
	// Issuer is the public base, and Subject the AuditEvent: of a Bundle, the first of them.
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	// Leaf is the hash of the record's leaf: of a Bundle, the SHA-256 of those of all Count records, in the
	// order of their ids. Records are these ids, such as "3,5-7", where they are not too long for a header;
	// what others asked meanwhile lies between them.
	Leaf    []byte `json:"leaf"`
	Count   int    `json:"count,omitempty"`
	Records string `json:"records,omitempty"`
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
	leaves := slices.SortedFunc(slices.Values(t.leaves()), func(a, b *Trail) int { return cmp.Compare(a.position, b.position) })
	first := leaves[0]
	r := receipt{Issuer: s.baseURL, Subject: eventType + "/" + first.record.ID, Leaf: first.leaf[:], IssuedAt: first.record.Recorded.Truncate(time.Second).Unix(), Delay: mergeDelay}
	if len(leaves) > 1 {
		all := sha256.New()
		positions := make([]int64, len(leaves))
		for i, leaf := range leaves {
			all.Write(leaf.leaf[:])
			positions[i] = leaf.position
		}
		r.Leaf, r.Count, r.Records = all.Sum(nil), len(leaves), audit.Runs(positions)
		if len(r.Records) > maxReceiptRecords {
			r.Records = ""
		}
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
