package service

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strconv"

	"aftercare/fhir"
	"aftercare/service/audit"
	"aftercare/service/audit/tree"
	"aftercare/service/store"
)

const eventType = "AuditEvent"

// mayAudit refuses whoever may not read all AuditEvents, and what asks of a log that is not kept.
func (s *Service) mayAudit(p Principal) error {
	if part := s.part(&p, eventType, searching); !part.All() {
		return fhir.Errorf(fhir.Forbidden, "forbidden", "", "Whoever asks for proof of the log must be allowed to read all AuditEvents.")
	}
	if !s.proves() {
		return fhir.Errorf(fhir.NotFound, "not-supported", "", "This service keeps no auditor's log that could be proven.")
	}
	return nil
}

// proves reports whether there is a tree over the auditor's log.
func (s *Service) proves() bool { return s.auditLog != nil && s.auditLog.key != nil }

// positionOf is the position in the log of the AuditEvent with an id.
func positionOf(id string) (int64, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != id {
		return 0, fhir.Errorf(fhir.NotFound, "not-found", "", "There is no AuditEvent with this id.")
	}
	return n, nil
}

// size is a number of records; absent gives 0.
func (as arguments) size(name string) (int64, error) {
	text, a, err := as.text(name)
	if a == nil || err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != text {
		return 0, a.refuse("value", "%s is a number of records, 1 or more.", name)
	}
	return n, nil
}

// prove is AuditEvent/[id]/$proof.
func (s *Service) prove(in *invocation) (acting, error) {
	if err := s.mayAudit(in.principal); err != nil {
		return nil, err
	}
	if err := in.only("size"); err != nil {
		return nil, err
	}
	size, err := in.size("size")
	if err != nil {
		return nil, err
	}
	position, err := positionOf(in.ID)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (Answer, error) {
		p, err := s.auditLog.Prove(ctx, position, size)
		if err != nil {
			return Answer{}, err
		}
		showRow(ctx, p.Row)
		out := newParameters()
		out.proof(p)
		out.checkpoint(p.Checkpoint, p.Note, s.auditLog.key)
		return Answer{Body: out.bytes()}, nil
	}, nil
}

// showRow says that an answer carries a record of the log.
func showRow(ctx context.Context, row store.Logged) {
	if row.Leaf == nil || row.Key == nil {
		return
	}
	if r, err := audit.Read(row.Position, row.Leaf, row.Key); err == nil {
		trailOf(ctx).showsRecord(r)
	}
}

// newestCheckpoint is AuditEvent/$checkpoint.
func (s *Service) newestCheckpoint(in *invocation) (acting, error) {
	if err := s.mayAudit(in.principal); err != nil {
		return nil, err
	}
	if err := in.only(); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (Answer, error) {
		out := newParameters()
		err := s.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
			t, err := s.auditLog.tree(ctx, r)
			if err == nil {
				out.checkpoint(t.newest, t.note, s.auditLog.key)
			}
			return err
		})
		return Answer{Body: out.bytes()}, err
	}, nil
}

// consistency is AuditEvent/$consistency.
func (s *Service) consistency(in *invocation) (acting, error) {
	if err := s.mayAudit(in.principal); err != nil {
		return nil, err
	}
	if err := in.only("from", "to"); err != nil {
		return nil, err
	}
	from, err := in.size("from")
	if err == nil && from == 0 {
		err = fhir.Errorf(fhir.BadRequest, "required", "http.from", "from is needed: the size of the older checkpoint.")
	}
	if err != nil {
		return nil, err
	}
	to, err := in.size("to")
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (Answer, error) {
		if err := s.auditLog.reach(ctx, max(from, to)); err != nil && fhir.KindOf(err) != fhir.NotFound { // of which more is said below
			return Answer{}, err
		}
		out := newParameters()
		err := s.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
			t, err := s.auditLog.tree(ctx, r)
			if err != nil {
				return err
			}
			c, note, err := t.at(ctx, to)
			if err != nil {
				return at(err, "http.to")
			}
			if from > c.Size {
				return fhir.Errorf(fhir.Unprocessable, "value", "http.from", "The log had %d records then.", c.Size)
			}
			proof, err := tree.Consistency(from, c.Size, t.hashes)
			if err != nil {
				return ofTree(err)
			}
			out.number("from", from)
			out.hashes("proof", proof)
			out.checkpoint(c, note, s.auditLog.key)
			return nil
		})
		return Answer{Body: out.bytes()}, err
	}, nil
}

func (p *parameters) binary(name string, value []byte) {
	if value != nil {
		p.add(name, "valueBase64Binary", []byte(`"`+base64.StdEncoding.EncodeToString(value)+`"`))
	}
}

func (p *parameters) hashes(name string, hashes []tree.Hash) {
	for _, h := range hashes {
		p.binary(name, h[:])
	}
}

func (p *parameters) words(name, value string) {
	text, err := json.Marshal(value)
	if err == nil { // which a string always is
		p.add(name, "valueString", text)
	}
}

// number adds a number of records, in digits: a FHIR integer ends at 2,147,483,647.
func (p *parameters) number(name string, n int64) { p.words(name, strconv.FormatInt(n, 10)) }

// proof adds what proves a record.
func (p *parameters) proof(of LogProof) {
	p.number("record", of.Row.Position)
	p.binary("leaf", of.Row.Leaf)
	p.binary("key", of.Row.Key)
	p.binary("hash", of.Leaf[:])
	p.hashes("proof", of.Path)
}

// checkpoint adds a checkpoint, and what verifies it.
func (p *parameters) checkpoint(c tree.Checkpoint, note []byte, key *tree.Key) {
	p.words("origin", c.Origin)
	p.number("size", c.Size)
	if c.Size > 0 {
		p.binary("root", c.Root[:])
	}
	if note != nil {
		p.words("checkpoint", string(note))
	}
	p.words("verifier", key.Verifier())
}
