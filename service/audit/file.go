package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"aftercare/service/audit/tree"
)

// The format of an exported log: lines of JSON, each a Line. The first has a Header, then follow records in
// order and, in the export of a whole log, each signed checkpoint after the last record that it is of; the
// last line has End.
const (
	FileFormat  = "aftercare-audit-log"
	FileVersion = 1
)

// Header says what an exported log is.
type Header struct {
	Format  string `json:"format"`
	Version int    `json:"formatVersion"`
	// Software is the version of the program that wrote it, and Exported when.
	Software string    `json:"software,omitempty"`
	Exported time.Time `json:"exported"`
	// Filter says which records were asked for, "" for all.
	Filter string `json:"filter,omitempty"`
	// Checkpoint is the signed checkpoint that the proofs of records are for. Verifier is the key that
	// it can be verified by; whoever wrote the file says so.
	Checkpoint string `json:"checkpoint"`
	Verifier   string `json:"verifier"`
}

// Line is a line of an exported log.
type Line struct {
	Header *Header `json:"header,omitempty"`

	// Position and the next are those of a record: its leaf and key as they are stored, the proof that it is in
	// the tree, where not all records are there, and the AuditEvent that it is shown as.
	Position int64           `json:"position,omitempty"`
	Recorded *time.Time      `json:"recorded,omitempty"`
	Leaf     []byte          `json:"leaf,omitempty"`
	Key      []byte          `json:"key,omitempty"`
	Proof    [][]byte        `json:"proof,omitempty"`
	Event    json.RawMessage `json:"event,omitempty"`

	// Checkpoint is a signed one, of the records up to here.
	Checkpoint string `json:"checkpoint,omitempty"`
	// End is how many records there were.
	End *int64 `json:"end,omitempty"`
}

// FileChecker checks an exported log, line by line.
type FileChecker struct {
	*Checker
	// Verifier is the key that checkpoints are to be signed by.
	Verifier    string
	Header      *Header
	Records     int64
	Checkpoints int64

	at      tree.Checkpoint
	kept    map[int64][][]byte
	good    int64
	last    int64
	timed   time.Time
	current *Sealer
	ended   bool
}

// NewFileChecker begins to check. The sealer is that of NewChecker. verifier is the key that the checker
// was given by another way than the file, "" where it has to trust that of the file. kept are signed
// checkpoints that somebody kept.
func NewFileChecker(sealer *Sealer, verifier string, kept [][]byte) (*FileChecker, error) {
	f := &FileChecker{Checker: NewChecker(sealer), Verifier: verifier, current: sealer, kept: map[int64][][]byte{}}
	for _, signed := range kept {
		c, err := tree.Read(signed)
		if err != nil {
			return nil, fmt.Errorf("the checkpoint that was kept: %w", err)
		}
		f.kept[c.Size] = append(f.kept[c.Size], signed)
	}
	return f, nil
}

// Whole reports whether all records of the log are to be there.
func (f *FileChecker) Whole() bool { return f.Header.Filter == "" }

var errFile = errors.New("this is no exported log of a version that is known")

// Line checks the next line. The error is a *Fault or a *CheckpointFault where the log is not as it was
// written.
func (f *FileChecker) Line(text []byte) error {
	var l Line
	if json.Unmarshal(text, &l) != nil || (l.Header == nil) == (f.Header == nil) || f.ended {
		return errFile
	}
	switch {
	case l.Header != nil:
		return f.begin(l.Header)
	case l.End != nil:
		return f.end(*l.End)
	case l.Checkpoint != "":
		return f.checkpoint([]byte(l.Checkpoint))
	case l.Position < 1 || l.Recorded == nil:
		return errFile
	}
	f.Records++
	row := Row{Position: l.Position, Recorded: *l.Recorded, Leaf: l.Leaf, Key: l.Key}
	if !f.Whole() {
		return f.single(row, l.Proof)
	}
	if row.Position > f.Size()+1 {
		return &Fault{Position: f.Size() + 1, What: "is missing"}
	}
	_, err := f.Add(row)
	if err != nil {
		return err
	}
	for _, signed := range f.kept[row.Position] {
		if err := f.At(signed, f.Verifier, row.Position, f.good); err != nil {
			return err
		}
		f.good = row.Position
	}
	return nil
}

func (f *FileChecker) begin(h *Header) (err error) {
	if h.Format != FileFormat || h.Version != FileVersion {
		return errFile
	}
	if f.Header = h; f.Verifier == "" {
		f.Verifier = h.Verifier
	}
	if f.at, err = tree.Open([]byte(h.Checkpoint), f.Verifier); err != nil {
		return &CheckpointFault{0, "of the file cannot be trusted: " + err.Error()}
	}
	for size, all := range f.kept {
		for _, signed := range all {
			c, err := tree.Open(signed, f.Verifier)
			switch {
			case err != nil:
				return fmt.Errorf("the checkpoint that was kept: %w", err)
			case f.Whole() && size > f.at.Size:
				return &Fault{Position: f.at.Size + 1, What: fmt.Sprintf("is missing: the checkpoint that was kept is of %d records", size)}
			case size == f.at.Size && c.Root != f.at.Root:
				return &Fault{Position: 1, Last: size, What: "is not the one that was there when the checkpoint that was kept was signed"}
			}
		}
	}
	return nil
}

func (f *FileChecker) checkpoint(signed []byte) error {
	if !f.Whole() {
		return errFile
	}
	if err := f.At(signed, f.Verifier, f.Size(), f.good); err != nil {
		return err
	}
	f.good = f.Size()
	f.Checkpoints++
	return nil
}

// single checks a record of a log of which not all records are there.
func (f *FileChecker) single(row Row, proof [][]byte) error {
	wrong := func(what string) error { return &Fault{Position: row.Position, What: what} }
	switch {
	case row.Position <= f.last:
		return wrong("is there twice, or in another place")
	case row.Recorded.Before(f.timed):
		return wrong("says that it was recorded before the record ahead of it")
	case row.Leaf == nil:
		return wrong("has no content")
	}
	f.last, f.timed = row.Position, row.Recorded
	hash := tree.LeafHash(row.Leaf)
	if what := f.alone(row); what != "" {
		return wrong(what)
	}
	path := make([]tree.Hash, 0, len(proof))
	for _, h := range proof {
		if len(h) != len(hash) {
			return wrong("has no proof")
		}
		path = append(path, tree.Hash(h))
	}
	if err := tree.VerifyInclusion(f.at, row.Position-1, hash, path); err != nil {
		return wrong("is not the one that was there when the checkpoint of the file was signed")
	}
	return nil
}

// alone says what is wrong with a record by itself.
func (f *FileChecker) alone(row Row) string {
	if f.current != nil && !f.current.Genuine(row.Position, row.Leaf) {
		return "was not written by the service, or not at this place"
	}
	leaf, err := ParseLeaf(row.Leaf)
	switch {
	case err != nil:
		return "is no record"
	case !leaf.Recorded.Equal(row.Recorded):
		return "was recorded at another time than it says"
	case row.Key == nil:
		f.Erased++
		return ""
	}
	r, err := leaf.Open(row.Key)
	if err != nil {
		return "cannot be opened: its key or its content was changed"
	}
	f.Opened++
	return f.names(r.Patients, leaf.Links)
}

func (f *FileChecker) end(records int64) error {
	f.ended = true
	switch {
	case records != f.Records:
		return fmt.Errorf("the file says that it has %d records, and has %d", records, f.Records)
	case !f.Whole():
		return nil
	case f.Size() != f.at.Size:
		return &Fault{Position: f.Size() + 1, What: "is missing"}
	case f.Root() != f.at.Root:
		return &Fault{Position: f.good + 1, Last: f.at.Size, What: "is not the one that was there when the checkpoint of the file was signed"}
	}
	return f.Checker.End()
}

// Finish reports whether the file ended where it was to. The error says that it was cut.
func (f *FileChecker) Finish() error {
	if !f.ended {
		return errors.New("the file ends before its last line; it was cut")
	}
	return nil
}
