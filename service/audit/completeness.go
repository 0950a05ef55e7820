package audit

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"aftercare/service/audit/tree"
)

// Completeness is the answer of AuditEvent/$completeness: all records about a patient in a time.
type Completeness struct {
	Patient string
	// From and To bound the time, To not included; zero for no bound.
	From, To time.Time
	// Checkpoint is the signed one that the proofs are for.
	Checkpoint []byte
	// Records are those of the time, with the last one before it and the first one after it, as far as
	// there are any, and end with the record of the request itself where there is none after it.
	Records []Proven
	// Request is the record of the request for them, which names the patient.
	Request Proven
}

// Proven is a record with the proof that it is in the log. Key is nil where it was erased.
type Proven struct {
	Position  int64
	Leaf, Key []byte
	Path      []tree.Hash
}

// ReadCompleteness reads the Parameters that the operation answers with.
func ReadCompleteness(body []byte) (c Completeness, err error) {
	type parameter struct {
		Name              string
		ValueString       string
		ValueInstant      time.Time
		ValueBase64Binary []byte
		Part              []json.RawMessage
	}
	var all struct{ Parameter []parameter }
	if err := json.Unmarshal(body, &all); err != nil {
		return c, errors.New("this is no answer of $completeness")
	}
	for _, p := range all.Parameter {
		switch p.Name {
		case "patient":
			c.Patient = p.ValueString
		case "start":
			c.From = p.ValueInstant
		case "end":
			c.To = p.ValueInstant
		case "checkpoint":
			c.Checkpoint = []byte(p.ValueString)
		case "event":
			var r Proven
			place := ""
			for _, raw := range p.Part {
				var part parameter
				if err := json.Unmarshal(raw, &part); err != nil {
					return c, errors.New("this is no answer of $completeness")
				}
				switch part.Name {
				case "place":
					place = part.ValueString
				case "record":
					r.Position, _ = strconv.ParseInt(part.ValueString, 10, 64)
				case "leaf":
					r.Leaf = part.ValueBase64Binary
				case "key":
					r.Key = part.ValueBase64Binary
				case "proof":
					if len(part.ValueBase64Binary) != len(tree.Hash{}) {
						return c, errors.New("a proof has a hash of another size: " + base64.StdEncoding.EncodeToString(part.ValueBase64Binary))
					}
					r.Path = append(r.Path, tree.Hash(part.ValueBase64Binary))
				}
			}
			if place == "request" {
				c.Request = r
			} else {
				c.Records = append(c.Records, r)
			}
		}
	}
	if n := len(c.Records); n == 0 || c.Request.Position > 0 && c.Records[n-1].Position < c.Request.Position && !c.closed() {
		c.Records = append(c.Records, c.Request)
	}
	return c, nil
}

// closed reports whether the last record is one after the time.
func (c *Completeness) closed() bool {
	l, err := ParseLeaf(c.Records[len(c.Records)-1].Leaf)
	return err == nil && !c.To.IsZero() && !l.Recorded.Before(c.To)
}

// Verify checks that the records are in the log with that key, and that none about the patient in that
// time is left out, since each names the one before it. until is the end of what that is known of: To, or
// the time of the request where that was before. It rests on each patient having one pseudonym in the log,
// which who checks the whole log finds out.
func (c *Completeness) Verify(verifier string) (until time.Time, err error) {
	at, err := tree.Open(c.Checkpoint, verifier)
	if err != nil {
		return until, err
	}
	subject, err := c.subject(at)
	if err != nil {
		return until, err
	}
	var before *Link
	var ahead int64
	for i, r := range c.Records {
		leaf, link, err := r.about(subject, at)
		if err != nil {
			return until, err
		}
		switch {
		case i == 0 && link.N > 1 && (c.From.IsZero() || !leaf.Recorded.Before(c.From)):
			return until, &Fault{Position: r.Position, What: fmt.Sprintf("is number %d about the patient, and those before it are left out", link.N)}
		case i > 0 && (link.N != before.N+1 || link.Before != ahead):
			return until, &Fault{Position: r.Position, What: fmt.Sprintf("follows record %d about the patient, which is left out", link.Before)}
		case leaf.Recorded.Before(until):
			return until, &Fault{Position: r.Position, What: "says that it was recorded before the record ahead of it"}
		}
		before, ahead, until = link, r.Position, leaf.Recorded
	}
	if last := len(c.Records) - 1; last < 0 || c.Records[last].Position != c.Request.Position && !c.closed() {
		return until, errors.New("nothing shows that no record follows the last one")
	}
	if !c.To.IsZero() && until.After(c.To) {
		until = c.To
	}
	return until, nil
}

// subject is the pseudonym of the patient, by the record of the request.
func (c *Completeness) subject(at tree.Checkpoint) (s Subject, err error) {
	leaf, err := c.Request.in(at)
	if err != nil {
		return s, err
	}
	r, err := leaf.Open(c.Request.Key)
	if err != nil {
		return s, &Fault{Position: c.Request.Position, What: "cannot be opened"}
	}
	i := slices.Index(r.Patients, c.Patient)
	if i < 0 || len(r.Patients) != len(leaf.Links) {
		return s, &Fault{Position: c.Request.Position, What: "does not name the patient"}
	}
	return leaf.Links[i].Subject, nil
}

// in is the leaf of a record, once that is known to be in the log.
func (r *Proven) in(at tree.Checkpoint) (*Leaf, error) {
	if err := tree.VerifyInclusion(at, r.Position-1, tree.LeafHash(r.Leaf), r.Path); err != nil {
		return nil, &Fault{Position: r.Position, What: "is not in the log: " + err.Error()}
	}
	leaf, err := ParseLeaf(r.Leaf)
	if err != nil {
		return nil, &Fault{Position: r.Position, What: "is no record"}
	}
	return leaf, nil
}

func (r *Proven) about(s Subject, at tree.Checkpoint) (*Leaf, *Link, error) {
	leaf, err := r.in(at)
	if err != nil {
		return nil, nil, err
	}
	link := leaf.LinkOf(s)
	if link == nil {
		return nil, nil, &Fault{Position: r.Position, What: "is about another patient"}
	}
	if r.Key != nil {
		if _, err := leaf.Open(r.Key); err != nil {
			return nil, nil, &Fault{Position: r.Position, What: "cannot be opened"}
		}
	}
	return leaf, link, nil
}
