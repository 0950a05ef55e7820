package tree

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Hash is that of a leaf or of a node, or the root of a tree.
type Hash = tlog.Hash

// LeafHash is the hash of a leaf's bytes.
func LeafHash(leaf []byte) Hash { return tlog.RecordHash(leaf) }

// Checkpoint is what a log was when it had a number of records (https://c2sp.org/tlog-checkpoint).
type Checkpoint struct {
	Origin string
	Size   int64
	Root   Hash
}

func (c Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// Sign gives the signed note of a checkpoint of the key's own log.
func (k *Key) Sign(size int64, root Hash) ([]byte, error) {
	return note.Sign(&note.Note{Text: Checkpoint{k.Name(), size, root}.text()}, k.signer)
}

// Open is the checkpoint of a signed note, once the signature has been verified. The error says what is
// wrong with it.
func Open(signed []byte, verifier string) (Checkpoint, error) {
	v, err := note.NewVerifier(verifier)
	if err != nil {
		return Checkpoint{}, errors.New("tree: this is no verifier key of signed notes, such as NAME+1234abcd+...")
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("the checkpoint is not signed by the key of %s: %w", v.Name(), err)
	}
	c, err := parseCheckpoint(n.Text)
	if err == nil && c.Origin != v.Name() {
		err = errors.New("the checkpoint is that of another log")
	}
	return c, err
}

// Read is the checkpoint of a note, whoever signed it.
func Read(signed []byte) (Checkpoint, error) {
	end := strings.LastIndex(string(signed), "\n\n") // where the signatures begin
	if end < 0 {
		return Checkpoint{}, errCheckpoint
	}
	return parseCheckpoint(string(signed[:end+1]))
}

var errCheckpoint = errors.New("this is no checkpoint of a log")

func parseCheckpoint(text string) (c Checkpoint, err error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) != 4 || lines[0] == "" || strings.Contains("\n"+lines[3], "\n\n") {
		return c, errCheckpoint
	}
	c.Origin = lines[0]
	c.Size, err = strconv.ParseInt(lines[1], 10, 64)
	if err != nil || c.Size < 0 || strconv.FormatInt(c.Size, 10) != lines[1] {
		return c, errCheckpoint
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != len(c.Root) {
		return c, errCheckpoint
	}
	copy(c.Root[:], root)
	return c, nil
}
