package audit

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"aftercare/service/audit/tree"
)

// Row is a row of the log, as it is stored or was exported.
type Row struct {
	Position int64
	Recorded time.Time
	// Key is nil where it was erased.
	Leaf, Key []byte
}

// Fault is what is wrong with a log: the first record that is not as it was written.
type Fault struct {
	// Position is that of the record. Last is greater where it is one of several, and which one is not
	// known.
	Position, Last int64
	What           string
}

func (f *Fault) Error() string {
	if f.Last > f.Position {
		return fmt.Sprintf("one of the records %d to %d %s", f.Position, f.Last, f.What)
	}
	return fmt.Sprintf("record %d %s", f.Position, f.What)
}

// Checker checks the rows of a whole log, one after the other. What it needs grows with the number of
// patients and not with that of records.
type Checker struct {
	sealer   *Sealer
	run      tree.Run
	recorded time.Time
	heads    map[Subject]Link // the last record of each: Before is its own position
	subjects map[string]Subject
	patients map[Subject]string
	// keyless are the records without a key, and shredded those whose key was taken away as the log says.
	keyless  []int64
	shredded [][2]int64
	// Each is called with the position and the content of each record that was opened; it may be nil.
	Each func(int64, *Record)
	// Opened and Erased count the records with and without a key.
	Opened, Erased int64
}

// NewChecker begins with an empty log. Without a sealer, which may be nil, it is not known who wrote the
// records.
func NewChecker(sealer *Sealer) *Checker {
	return &Checker{sealer: sealer, heads: map[Subject]Link{}, subjects: map[string]Subject{}, patients: map[Subject]string{}}
}

// Size is how many rows there were.
func (c *Checker) Size() int64 { return c.run.Size() }

// Root is that of the tree over them.
func (c *Checker) Root() tree.Hash { return c.run.Root() }

// Add checks the next row, and gives the hash of its leaf. The error is a *Fault.
func (c *Checker) Add(row Row) (tree.Hash, error) {
	position := c.run.Size() + 1
	wrong := func(format string, args ...any) (tree.Hash, error) {
		return tree.Hash{}, &Fault{Position: position, What: fmt.Sprintf(format, args...)}
	}
	switch {
	case row.Position > position:
		return wrong("is missing")
	case row.Position < position:
		return wrong("is there twice, or in another place")
	case row.Recorded.Before(c.recorded):
		return wrong("says that it was recorded before the record ahead of it")
	case row.Leaf == nil:
		return wrong("has no content")
	}
	c.recorded = row.Recorded
	if c.sealer != nil && !c.sealer.Genuine(position, row.Leaf) {
		return wrong("was not written by the service, or not at this place")
	}
	leaf, err := ParseLeaf(row.Leaf)
	if err != nil {
		return wrong("is no record")
	}
	if !leaf.Recorded.Equal(row.Recorded) {
		return wrong("says that it was recorded at %s, and was at %s", row.Recorded.Format(time.RFC3339Nano), leaf.Recorded.Format(time.RFC3339Nano))
	}
	if err := c.links(position, leaf.Links); err != "" {
		return wrong("%s", err)
	}
	if row.Key == nil {
		c.Erased++
		c.keyless = append(c.keyless, position)
	} else {
		r, err := leaf.Open(row.Key)
		if err != nil {
			return wrong("cannot be opened: its key or its content was changed")
		}
		if err := c.names(r.Patients, leaf.Links); err != "" {
			return wrong("%s", err)
		}
		if r.Code == LogErased {
			c.shredded = append(c.shredded, r.shredded()...)
		}
		if c.Opened++; c.Each != nil {
			c.Each(position, r)
		}
	}
	hash := tree.LeafHash(row.Leaf)
	c.run.Add(hash)
	return hash, nil
}

// links checks that the chains of a record's subjects have no gap, and says what is wrong.
func (c *Checker) links(position int64, links []Link) string {
	for _, l := range links {
		head := c.heads[l.Subject]
		if l.N != head.N+1 || l.Before != head.Before {
			return fmt.Sprintf("says that it is number %d about a patient, after record %d; it follows number %d, record %d", l.N, l.Before, head.N, head.Before)
		}
		c.heads[l.Subject] = Link{l.Subject, l.N, position}
	}
	return ""
}

// names checks that a record names the patients that it is linked for, and that each has one pseudonym.
func (c *Checker) names(patients []string, links []Link) string {
	if len(patients) != len(links) {
		return "names other patients than it is linked for"
	}
	for i, id := range patients {
		subject := links[i].Subject
		if c.sealer != nil {
			if c.sealer.Subject(id) != subject {
				return "is linked for another patient than it names"
			}
			continue
		}
		known, ok := c.subjects[id]
		of, taken := c.patients[subject]
		if ok && known != subject || taken && of != id {
			return "names a patient by another pseudonym than an earlier one"
		}
		c.subjects[id], c.patients[subject] = subject, id
	}
	return ""
}

// End checks what is known once all rows are there. The error is a *Fault.
func (c *Checker) End() error {
	for _, position := range c.keyless {
		if !slices.ContainsFunc(c.shredded, func(of [2]int64) bool { return of[0] <= position && position <= of[1] }) {
			return &Fault{Position: position, What: "has no key any more, and no erasure is in the log"}
		}
	}
	return nil
}

// Head is the last record of a subject: its number, and, as Before, its position. Both are 0 where there is
// none.
func (c *Checker) Head(s Subject) Link { return c.heads[s] }

// Subjects is how many subjects there are records of.
func (c *Checker) Subjects() int { return len(c.heads) }

// Heads calls each with the last record of every subject.
func (c *Checker) Heads(each func(Link) error) error {
	all := make([]Link, 0, len(c.heads))
	for _, l := range c.heads {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b Link) int { return int(a.Before - b.Before) })
	for _, l := range all {
		if err := each(l); err != nil {
			return err
		}
	}
	return nil
}

// CheckpointFault is what is wrong with a signed checkpoint.
type CheckpointFault struct {
	Size int64
	What string
}

func (f *CheckpointFault) Error() string {
	return "the checkpoint of " + strconv.FormatInt(f.Size, 10) + " records " + f.What
}

// At checks a signed checkpoint of as many records as there were. since is the size of one that was
// found right before. The error is a *CheckpointFault or a *Fault.
func (c *Checker) At(signed []byte, verifier string, size, since int64) error {
	is, err := tree.Open(signed, verifier)
	switch {
	case err != nil:
		return &CheckpointFault{size, "cannot be trusted: " + err.Error()}
	case is.Size != size:
		return &CheckpointFault{size, "says that it is one of " + strconv.FormatInt(is.Size, 10)}
	case is.Root != c.Root():
		return &Fault{Position: since + 1, Last: size, What: "is not the one that was there when the checkpoint of " + strconv.FormatInt(size, 10) + " records was signed"}
	}
	return nil
}
