package service

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
	"aftercare/service/audit"
	"aftercare/service/audit/tree"
	"aftercare/service/careplan"
	"aftercare/service/store"
)

// Trail is what the auditor's log is to say of one request: of the interaction that it is, or, of a
// Bundle, of each that its entries are. Whoever takes requests makes one, puts it into the context, and
// sees to it that it is logged before the answer leaves. One goroutine uses it at a time.
type Trail struct {
	record  audit.Record
	entries []*Trail
	// current are those of the shown versions whose patients are to be found in the index.
	current []audit.Version
	// stated is the Provenance that the caller stated of what he wrote, if any.
	stated *fhir.Resource
	// logged is set once it is in the log, because the write that it is about is.
	logged bool
	// part tells that it is that of an entry of a Bundle.
	part bool
	// leaf is the hash of the record as the log has it.
	leaf tree.Hash
	// position is that of the record in the log, once it is there.
	position int64
}

// NewTrail begins with what is known of a request before it is understood.
func NewTrail(r audit.Record) *Trail { return &Trail{record: r} }

type trailKey struct{}

// WithTrail is a context in which interactions leave their trail.
func WithTrail(ctx context.Context, t *Trail) context.Context {
	return context.WithValue(ctx, trailKey{}, t)
}

// trailOf is the trail of a context, nil where there is none.
func trailOf(ctx context.Context) *Trail {
	t, _ := ctx.Value(trailKey{}).(*Trail)
	return t
}

// Logged reports whether the trail is in the log.
func (t *Trail) Logged() bool { return t.logged }

// about says which interaction it is.
func (t *Trail) about(i interaction) {
	if t != nil {
		t.record.Code, t.record.Type, t.record.Target = i.code, i.typ, i.id
	}
}

// shows says that an answer carries a resource as it is now.
func (t *Trail) shows(r *fhir.Resource) {
	if t != nil && r != nil {
		v := audit.Version{Type: r.Type, ID: r.ID, Version: r.Version}
		t.record.Shown, t.current = append(t.record.Shown, v), append(t.current, v)
	}
}

// showsPast says that an answer carries a version of a resource that belonged to patients.
func (t *Trail) showsPast(r *fhir.Resource, patients []string) {
	if t != nil && r != nil {
		t.record.Shown = append(t.record.Shown, audit.Version{Type: r.Type, ID: r.ID, Version: r.Version})
		t.record.Patients = append(t.record.Patients, patients...)
	}
}

// entry begins the trail of an entry of a Bundle.
func (t *Trail) entry() *Trail {
	if t == nil {
		return nil
	}
	e := &Trail{record: t.record, part: true}
	e.record.Code, e.record.Type, e.record.Target, e.record.Operation, e.record.Query, e.record.Shown, e.record.Patients = "", "", "", "", "", nil, nil
	t.entries = append(t.entries, e)
	return e
}

// ended says what came of an interaction.
func (t *Trail) ended(status int, err error) {
	if t == nil {
		return
	}
	t.record.Status = status
	if err != nil {
		t.record.Status = fhir.KindOf(err).Status()
		t.forget()
		t.record.Reason = reasonOf(err)
	}
}

// forget takes back what was shown: a refusal carries nothing.
func (t *Trail) forget() { t.record.Shown, t.record.Patients, t.current = nil, nil, nil }

// reasonOf is the code of the first issue of an error.
func reasonOf(err error) string {
	var e *fhir.Error
	if errors.As(err, &e) && len(e.Issues) > 0 {
		return e.Issues[0].Code
	}
	return "exception"
}

// leaves are the trails of the single interactions.
func (t *Trail) leaves() []*Trail {
	if len(t.entries) > 0 {
		return t.entries
	}
	return []*Trail{t}
}

// Log is the auditor's log, nil where none is kept.
func (s *Service) Log() *Log { return s.auditLog }

// LogTrail puts the trail of a request into the log, with the status of the answer and the error that it
// tells of, if any, unless it is there already. When it returns, the record is on disk.
func (s *Service) LogTrail(ctx context.Context, t *Trail, status int, reason error) error {
	if t.logged || s.auditLog == nil {
		return nil
	}
	if reason != nil || len(t.entries) == 0 {
		t.entries = nil // a Bundle that was refused is one interaction
		t.record.Status = status
		if reason != nil {
			t.forget()
			t.record.Reason = reasonOf(reason)
		}
	}
	if err := s.store.WriteLog(ctx, func(ctx context.Context, tx *store.Tx) error { return s.logTrail(ctx, tx, t) }); err != nil {
		return err
	}
	t.isLogged()
	return nil
}

// logTrail adds the records of a trail that are not in the log.
func (s *Service) logTrail(ctx context.Context, tx *store.Tx, t *Trail) error {
	for _, leaf := range t.leaves() {
		if leaf.logged {
			continue
		}
		r := &leaf.record
		if r.Code == "" {
			r.Code = "request"
		}
		if saidByTarget[r.Code] && (r.Target != "" || len(r.Shown) > 0) && !strings.Contains(r.Query, "?") {
			r.Query = ""
		}
		patients, err := s.patientsShown(ctx, &tx.Reader, leaf)
		if err != nil {
			return err
		}
		if leaf.leaf, err = s.auditLog.append(ctx, tx, r, patients); err != nil {
			return err
		}
		if leaf.position, err = positionOf(r.ID); err != nil {
			return err
		}
	}
	return nil
}

// saidByTarget are the interactions whose URL says no more than what they are about, as long as it has
// no parameters.
var saidByTarget = map[string]bool{"read": true, "vread": true, "create": true, "update": true, "patch": true, "delete": true}

// patientsShown are the ids of the patients whose data a record tells of: those that are known, and
// those of the resources that were shown as they are now.
func (s *Service) patientsShown(ctx context.Context, r *store.Reader, t *Trail) ([]string, error) {
	patients := slices.Clone(t.record.Patients)
	types, err := record()
	if err != nil {
		return nil, err
	}
	ids := map[string][]string{}
	for _, v := range t.current {
		if v.Type == careplan.SubjectType {
			patients = append(patients, v.ID)
		} else {
			ids[v.Type] = append(ids[v.Type], v.ID)
		}
	}
	for i := range types {
		if of := ids[types[i].name]; of != nil {
			var params []*search.Parameter
			for _, code := range types[i].owners {
				if p, ok := s.registry.Lookup(types[i].name, code); ok {
					params = append(params, p)
				}
			}
			found, err := r.Targets(ctx, types[i].name, of, params, careplan.SubjectType)
			if err != nil {
				return nil, err
			}
			patients = append(patients, found...)
		}
	}
	slices.Sort(patients)
	return slices.Compact(patients), nil
}

// showPast says that an answer carries a version, which may have belonged to others than the resource
// does now.
func (s *Service) showPast(ctx context.Context, res *fhir.Resource) error {
	t := trailOf(ctx)
	if t == nil {
		return nil
	}
	var patients []string
	if !res.Deleted {
		var err error
		if patients, err = s.patientsOf(res); err != nil {
			return err
		}
	}
	t.showsPast(res, patients)
	return nil
}

// logWrites puts the trail of a request that writes into the log, in the transaction that stores what it
// writes.
func (s *Service) logWrites(ctx context.Context, tx *store.Tx, found *resolution, out []Written) error {
	t := trailOf(ctx)
	if t == nil || s.auditLog == nil {
		return nil
	}
	for i, w := range found.ws {
		leaf := t
		if w.trail != nil {
			leaf = w.trail
		}
		leaf.forget() // this may run again
		leaf.record.Status, leaf.record.Reason = statusOf(out[i]), ""
		if r := out[i].Resource; r != nil {
			leaf.record.Shown = []audit.Version{{Type: r.Type, ID: r.ID, Version: r.Version}}
			patients, err := s.patientsWritten(ctx, tx, found.contents[i], r)
			if err != nil {
				return err
			}
			leaf.record.Patients = patients
		}
	}
	if t.stated != nil && len(found.ws) > 0 {
		leaf := t
		if first := found.ws[0].trail; first != nil {
			leaf = first
		}
		leaf.record.Shown = append(leaf.record.Shown, audit.Version{Type: t.stated.Type, ID: t.stated.ID, Version: t.stated.Version})
	}
	return s.logTrail(ctx, tx, t)
}

func statusOf(w Written) int {
	switch {
	case w.Resource == nil || w.Resource.Deleted:
		return http.StatusNoContent
	case w.Created:
		return http.StatusCreated
	default:
		return http.StatusOK
	}
}

// patientsWritten are the patients of a version that was written: of a deletion those of the version
// before it.
func (s *Service) patientsWritten(ctx context.Context, tx *store.Tx, c *content, r *fhir.Resource) ([]string, error) {
	if r.Type == careplan.SubjectType {
		return []string{r.ID}, nil
	}
	types, err := record()
	if err != nil {
		return nil, err
	}
	for i := range types {
		if types[i].name != r.Type {
			continue
		}
		if c != nil && !r.Deleted {
			return named(c.rows, types[i].owners), nil
		}
		if r.Deleted && r.Version > 1 {
			if r, err = tx.Version(ctx, r.Type, r.ID, r.Version-1); err != nil {
				return nil, err
			}
		}
		return s.patientsOf(r)
	}
	return nil, nil
}

// isLogged notes that all of the trail is in the log.
func (t *Trail) isLogged() {
	if t == nil {
		return
	}
	for _, leaf := range t.leaves() {
		leaf.logged = true
	}
	t.logged = true
}

// leaveTrail begins the trail of an entry of a Bundle.
func (r *request) leaveTrail(ctx context.Context) {
	if r.trail = trailOf(ctx).entry(); r.trail == nil {
		return
	}
	r.trail.about(interaction{r.code(), r.target.typ, r.target.id})
	if r.operation != nil {
		r.trail.record.Operation = r.operation.Name
	}
	if r.target.query || r.trail.record.Code != "read" {
		r.trail.record.Query = r.method + " " + r.url
	}
}

// answered takes the status over from the response to an entry, such as "201 Created".
func (t *Trail) answered(status string) {
	if t == nil {
		return
	}
	code, _, _ := strings.Cut(status, " ")
	t.record.Status, _ = strconv.Atoi(code)
	if t.record.Status >= http.StatusBadRequest {
		t.forget()
	}
}

// because says why an entry was refused.
func (t *Trail) because(err error) {
	if t != nil {
		t.record.Reason = reasonOf(err)
	}
}

// Sent adds the form of a search to what was asked, as if it stood in the URL.
func Sent(ctx context.Context, form string) {
	t := trailOf(ctx)
	if t == nil || form == "" {
		return
	}
	join := "?"
	if strings.Contains(t.record.Query, "?") {
		join = "&"
	}
	t.record.Query += join + form
}

// By says who asks.
func (t *Trail) By(p Principal) {
	t.record.Agent = audit.Agent{Client: p.Client, Issuer: p.Issuer, Subject: p.Subject, User: p.User, TokenID: p.TokenID, Roles: p.Roles, Address: t.record.Agent.Address}
	t.record.Purposes, t.record.Emergency = p.Purposes, p.Emergency
}

// IDs are those of the records of the trail in the log, n of them at most.
func (t *Trail) IDs(n int) (ids []string) {
	for _, leaf := range t.leaves() {
		if len(ids) == n {
			break
		}
		ids = append(ids, leaf.record.ID)
	}
	return ids
}
