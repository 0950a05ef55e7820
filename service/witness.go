package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"aftercare/service/audit/tree"
	"aftercare/service/store"
)

// Witness is somebody who cosigns the checkpoints of the log, having seen that it only grows
// (https://c2sp.org/tlog-witness).
type Witness struct {
	// Key is the public key (https://c2sp.org/signed-note#verifier-keys), URL the submission prefix.
	Key, URL string
}

const (
	// witnessPause is the time between two checkpoints that witnesses are asked for.
	witnessPause = 10 * time.Second
	// witnessLimit is how long a witness may take, and witnessAnswer how long its answer may be.
	witnessLimit  = 10 * time.Second
	witnessAnswer = 64 << 10
	// witnessLease is the name of the lease of who asks witnesses.
	witnessLease = "witness"
)

// KeepWitnessed asks witnesses for cosignatures of new checkpoints, until ctx ends. Of all services on a
// database one does it at a time. Nothing waits for a witness.
func (s *Service) KeepWitnessed(ctx context.Context) {
	if s.auditLog == nil || s.auditLog.key == nil || len(s.witnesses) == 0 {
		return
	}
	client := &http.Client{Timeout: witnessLimit, Transport: http.DefaultTransport.(*http.Transport).Clone(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	var all []*witnessing
	for _, w := range s.witnesses {
		v, err := tree.NewWitness(w.Key)
		if err != nil {
			s.log.ErrorContext(ctx, "a witness of the auditor's log is left out", "url", w.URL, "error", err)
			continue
		}
		all = append(all, &witnessing{log: s.auditLog, url: strings.TrimSuffix(w.URL, "/") + "/add-checkpoint", key: v, client: client})
	}
	s.store.Hold(ctx, witnessLease, func(ctx context.Context, l *store.Lease) {
		for ; ctx.Err() == nil; pauseFor(ctx, witnessPause) {
			if err := s.witnessNewest(ctx, l, all); errors.Is(err, store.ErrLost) {
				return
			} else if err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "the checkpoint of the auditor's log could not be witnessed", "error", err)
			}
		}
	})
}

// witnessNewest asks all witnesses that have not cosigned the newest checkpoint, at the same time, and
// stores what they say.
func (s *Service) witnessNewest(ctx context.Context, l *store.Lease, all []*witnessing) error {
	var newest store.LogCheckpoint
	if err := s.store.View(ctx, func(ctx context.Context, r *store.Reader) (err error) {
		newest, err = r.NewestCheckpoint(ctx)
		return err
	}); err != nil || newest.Size == 0 {
		return err
	}
	answers := make([][]byte, len(all))
	var asking sync.WaitGroup
	var known []tree.Verifier
	for i, w := range all {
		known = append(known, w.key)
		if w.size == newest.Size {
			continue
		}
		asking.Go(func() {
			lines, err := w.ask(ctx, newest)
			if answers[i] = lines; ctx.Err() != nil {
				return
			}
			text := fmt.Sprint(err)
			if err != nil && text != w.told {
				s.log.ErrorContext(ctx, "a witness of the auditor's log does not cosign", "witness", w.key.Name(), "error", err)
			}
			w.told = text
		})
	}
	asking.Wait()
	signed := newest.Note
	for i, lines := range answers {
		if lines == nil {
			continue
		}
		var err error
		if signed, err = tree.Cosign(signed, lines, s.auditLog.Verifier(), all[i].key, known); err != nil {
			return err
		}
	}
	if bytes.Equal(signed, newest.Note) {
		return nil
	}
	newest.Note = signed
	return l.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.PutCheckpoint(ctx, newest) })
}

// witnessing is what is known of a witness.
type witnessing struct {
	log    *Log
	url    string
	key    tree.Verifier
	client *http.Client
	// size is that of the checkpoint that it cosigned last, 0 where that is not known.
	size int64
	told string
}

// ask submits a checkpoint, once more where the witness tells of another one that it cosigned last. It
// gives the lines of the cosignature, which hold.
func (w *witnessing) ask(ctx context.Context, c store.LogCheckpoint) ([]byte, error) {
	lines, seen, err := w.submit(ctx, c, w.size)
	if err == nil && seen != nil {
		if *seen > c.Size {
			return nil, fmt.Errorf("it has cosigned a checkpoint of %d records, and the log has %d: records were lost, or this is a copy of the log", *seen, c.Size)
		}
		if lines, seen, err = w.submit(ctx, c, *seen); err == nil && seen != nil {
			err = fmt.Errorf("it has cosigned another checkpoint of %d records: the log was changed, or this is a copy of it", *seen)
		}
	}
	if err != nil {
		w.size = 0
		return nil, err
	}
	if _, err := tree.Cosign(c.Note, lines, w.log.Verifier(), w.key, nil); err != nil {
		return nil, err
	}
	w.size = c.Size
	return lines, nil
}

// submit asks once. seen is the size of the checkpoint that the witness cosigned last, where that is not
// the older one.
func (w *witnessing) submit(ctx context.Context, c store.LogCheckpoint, older int64) (lines []byte, seen *int64, err error) {
	body, err := w.log.submission(ctx, c, older)
	if err != nil {
		return nil, nil, err
	}
	within, cancel := context.WithTimeout(ctx, witnessLimit)
	defer cancel()
	q, err := http.NewRequestWithContext(within, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	a, err := w.client.Do(q)
	if err != nil {
		return nil, nil, err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(io.LimitReader(a.Body, witnessAnswer+1))
	switch {
	case err != nil:
		return nil, nil, err
	case len(text) > witnessAnswer:
		return nil, nil, errors.New("its answer is too long")
	case a.StatusCode == http.StatusOK:
		return text, nil, nil
	case a.StatusCode == http.StatusConflict:
		size, err := strconv.ParseInt(strings.TrimSuffix(string(text), "\n"), 10, 64)
		if err != nil || size < 0 {
			return nil, nil, errors.New("it refuses, and does not say what it cosigned last")
		}
		return nil, &size, nil
	}
	return nil, nil, uncosigned(a.StatusCode)
}

// uncosigned tells why a witness refuses (https://c2sp.org/tlog-witness#add-checkpoint).
func uncosigned(status int) error {
	why := ""
	switch status {
	case http.StatusForbidden:
		why = ": it trusts another key of the log"
	case http.StatusNotFound:
		why = ": it does not know the log"
	case http.StatusUnprocessableEntity:
		why = ": the log does not continue what it has cosigned, so the log was changed, or this is a copy of it"
	}
	return fmt.Errorf("it answers with status %d%s", status, why)
}

// submission is what a witness is sent.
func (l *Log) submission(ctx context.Context, c store.LogCheckpoint, older int64) (body []byte, err error) {
	err = l.store.View(ctx, func(ctx context.Context, r *store.Reader) error {
		t, err := l.tree(ctx, r)
		if err != nil {
			return err
		}
		proof, err := tree.Consistency(older, c.Size, t.hashes)
		if err != nil {
			return ofTree(err)
		}
		own, err := tree.Own(c.Note, l.Verifier())
		body = tree.Submission(older, proof, own)
		return err
	})
	return body, err
}
