// Package tree is the Merkle tree over the auditor's log: checkpoints that are signed, tiles that hold
// its hashes, and proofs that anybody can check with the public key alone. It does no I/O.
//
// Trees are those of RFC 6962 (https://www.rfc-editor.org/rfc/rfc6962#section-2.1); checkpoints are those
// of https://c2sp.org/tlog-checkpoint, which are signed notes (https://c2sp.org/signed-note). A leaf has
// an index, which counts from 0: the position of the record in the log less 1.
package tree
