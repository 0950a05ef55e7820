package service

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"aftercare/fhir"
	"aftercare/service/audit"
	"aftercare/service/store"
)

// The limits of $completeness: records in an answer, and those that are walked through to find them.
const (
	completeRecords = 1000
	completeWalk    = 20_000
)

// chain is a part of the records about a patient, in their order, as $completeness gives it: before and
// after are positions, 0 for none.
type chain struct {
	before, after int64
	within        []int64
}

// completeness is AuditEvent/$completeness.
func (s *Service) completeness(in *invocation) (acting, error) {
	if err := s.mayAudit(in.principal); err != nil {
		return nil, err
	}
	if err := in.only("patient", "start", "end"); err != nil {
		return nil, err
	}
	patient, a, err := in.text("patient")
	switch {
	case err == nil && a == nil:
		err = fhir.Errorf(fhir.BadRequest, "required", "http.patient", "patient is needed: the id of a Patient.")
	case err == nil:
		if ref := fhir.ParseReference(patient, s.baseURL); ref.Type == "Patient" {
			patient = ref.ID
		}
		if !fhir.ValidID(patient) {
			err = a.refuse("value", "patient is the id of a Patient.")
		}
	}
	if err != nil {
		return nil, err
	}
	from, err := in.moment("start", s.zone, false)
	if err != nil {
		return nil, err
	}
	to, err := in.moment("end", s.zone, true)
	if err != nil {
		return nil, err
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return nil, fhir.Errorf(fhir.BadRequest, "value", "http.end", "The end is before the start.")
	}
	return func(ctx context.Context) (Answer, error) {
		found, own, err := s.noteCompleteness(ctx, patient, from, to)
		if err != nil {
			return Answer{}, err
		}
		if err := s.auditLog.reach(ctx, own); err != nil {
			return Answer{}, err
		}
		out := newParameters()
		out.words("patient", patient)
		out.instant("start", from)
		out.instant("end", to)
		err = s.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
			t, err := s.auditLog.tree(ctx, r)
			if err != nil {
				return err
			}
			add := func(place string, position int64) {
				if err != nil || position == 0 {
					return
				}
				var p LogProof
				if p, err = t.prove(ctx, position, 0); err == nil {
					out.group("event", func(in *parameters) {
						in.words("place", place)
						in.proof(p)
					})
				}
			}
			add("before", found.before)
			for _, position := range found.within {
				add("within", position)
			}
			add("after", found.after)
			add("request", own)
			out.checkpoint(t.newest, t.note, s.auditLog.key)
			return err
		})
		return Answer{Body: out.bytes()}, err
	}, nil
}

// noteCompleteness finds the records about a patient in a time, and puts the record of this request, which
// is about the same patient, behind them: at once, so that none comes between.
func (s *Service) noteCompleteness(ctx context.Context, patient string, from, to time.Time) (found chain, own int64, err error) {
	t := trailOf(ctx)
	switch {
	case t == nil:
		t = NewTrail(audit.Record{Code: "operation", Operation: "completeness", Type: eventType})
	case t.part:
		return found, 0, fhir.Errorf(fhir.BadRequest, "not-supported", "", "$completeness cannot be part of a Bundle; call it by itself.")
	}
	err = s.store.WriteLog(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		t.forget() // this may run again
		t.record.Status = http.StatusOK
		if found, err = s.walk(ctx, &tx.Reader, patient, from, to, t); err != nil {
			return err
		}
		t.record.Patients = append(t.record.Patients, patient)
		return s.logTrail(ctx, tx, t)
	})
	if err != nil {
		return found, 0, err
	}
	t.isLogged()
	own, err = strconv.ParseInt(t.record.ID, 10, 64)
	return found, own, err
}

// walk goes through the records about a patient, from the last one back.
func (s *Service) walk(ctx context.Context, r *store.Reader, patient string, from, to time.Time, t *Trail) (c chain, err error) {
	subject := s.auditLog.sealer.Subject(patient)
	_, position, err := r.LogSubject(ctx, subject[:])
	for steps := 0; err == nil && position > 0; steps++ {
		if steps == completeWalk || len(c.within) > completeRecords {
			return c, fhir.Errorf(fhir.Unprocessable, "too-costly", "http.start", "There are too many records; ask for a shorter time, or export the log.")
		}
		row, err := r.LoggedAt(ctx, position)
		if err != nil {
			return c, err
		}
		leaf, err := audit.ParseLeaf(row.Leaf)
		if err != nil {
			return c, errDamaged(&damage{position, "is no record"})
		}
		link := leaf.LinkOf(subject)
		if link == nil || link.Before >= position {
			return c, errDamaged(&damage{position, "is not in the chain of its patient"})
		}
		switch {
		case !to.IsZero() && !row.Recorded.Before(to):
			c.after = position
		case !from.IsZero() && row.Recorded.Before(from):
			c.before = position
			slices.Reverse(c.within)
			return c, nil
		default:
			c.within = append(c.within, position)
			if row.Key != nil {
				opened, err := audit.Read(position, row.Leaf, row.Key)
				if err != nil {
					return c, errDamaged(&damage{position, "cannot be opened"})
				}
				t.showsRecord(opened)
			}
		}
		position = link.Before
	}
	slices.Reverse(c.within)
	return c, err
}

// moment is a date or an instant, zero if it is absent: the beginning, or the end, of what it says.
func (as arguments) moment(name string, zone *time.Location, end bool) (time.Time, error) {
	text, a, err := as.text(name)
	if a == nil || err != nil {
		return time.Time{}, err
	}
	m, err := fhir.ParseMoment(text, zone)
	if err != nil {
		return time.Time{}, a.refuse("value", "%s is a date or an instant.", name)
	}
	if end {
		return m.High, nil
	}
	return m.Low, nil
}

func (p *parameters) instant(name string, t time.Time) {
	if !t.IsZero() {
		p.add(name, "valueInstant", []byte(`"`+t.UTC().Format("2006-01-02T15:04:05.000000Z")+`"`))
	}
}

// group adds a parameter with parts.
func (p *parameters) group(name string, fill func(*parameters)) {
	parts := &parameters{[]byte("[")}
	fill(parts)
	p.add(name, "part", append(parts.buf, ']'))
}
