package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"aftercare/config"
	"aftercare/fhir"
	"aftercare/service"
	"aftercare/service/audit"
	"aftercare/service/audit/tree"
	"aftercare/service/store"
)

// auditExport is what "audit export" was asked for.
type auditExport struct {
	out, patient, agent, from, to string
}

// during is the period that was asked for, of which either end may be open.
func (x auditExport) during(zone *time.Location) (from, to time.Time, err error) {
	if from, err = timeOf("--from", x.from, zone); err == nil {
		to, err = timeOf("--to", x.to, zone)
	}
	return from, to, err
}

// filter says it in words, "" for all.
func (x auditExport) filter() string {
	var words []string
	for _, w := range [][2]string{{"patient", x.patient}, {"agent", x.agent}, {"from", x.from}, {"to", x.to}} {
		if w[1] != "" {
			words = append(words, w[0]+" "+w[1])
		}
	}
	return strings.Join(words, ", ")
}

// exportAudit writes records of the log.
func (p *program) exportAudit(ctx context.Context, cfg config.Config, x auditExport) (err error) {
	if x.patient != "" && !fhir.ValidID(x.patient) {
		return misused("--patient: %q is no id of a resource", x.patient)
	}
	from, to, err := x.during(cfg.Zone)
	if err != nil {
		return err
	}
	return p.withStore(ctx, cfg, func(db *store.Store) (err error) {
		log, err := p.usedLog(ctx, cfg, db, "audit export", x.patient, "patient", x.patient, "agent", x.agent, "from", x.from, "to", x.to)
		if err != nil {
			return err
		}
		out, done, err := p.output(x.out)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, done(err)) }()
		w := &auditWriter{out: json.NewEncoder(out), filter: x.filter(), site: log.Site(cfg.BaseURLAt(nil)), verifier: log.Verifier()}
		w.out.SetEscapeHTML(false)
		told := newProgress(p.stderr, "exported", 0, 0)
		told.noun = "records"
		q := service.LogExport{From: from, To: to, Patient: x.patient, Start: w.start, Record: w.record, Checkpoint: w.checkpoint, Progress: told.reach}
		if x.agent != "" {
			q.Keep = func(r *audit.Record) bool {
				return x.agent == r.Agent.Client || x.agent == r.Agent.Subject || x.agent == r.Agent.User
			}
		}
		if err := log.Export(ctx, q); err != nil {
			return err
		}
		return w.out.Encode(audit.Line{End: &w.records})
	})
}

// usedLog opens the log, and puts into it that it is used.
func (p *program) usedLog(ctx context.Context, cfg config.Config, db *store.Store, command, patient string, details ...string) (*service.Log, error) {
	log, err := openLog(ctx, cfg, db)
	if err != nil {
		return nil, err
	}
	if log == nil {
		return nil, errAuditOff
	}
	r := recordOf(audit.LogUsed, command, details...)
	if patient != "" {
		r.Patients = []string{patient}
	}
	return log, log.Note(ctx, r)
}

// output is a new file, or the standard output.
func (p *program) output(name string) (out io.Writer, done func(error) error, err error) {
	if name == "" {
		buffered := bufio.NewWriterSize(p.stdout, 1<<16)
		return buffered, func(error) error { return buffered.Flush() }, nil
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, nil, err
	}
	buffered := bufio.NewWriterSize(file, 1<<20)
	return buffered, func(failed error) error {
		err := errors.Join(buffered.Flush(), file.Sync(), file.Close())
		if failed != nil || err != nil {
			err = errors.Join(err, os.Remove(name)) // what is there is no export
		}
		return err
	}, nil
}

// auditWriter writes the lines of an exported log.
type auditWriter struct {
	out              *json.Encoder
	filter, verifier string
	site             *audit.Site
	records          int64
}

func (w *auditWriter) start(_ tree.Checkpoint, note []byte) error {
	return w.out.Encode(audit.Line{Header: &audit.Header{
		Format: audit.FileFormat, Version: audit.FileVersion, Software: versionName(), Exported: time.Now().UTC(), Filter: w.filter, Checkpoint: string(note), Verifier: w.verifier,
	}})
}

func (w *auditWriter) record(p service.LogProof, r *audit.Record) error {
	w.records++
	l := audit.Line{Position: p.Row.Position, Recorded: &p.Row.Recorded, Leaf: p.Row.Leaf, Key: p.Row.Key}
	for _, h := range p.Path {
		l.Proof = append(l.Proof, h[:])
	}
	if r != nil {
		var err error
		if l.Event, err = w.site.Event(r); err != nil {
			return err
		}
	}
	return w.out.Encode(l)
}

func (w *auditWriter) checkpoint(note []byte) error {
	return w.out.Encode(audit.Line{Checkpoint: string(note)})
}

// proveAudit prints the proof of a record.
func (p *program) proveAudit(ctx context.Context, cfg config.Config, id string, asJSON bool) error {
	position, err := service.LogPosition(id)
	if err != nil {
		return misused("%q is no id of an AuditEvent", id)
	}
	return p.withStore(ctx, cfg, func(db *store.Store) error {
		log, err := p.usedLog(ctx, cfg, db, "audit prove", "", "record", id)
		if err != nil {
			return err
		}
		proof, err := log.Prove(ctx, position, 0)
		if err != nil {
			return err
		}
		if asJSON {
			w := &auditWriter{out: json.NewEncoder(p.stdout), filter: "record " + id, site: log.Site(cfg.BaseURLAt(nil)), verifier: log.Verifier()}
			w.out.SetEscapeHTML(false)
			record, _ := audit.Read(position, proof.Row.Leaf, proof.Row.Key) // nil where it was erased
			err := errors.Join(w.start(proof.Checkpoint, proof.Note), w.record(proof, record))
			return errors.Join(err, w.out.Encode(audit.Line{End: &w.records}))
		}
		fmt.Fprintf(p.stdout, "record %d of %s, recorded at %s\nhash %s\n", position, proof.Checkpoint.Origin, proof.Row.Recorded.Format(time.RFC3339Nano), proof.Leaf)
		for _, h := range proof.Path {
			fmt.Fprintf(p.stdout, "with %s\n", h)
		}
		_, err = fmt.Fprintf(p.stdout, "gives the root of the checkpoint:\n\n%sverifier %s\n", proof.Note, log.Verifier())
		return err
	})
}
